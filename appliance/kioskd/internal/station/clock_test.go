package station

import (
	"log/slog"
	"testing"
	"time"

	"mohr.internal/appliance/config"
	"mohr.internal/kiosk"
)

// fakeSystem is a system's clock that can be set, and one that cannot.
type fakeSystem struct {
	now    time.Time
	boot   time.Duration
	inStep bool
}

func (f *fakeSystem) clock() *Clock {
	c := NewClock(config.Clock{Source: "system"}, slog.New(slog.DiscardHandler))
	c.now, c.boot, c.inStep = func() time.Time { return f.now }, func() time.Duration { return f.boot }, func() bool { return f.inStep }
	c.Hold(24 * time.Hour)
	return c
}

func (f *fakeSystem) pass(d time.Duration) { f.now, f.boot = f.now.Add(d), f.boot+d }

func TestClockQuality(t *testing.T) {
	real := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		name string
		do   func(f *fakeSystem, c *Clock)
		want string
	}{
		{"just started", func(*fakeSystem, *Clock) {}, kiosk.ClockUnproven},
		{"the kernel's clock is in step", func(f *fakeSystem, _ *Clock) { f.inStep = true }, kiosk.ClockTrusted},
		{"in step, but earlier than proven before", func(f *fakeSystem, c *Clock) {
			f.inStep = true
			c.NotBefore(real.Add(time.Second))
			c.NotBefore(real.Add(-time.Hour))
		}, kiosk.ClockUnproven},
		{"the CA agrees", func(_ *fakeSystem, c *Clock) { c.Prove(real, time.Minute) }, kiosk.ClockTrusted},
		{"the CA agrees: its answer took an hour", func(_ *fakeSystem, c *Clock) { c.Prove(real.Add(-time.Hour), time.Hour) }, kiosk.ClockTrusted},
		{"the CA is ahead", func(_ *fakeSystem, c *Clock) { c.Prove(real.Add(proofSkew+time.Second), time.Minute) }, kiosk.ClockUnproven},
		{"the CA is behind", func(_ *fakeSystem, c *Clock) { c.Prove(real.Add(-time.Minute-proofSkew-time.Second), time.Minute) }, kiosk.ClockUnproven},
		{"an answer that took too long", func(_ *fakeSystem, c *Clock) { c.Prove(real, proofWithin+1) }, kiosk.ClockUnproven},
		{"an answer before its question", func(_ *fakeSystem, c *Clock) { c.Prove(real, -1) }, kiosk.ClockUnproven},
		{"proven, a day less a second ago", func(f *fakeSystem, c *Clock) { c.Prove(real, 0); f.pass(24*time.Hour - time.Second) }, kiosk.ClockTrusted},
		{"proven, a day ago", func(f *fakeSystem, c *Clock) { c.Prove(real, 0); f.pass(24 * time.Hour) }, kiosk.ClockUnproven},
		{"proven, then adjusted", func(f *fakeSystem, c *Clock) { c.Prove(real, 0); f.now = f.now.Add(-2 * time.Second) }, kiosk.ClockTrusted},
		{"proven, then set to another time", func(f *fakeSystem, c *Clock) { c.Prove(real, 0); f.now = f.now.Add(time.Hour) }, kiosk.ClockUnproven},
		{"proven, then the CA disagrees", func(_ *fakeSystem, c *Clock) { c.Prove(real, 0); c.Prove(real.AddDate(0, 0, 1), 0) }, kiosk.ClockUnproven},
		{"wrong, then set right and proven", func(f *fakeSystem, c *Clock) {
			f.now = time.Unix(0, 0)
			c.Prove(real, 0)
			f.now = real
			c.Prove(real, 0)
		}, kiosk.ClockTrusted},
	} {
		f := &fakeSystem{now: real, boot: time.Hour}
		c := f.clock()
		row.do(f, c)
		if got := c.Quality(); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
	if a, b := sinceBoot(), sinceBoot(); a <= 0 || b < a {
		t.Errorf("since boot: %v, then %v", a, b)
	}
}
