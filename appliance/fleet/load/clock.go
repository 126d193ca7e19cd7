package main

import (
	"sync/atomic"
	"time"

	"mohr.internal/kiosk"
)

// How the clocks of some kiosks are off, and for how long after the start: to 1970, ten
// years on, a year back, and for a while right.
var jumps = []func(now time.Time) time.Time{
	func(time.Time) time.Time { return time.Unix(0, 0) },
	func(now time.Time) time.Time { return now.AddDate(10, 0, 0) },
	func(now time.Time) time.Time { return now.AddDate(-1, 0, 0) },
	func(now time.Time) time.Time { return now },
}

const (
	jumping = 10 * time.Second
	jump    = 700 * time.Millisecond // from one to the next
)

// jumpy says whose clock jumps: of so few that the rate shows the others'.
func jumpy(kiosk int) bool { return kiosk%33 == 32 }

// clock is the system's, and known to be right; a jumpy one says so too and is not.
type clock struct {
	jumpy bool
	start atomic.Int64 // Unix nanoseconds; 0 before it
}

func (c *clock) Now() time.Time {
	now := time.Now()
	if !c.jumpy {
		return now
	}
	since := time.Duration(0)
	if start := c.start.Load(); start != 0 {
		since = now.Sub(time.Unix(0, start))
	}
	if since > jumping {
		return now
	}
	return jumps[int(since/jump)%len(jumps)](now)
}

func (*clock) Quality() string { return kiosk.ClockTrusted }
