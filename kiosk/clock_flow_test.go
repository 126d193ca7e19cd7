package kiosk

import (
	"strings"
	"testing"
	"time"

	"mohr.internal/display"
	"mohr.internal/kiosk/cmp/cmptest"
)

// wrongClocks are what a terminal without a battery may show while the time is really
// testTime.
var wrongClocks = map[string]time.Duration{
	"1970":          time.Unix(0, 0).Sub(testTime),
	"in ten years":  testTime.AddDate(10, 0, 0).Sub(testTime),
	"a year behind": testTime.AddDate(-1, 0, 0).Sub(testTime),
	"an hour ahead": time.Hour,
}

func (c *counter) provenIs(quality string) {
	c.clock.mu.Lock()
	defer c.clock.mu.Unlock()
	c.clock.quality = quality
}

func rightly() time.Time { return testTime }

// With the CA at hand a citizen is served to the end, however wrong an unproven clock
// is: the CA's own signed time judges its answer, and every stamp says how well the
// time is known.
func TestWrongClockOnline(t *testing.T) {
	for name, off := range wrongClocks {
		for _, confirm := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				counterTest(t, options{clock: ClockUnproven, ca: cmptest.CAOptions{Now: rightly, WithholdImplicitConfirm: confirm}}, func(c *counter) {
					c.clock.add(off)
					var text string
					c.walkWith(func(s display.Screen) bool {
						text += s.Text()
						if s.ID == "receipt" {
							c.sync()
						}
						return false
					}, "accepted")
					if !strings.Contains(text, plain("fa", "why.TIME-UNPROVEN")) {
						t.Error("nobody is told that the clock is not proven")
					}
					n := c.state(Loaded)
					if r, _, err := c.trust.Verify(n.Receipt); err != nil || r.Clock.String() != ClockUnproven {
						t.Errorf("receipt %+v, %v", r, err)
					}
					for _, r := range c.journal.parsed() {
						if r.Clock != ClockUnproven {
							t.Errorf("record %s%s is stamped %q", r.State, r.Event, r.Clock)
						}
					}
				})
			})
		}
	}
}

// A clock that is set while a citizen is served, forward or back, refuses nobody.
func TestClockIsSetMeanwhile(t *testing.T) {
	for _, at := range []string{"token", "pin", "sign", "receipt"} {
		for name, off := range wrongClocks {
			t.Run(at+"/"+name, func(t *testing.T) {
				counterTest(t, options{clock: ClockUnproven, ca: cmptest.CAOptions{Now: rightly}}, func(c *counter) {
					c.walk(at)
					c.clock.add(off)
					c.walkWith(func(s display.Screen) bool {
						if s.ID == "receipt" {
							c.sync()
						}
						return false
					}, "accepted")
					c.state(Loaded)
				})
			})
		}
	}
}

// What was stored on a wrong clock is delivered after a restart on a right one, and
// what was stored on a proven clock is not judged by an earlier time afterwards.
func TestClockIsRepaired(t *testing.T) {
	for name, off := range wrongClocks {
		t.Run(name, func(t *testing.T) {
			counterTest(t, options{clock: ClockUnproven, ca: cmptest.CAOptions{Now: rightly}}, func(c *counter) {
				c.clock.add(off)
				c.walk("receipt")
				c.state(Receipted)
				if got := c.kiosk.Ledger.Proven(); got.Unix() != 0 {
					t.Errorf("proven until %v by an unproven clock", got)
				}
				c.clock.add(-off)
				c.provenIs(ClockTrusted)
				c.restart()
				c.sync()
				c.state(Issued)
				if got := c.kiosk.Ledger.Proven(); got.Before(testTime) {
					t.Errorf("proven until %v", got)
				}
			})
		})
	}
}

// provable is a clock that notes what it is compared with.
type provable struct {
	*testClock
	told []time.Time
	last []time.Duration
}

func (p *provable) Prove(told time.Time, last time.Duration) {
	p.told, p.last = append(p.told, told), append(p.last, last)
}

// The CA's signed time proves the clock, where the nonce it answers is of this life.
func TestAnswerProvesTheClock(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		counterTest(t, options{clock: ClockUnproven, ca: cmptest.CAOptions{Now: rightly}}, func(c *counter) {
			c.walk("pin")
			p := &provable{testClock: c.clock}
			c.kiosk.Outbox.mu.Lock()
			c.kiosk.Outbox.clock = p
			c.kiosk.Outbox.mu.Unlock()
			c.walk("receipt")
			if restarted {
				c.restart()
				c.kiosk.Outbox.mu.Lock()
				c.kiosk.Outbox.clock = p
				c.kiosk.Outbox.mu.Unlock()
			}
			time.Sleep(time.Minute)
			c.sync()
			if n := c.last(); n.State < Issued || n.State.Ended() && n.State != Loaded {
				t.Errorf("renewal is %v", n.State)
			}
			switch {
			case restarted && len(p.told) != 0:
				t.Errorf("an answer to an old nonce proved %v", p.told)
			case !restarted && (len(p.told) != 1 || !p.told[0].Equal(testTime) || p.last[0] < time.Minute || p.last[0] > 10*time.Minute):
				t.Errorf("proved %v within %v", p.told, p.last)
			}
		})
	}
}

// Days are counted only when the clock can be right: a certificate that ends in minus
// six years or in fifty-six helps nobody.
func TestDaysLeftOnWrongClock(t *testing.T) {
	for name, counted := range map[string]bool{"1970": false, "in ten years": false, "an hour ahead": true} {
		t.Run(name, func(t *testing.T) {
			counterTest(t, options{clock: ClockUnproven}, func(c *counter) {
				c.clock.add(wrongClocks[name])
				text := ""
				c.walkWith(func(s display.Screen) bool {
					if s.ID == "token" {
						text = s.Text()
					}
					return false
				}, "officer-insert")
				days := strings.Trim(plain("fa", "fact.ends-value"), "{} ()")
				days = days[strings.LastIndex(days, "}")+1:]
				if text == "" || days == "" || strings.Contains(text, days) != counted {
					t.Errorf("%q in %q", days, text)
				}
			})
		})
	}
}
