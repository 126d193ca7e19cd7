package kiosk

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mohr.internal/display"
)

var foreign = LogEnd{Journal: [8]byte{0xab, 0xcd}, Seq: 57, Hash: [32]byte{0x12, 0x34}}

// centre is what the kiosk's log looks like from the other end. It looks after every
// record, as syncd does.
type centre struct {
	ends   func() LogEnd
	silent bool
}

// watch has the centre report until the test ends or stop is called.
func (c *counter) watch(e *centre) (stop func()) {
	ctx, cancel := context.WithCancel(c.t.Context())
	ledger, done := c.kiosk.Ledger, make(chan struct{})
	go func() {
		defer close(done)
		var said LogEnd
		for {
			changed := ledger.Changed()
			if end := e.ends(); !e.silent || end != said {
				said = end
				if err := ledger.Forked(end); err != nil {
					c.t.Error(err)
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
			time.Sleep(time.Second) // a way to the centre and back
		}
	}()
	synctest.Wait()
	return func() { cancel(); <-done }
}

// clear is an officer's way to the end of the alarm, up to one of the pages.
func (c *counter) clear(until ...string) display.Screen {
	c.t.Helper()
	return c.walkWith(func(s display.Screen) bool {
		if s.ID != "fork" {
			return false
		}
		c.press(choiceOK)
		return true
	}, until...)
}

func (c *counter) count(story string) (n int) {
	for _, s := range c.story() {
		if s == story {
			n++
		}
	}
	return n
}

// The centre has another log of this kiosk: nobody is begun with, before and after a
// restart, until an officer says that head office knows.
func TestFork(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		stop := c.watch(&centre{ends: func() LogEnd { return foreign }})
		for range 2 {
			s := c.at("fork")
			c.says("fork.title")
			c.says("why.FLEET-FORK")
			c.says("next.FLEET-FORK")
			if !strings.Contains(s.Text(), foreign.String()) || !strings.Contains(s.Text(), "kiosk-7") || !strings.Contains(s.Text(), RuleFleetFork) {
				t.Errorf("alarm:\n%s", s.Text())
			}
			c.insert(c.citizen)
			time.Sleep(time.Hour)
			c.at("fork")
			c.pull(c.citizen)
			stop()
			c.halt()
			c.start()
			c.at("fork") // without a word from the centre
			stop = c.watch(&centre{ends: func() LogEnd { return foreign }})
		}
		if n := c.count("fork:FLEET-FORK"); n != 1 {
			t.Errorf("journaled %d times: %v", n, c.story())
		}
		c.clear("fork-clear")
		c.says("fork-clear.line")
		if _, ok := c.kiosk.Ledger.ForkCleared(); ok {
			t.Error("cleared without a yes")
		}
		c.press(choiceOK)
		c.at("idle")
		records := c.journal.parsed()
		last := records[len(records)-1]
		if last.Event != EventForkCleared || *last.Foreign != foreign || !slices.Equal(last.Officer, (&officer{cert: c.officer.cert}).hash()) {
			t.Errorf("last record %+v", last)
		}
		time.Sleep(time.Minute) // reports that were on their way
		c.at("idle")
		stop()
		c.halt()
		c.start()
		c.at("idle")
		if end, ok := c.kiosk.Ledger.ForkCleared(); !ok || end != foreign {
			t.Errorf("cleared after a restart: %v, %v", end, ok)
		}
		c.pull(c.officer)
		c.walk("accepted")
		c.unharmed(2)
	})
}

// Whoever is being served is served to the end, and nothing of theirs is lost.
func TestForkWhileServing(t *testing.T) {
	for _, page := range []string{"token", "document", "sign", "receipt"} {
		t.Run(page, func(t *testing.T) {
			counterTest(t, options{}, func(c *counter) {
				c.walk(page)
				defer c.watch(&centre{ends: func() LogEnd { return foreign }})()
				c.walk("accepted")
				c.state(Loaded)
				c.walk("fork")
				c.insert(c.citizen)
				time.Sleep(time.Minute)
				c.at("fork")
			})
		})
	}
}

// A request that waits for the CA is delivered in spite of the alarm.
func TestForkDeliversWhatIsStored(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.walk("receipt")
		c.pull(c.citizen)
		c.pull(c.officer)
		defer c.watch(&centre{ends: func() LogEnd { return foreign }})()
		c.walk("fork")
		c.sync()
		c.state(Issued)
		c.at("fork")
	})
}

// The other log grows: somebody else is at work, and clearing would only hide it.
func TestForkByAClone(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		end := foreign
		grows := true
		e := &centre{ends: func() LogEnd {
			if grows {
				end.Seq++
			}
			return end
		}}
		stop := c.watch(e)
		c.clear("refused")
		c.refused(RuleFleetClone)
		if n := c.count("fork:FLEET-FORK"); n != 2 {
			t.Errorf("journaled %d times: %v", n, c.story())
		}
		c.press(choiceOK)
		grows = false
		c.clear("fork-clear")
		grows = true // and once more, while the officer reads
		c.kiosk.Ledger.Agreed()
		time.Sleep(5 * time.Second)
		c.press(choiceOK)
		c.refused(RuleFleetClone)
		grows = false
		c.press(choiceOK)
		c.clear("fork-clear")
		c.press(choiceOK)
		c.at("idle")
		if cleared, _ := c.kiosk.Ledger.ForkCleared(); cleared != end {
			t.Errorf("cleared %v, the centre is at %v", cleared, end)
		}
		end.Seq++ // it goes on all the same: another alarm
		c.kiosk.Ledger.Forked(end)
		c.at("fork")
		stop()
	})
}

// Without a word from the centre, and without an officer of this office, the alarm stays.
func TestForkStays(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		e := &centre{ends: func() LogEnd { return foreign }, silent: true}
		defer c.watch(e)()
		c.clear("fork-asking")
		c.says("fork-asking.line")
		time.Sleep(centreWait)
		c.refused(RuleFleetOffline)
		c.press(choiceOK)
		c.at("fork")
		e.silent = false
		c.clear("fork-clear")
		c.press(choiceCancel)
		c.refused(RuleCancelled)
		time.Sleep(c.kiosk.Idle + idleWarning + time.Second) // nobody dismisses it
		c.at("fork")
		c.clear("fork-clear")
		c.pull(c.officer)
		c.refused(RuleOfficerRemoved)
	})
	counterTest(t, options{unlisted: true}, func(c *counter) {
		defer c.watch(&centre{ends: func() LogEnd { return foreign }})()
		c.clear("refused")
		c.refused("OFFICER-UNKNOWN")
		c.press(choiceOK)
		c.at("fork")
	})
}

// The centre lost what it had of the other log: the alarm stays until an officer knows.
func TestForkGone(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.must(c.kiosk.Ledger.Forked(foreign))
		c.at("fork")
		c.kiosk.Ledger.Agreed()
		c.at("fork")
		c.clear("fork-asking")
		c.kiosk.Ledger.Agreed()
		c.at("fork-clear")
		c.press(choiceOK)
		c.at("idle")
	})
}

// A record that says half of it cannot come to be.
func TestForkRecord(t *testing.T) {
	for name, r := range map[string]Record{
		"fork of nothing":    {Event: EventFork},
		"cleared of nothing": {Event: EventForkCleared},
		"of something else":  {Event: EventStart, Foreign: &foreign},
		"of a renewal":       {Event: EventFork, Foreign: &foreign, Renewal: RenewalID{1}},
	} {
		b, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseRecord(b); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
}
