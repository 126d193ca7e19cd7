package station

import (
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mohr.internal/appliance/config"
	"mohr.internal/kiosk"
)

const (
	// proofSkew is how far the clock may be from the CA's.
	proofSkew = 5 * time.Minute
	// proofWithin is how long ago a nonce may have been made for its answer to tell the time.
	proofWithin = time.Hour
)

// Clock is the station's clock as the configuration wants it, and what is known about
// it. A desk's date was set by the person at the desk and counts as trusted. The
// system's counts
//
//   - while the kernel says that something keeps it in step (adjtimex(2)), or
//   - for the profile's hours after a signed answer of the CA agreed with it, unless it
//     was set since.
//
// gokrazy's ntp is neither: it sets the clock by settimeofday(2), which leaves the
// kernel's clock out of step by its own word, and asks one server without any proof.
// So with it the time is about right and not proven. A clock that shows less than what
// was proven before is wrong for certain, whoever keeps it.
type Clock struct {
	config config.Clock
	log    *slog.Logger
	now    func() time.Time     // the system's clock
	boot   func() time.Duration // since the system's start, which nobody can set
	inStep func() bool          // what the kernel says

	mu     sync.Mutex
	offset time.Duration // the desk's last one that could be read
	floor  time.Time     // it is later than this
	hold   time.Duration // how long a proof counts
	until  time.Duration // since boot: the last proof counts so long
	base   time.Time     // the system's start by the clock at that proof
}

var _ kiosk.ProvableClock = (*Clock)(nil)

// NewClock returns the clock of a configuration.
func NewClock(c config.Clock, log *slog.Logger) *Clock {
	return &Clock{config: c, log: log, now: time.Now, boot: sinceBoot, inStep: kernelInStep}
}

// Now is the system's time, plus the desk's shift where one is configured.
func (c *Clock) Now() time.Time {
	now := c.now().UTC()
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

// Quality is how well the time is known.
func (c *Clock) Quality() string {
	if c.config.Source == "file" {
		return kiosk.ClockTrusted
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now().Round(0) // without its monotonic part, which does not show that the clock was set
	proven := c.boot() < c.until && now.Add(-c.boot()).Sub(c.base).Abs() < proofSkew
	if !proven && !c.inStep() || now.Before(c.floor) {
		return kiosk.ClockUnproven
	}
	return kiosk.ClockTrusted
}

// NotBefore says that it is later than t.
func (c *Clock) NotBefore(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.floor) {
		c.floor = t
	}
}

// Hold says how long a proof counts.
func (c *Clock) Hold(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold = d
}

// Prove implements kiosk.ProvableClock. A clock that disagrees is not set: it is only
// not believed.
func (c *Clock) Prove(told time.Time, last time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, boot := c.now().Round(0), c.boot()
	ahead := now.Sub(told) // of the CA's clock, at most last of it because the answer took its time
	agrees := ahead >= -proofSkew && ahead <= last+proofSkew
	c.log.Info("clock compared with the CA's", "ahead", ahead.Round(time.Second), "within", last.Round(time.Second), "agrees", agrees)
	switch {
	case last < 0 || last > proofWithin: // proves nothing
	case agrees:
		c.until, c.base = boot+c.hold, now.Add(-boot)
	default:
		c.until = 0
	}
}

// sinceBoot is CLOCK_BOOTTIME: it goes on while the system sleeps, and cannot be set.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// kernelInStep is what adjtimex(2) says: the kernel takes the word back by itself when
// nothing has disciplined the clock for long (its maxerror grows past 16 s).
func kernelInStep() bool {
	const unsynchronised = 0x0040 // STA_UNSYNC
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return err == nil && state != unix.TIME_ERROR && t.Status&unsynchronised == 0
}
