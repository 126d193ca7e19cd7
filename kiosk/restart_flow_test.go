package kiosk

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"mohr.internal/display"
	"mohr.internal/kiosk/cmp/cmptest"
)

// good is the journal of a whole renewal, and how many appends it took.
func goodJournal(t *testing.T, o options) (records [][]byte) {
	counterTest(t, o, func(c *counter) {
		c.walk("accepted")
		c.walk("idle")
		c.sync()
		records = c.journal.bytes()
	})
	return records
}

// The journal fails at its n-th append, for every n, with and without the record on
// disk all the same. No screen says more than the journal holds (glass.promise looks
// at every one), Run ends with an error, and over what is on disk a new kiosk goes
// on: a stored request is finished, an earlier one abandoned, nothing is made twice.
func TestJournalFailsAtEveryAppend(t *testing.T) {
	t.Parallel()
	o := options{ca: cmptest.CAOptions{WithholdImplicitConfirm: true}}
	appends := len(goodJournal(t, o))
	if appends < 18 {
		t.Fatalf("only %d appends", appends)
	}
	for n := 1; n <= appends; n++ {
		for _, persists := range []bool{false, true} {
			t.Run(fmt.Sprint(n, persists), func(t *testing.T) {
				if n == 1 {
					failAtStart(t, o, persists)
					return
				}
				counterTest(t, o, func(c *counter) { failAt(c, n, persists) })
			})
		}
	}
}

// failAtStart is the very first record.
func failAtStart(t *testing.T, o options, persists bool) {
	counterTest(t, o, func(c *counter) {
		c.halt()
		c.journal = newJournal(c.journal.bytes()...)
		c.journal.fail(1, persists)
		c.start()
		c.outOfService()
		if got := c.glass.ids(); slices.Contains(got[1:], "idle") {
			t.Errorf("serves without a journal: %q", got)
		}
		c.restart()
		c.walk("accepted")
	})
}

func failAt(c *counter, n int, persists bool) {
	t := c.t
	c.journal.fail(n-1, persists)
	ended := false
	c.walkWith(func(s display.Screen) bool {
		if s.ID == "remove" || s.ID == "idle" && c.citizen.device == "" && len(c.journal.bytes()) > 2 {
			c.sync() // what is still owed to the CA
		}
		if s.ID == "idle" && c.kiosk.Ledger.Failed() != nil {
			ended = true
		}
		if c.ran() {
			c.glass.mark("stop")
			return true
		}
		return false
	}, "stop")
	c.glass.unmark()
	if ended {
		t.Error("idle with a journal that has failed")
	}
	c.outOfService()
	for _, s := range []*stick{c.citizen, c.officer} { // a try that could not be journaled was not made
		if got := s.PINTries(); got < c.entries[s]-1 || got > c.entries[s] {
			t.Errorf("%s's token compared %d PINs of %d entered", s.role, got, c.entries[s])
		} else {
			c.entries[s] = got
		}
	}

	c.restart()
	n1 := c.last2()
	switch {
	case n1 == nil:
	case n1.State.Ended(), n1.State == Receipted, n1.State == Delivered, n1.State == Issued:
	default:
		t.Errorf("after the restart a renewal is left at %v; journal %v", n1.State, c.story())
	}
	if n1 != nil && n1.State == Loaded {
		for range 3 {
			c.sync()
		}
		if p := c.kiosk.Outbox.Pending(); len(p) != 0 {
			t.Errorf("%s is still pending", p[0].ID)
		}
		return
	}
	c.walk("accepted")
	c.state(Loaded)
	if issued := c.ca.Issued(); len(issued) != 1 {
		t.Errorf("%d certificates were issued", len(issued))
	}
	c.sync()
	if issued := c.ca.Issued(); issued[0].Confirmation != cmptest.Accepted {
		t.Errorf("the CA heard %v", issued[0].Confirmation)
	}
	c.unharmed(2)
}

// ran says whether Run has ended.
func (c *counter) ran() bool {
	select {
	case err := <-c.ended:
		c.ended <- err
		return true
	default:
		return false
	}
}

// outOfService expects Run to end with a failure of the storage.
func (c *counter) outOfService() {
	c.t.Helper()
	select {
	case err := <-c.ended:
		var r *Refusal
		if !errors.As(err, &r) || r.Rule != RuleStoreFailed || !errors.Is(err, errDisk) {
			c.t.Errorf("Run ended with %v", err)
		}
	case <-time.After(10 * time.Minute):
		c.t.Fatalf("Run goes on with a journal that has failed:\n%s", c.glass.now().Text())
	}
	c.stop()
}

// restart is the power coming back: tokens are out, the journal is what is on disk.
func (c *counter) restart() {
	c.t.Helper()
	c.pull(c.citizen)
	c.pull(c.officer)
	c.journal = newJournal(c.journal.bytes()...)
	c.start()
}

// A restart over every prefix of a journal: what was signed is finished, without
// anybody at the counter, and what was not is abandoned. A second restart changes
// nothing more.
func TestRestartAtEveryRecord(t *testing.T) {
	records := goodJournal(t, options{ca: cmptest.CAOptions{WithholdImplicitConfirm: true}})
	for cut := 0; cut <= len(records); cut++ {
		counterTest(t, options{}, func(c *counter) {
			c.halt()
			ledger, err := OpenLedger(newJournal(records[:cut]...), c.clock)
			c.must(err)
			before := ledger.All(func(Renewal) bool { return true })
			c.journal = newJournal(records[:cut]...)
			c.start()
			c.at("idle")
			if len(before) == 0 {
				return
			}
			was, n := before[0].State, c.last()
			want := was
			switch {
			case was < RequestSigned:
				want = Abandoned
			case was < Receipted:
				want = Receipted
			}
			if n.State != want {
				t.Errorf("record %d: %v became %v, want %v", cut, was, n.State, want)
			}
			if want == Abandoned && n.Rule != RuleRestart {
				t.Errorf("record %d: abandoned by %q", cut, n.Rule)
			}
			pending := c.kiosk.Outbox.Pending()
			owed := want == Receipted || want == Delivered || n.Confirm != nil
			if owed != (len(pending) > 0) {
				t.Errorf("record %d: %v, %d parcels", cut, n.State, len(pending))
			}
			story := len(c.story())
			c.halt()
			c.start()
			if got := c.story()[story:]; !slices.Equal(got, []string{"start"}) {
				t.Errorf("record %d: a second restart wrote %v", cut, got)
			}
		})
	}
}

// The request on disk is not what was signed: it is not receipted.
func TestReadBackDiffers(t *testing.T) {
	for name, twist := range map[string]func(b []byte) []byte{
		"a bit":     func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"cut":       func(b []byte) []byte { return b[:len(b)/2] },
		"elsewhere": func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			counterTest(t, options{}, func(c *counter) {
				c.walk("pin")
				c.journal.mu.Lock()
				c.journal.twist = func(_ uint64, b []byte) []byte { return twist(b) }
				c.journal.mu.Unlock()
				c.enterPIN(c.citizen, citizenPIN)
				s := c.at("refused")
				if ruleOn(s) != RuleStoreFailed {
					t.Errorf("refused by %s", ruleOn(s))
				}
				c.says("why.STORE-FAILED")
				if n := c.last(); n.Receipt != "" || n.State != RequestSigned {
					t.Errorf("renewal is %v with receipt %q", n.State, n.Receipt)
				}
			})
		})
	}
}

// The journal fails while nobody is at the counter: the kiosk goes out of service at
// once, not with the next citizen.
func TestJournalFailsWhileIdle(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.walk("receipt")
		c.pull(c.citizen)
		c.press(choiceOK)
		c.at("idle")
		c.journal.fail(1, false)
		c.sync() // the CA's answer cannot be journaled
		c.outOfService()
		c.restart()
		c.state(Receipted)
		c.walk("accepted") // the answer comes again
	})
}

// The journal fails while a receipt is on the screen: it stays true.
func TestJournalFailsAtTheReceipt(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.walk("receipt")
		c.journal.fail(1, true)
		c.sync()
		s := c.at("refused")
		if ruleOn(s) != RuleStoreFailed {
			t.Errorf("refused by %s", ruleOn(s))
		}
		c.says("why.STORE-FAILED")
		c.press(choiceOK)
		c.outOfService()
		c.restart()
		c.walk("accepted")
	})
}

// The panel fails: nothing hangs, nothing loops, and nobody is asked what they
// cannot see.
func TestPanelFails(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.walk("document")
		c.glass.mu.Lock()
		c.glass.broken = errDisk
		c.glass.mu.Unlock()
		c.press(c.glass.now().Choices[0].ID)
		time.Sleep(time.Hour)
		c.state(Abandoned)
		if n := len(c.journal.bytes()); n > 10 {
			t.Errorf("%d records", n)
		}
		c.unharmed(1)
		c.pull(c.citizen)
		if err := <-c.ended; err == nil { // the idle page cannot be shown either
			t.Error("Run ended without an error")
		}
		c.ended <- nil
		c.glass.mu.Lock()
		c.glass.broken = nil
		c.glass.mu.Unlock()
	})
}

// The token program goes away and comes back.
func TestTokensAway(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.at("idle")
		c.ports.tell(DeviceEvent{})
		c.at("trouble")
		c.says("why.TOKENS-AWAY")
		c.says("next.TOKENS-AWAY")
		c.says("trouble.title")
		c.ports.tell(DeviceEvent{Present: true})
		c.at("idle")
		c.walk("document")
		c.ports.tell(DeviceEvent{Device: Device{ID: c.citizen.device}}) // its devices go with it
		c.ports.tell(DeviceEvent{})
		c.refused(RuleTokenRemoved)
		c.press(choiceOK)
		c.at("trouble")
		c.ports.tell(DeviceEvent{Present: true})
		c.at("idle")
		c.insert(c.citizen)
		c.at("token")
	})
}
