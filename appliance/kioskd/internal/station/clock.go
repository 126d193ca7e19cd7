package station

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mohr.internal/appliance/config"
	"mohr.internal/kiosk"
)

// Clock is the station's clock as the configuration wants it.
type Clock struct {
	config config.Clock
	mu     sync.Mutex
	offset time.Duration // the last one that could be read
}

// NewClock returns the clock of a configuration.
func NewClock(c config.Clock) *Clock { return &Clock{config: c} }

// Now is the system's time, plus the desk's shift where one is configured.
func (c *Clock) Now() time.Time {
	now := time.Now().UTC()
	if c.config.Source != "file" {
		return now
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if offset, err := config.ReadOffset(c.config.Path); err == nil {
		c.offset = offset
	}
	return now.Add(c.offset)
}

// Quality is how well the time is known. A desk's date was set by the person at
// the desk and counts as trusted; the system's counts only while the kernel says
// that something keeps it in step (adjtimex).
func (c *Clock) Quality() string {
	if c.config.Source == "file" {
		return kiosk.ClockTrusted
	}
	const unsynchronised = 0x0040 // STA_UNSYNC
	var t unix.Timex
	if state, err := unix.Adjtimex(&t); err != nil || state == unix.TIME_ERROR || t.Status&unsynchronised != 0 {
		return kiosk.ClockUnproven
	}
	return kiosk.ClockTrusted
}
