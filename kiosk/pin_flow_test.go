package kiosk

import (
	"slices"
	"strings"
	"testing"
	"time"

	"mohr.internal/kiosk/cmp/cmptest"
	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/pkcs11test"
)

const wrongPIN = "111111"

// results are the PIN results in the journal, as rule and tries left.
func (c *counter) results() (out []string) {
	for _, r := range c.journal.parsed() {
		if r.Event == EventPINTry {
			out = append(out, "try")
		}
		if r.Event == EventPINResult {
			out = append(out, "result:"+r.Rule)
		}
	}
	return out
}

// styles are what tokens tell about their PIN counter.
var styles = map[string]pkcs11test.Options{
	"all flags": {Flags: pkcs11test.FlagsAll}, "final only": {Flags: pkcs11test.FlagsFinal}, "low only": {Flags: pkcs11test.FlagsLow},
	"no flags": {Flags: pkcs11test.FlagsNone}, "counts aloud": {Flags: pkcs11test.FlagsNone, TellTries: true},
}

// A wrong PIN, then the right one: each entry is one try and no more.
func TestWrongPIN(t *testing.T) {
	for name, token := range styles {
		t.Run(name, func(t *testing.T) {
			token.Tries = 5
			counterTest(t, options{token: token}, func(c *counter) {
				c.walk("pin")
				c.enterPIN(c.citizen, wrongPIN)
				if c.at("pin", "pin-low").ID == "pin-low" {
					c.press(choiceYes)
					c.at("pin")
				}
				c.says("why.PIN-WRONG")
				if got := c.citizen.TriesLeft(); got != 4 {
					t.Errorf("%d tries left, want 4", got)
				}
				if got := c.glass.now().Input.Value; got != "" {
					t.Errorf("field holds %q after a wrong PIN", got)
				}
				c.walk("accepted")
				if got, want := c.results(), []string{"try", "result:", "try", "result:" + RulePINWrong, "try", "result:"}; !slices.Equal(got, want) {
					t.Errorf("journal %v, want %v", got, want)
				}
				if got := c.citizen.Calls(pkcs11.VerbLogin); got != 2 {
					t.Errorf("%d logins for 2 entries", got)
				}
			})
		})
	}
}

// A PIN that the wrong entries lock: the terminal says so and does not go on. With
// a token that warns, it stops before that.
func TestPINUntilTheEnd(t *testing.T) {
	for name, token := range styles {
		t.Run(name, func(t *testing.T) {
			counterTest(t, options{token: token}, func(c *counter) {
				c.walk("pin")
				for range 4 {
					if c.glass.now().ID == "pin-low" {
						c.press(choiceYes)
					}
					if c.glass.now().ID != "pin" {
						break
					}
					c.enterPIN(c.citizen, wrongPIN)
				}
				rule := "PIN-LOCKED"
				left := 0
				if token.TellTries || token.Flags == pkcs11test.FlagsAll || token.Flags == pkcs11test.FlagsFinal {
					rule, left = "PIN-FINAL", 1
				}
				if got := c.citizen.TriesLeft(); got != left {
					t.Errorf("%d tries left, want %d", got, left)
				}
				switch {
				case left == 1:
					c.refused(rule)
					c.state(Refused)
				case token.Flags == pkcs11test.FlagsLow || token.Flags == pkcs11test.FlagsNone:
					c.refused(rule) // the token said nothing before: nobody could know
				}
				c.unharmed(1)
			})
		})
	}
}

// A PIN that is locked, or has one try left, is not asked for.
func TestPINNotSent(t *testing.T) {
	for _, row := range []struct {
		name string
		left int
		rule string
		o    pkcs11test.Options
	}{
		{"locked, flag", 0, "PIN-LOCKED", pkcs11test.Options{Flags: pkcs11test.FlagsAll}},
		{"locked, counted", 0, "PIN-LOCKED", pkcs11test.Options{Flags: pkcs11test.FlagsNone, TellTries: true}},
		{"final, flag", 1, "PIN-FINAL", pkcs11test.Options{Flags: pkcs11test.FlagsFinal}},
		{"final, counted", 1, "PIN-FINAL", pkcs11test.Options{Flags: pkcs11test.FlagsNone, TellTries: true}},
	} {
		t.Run(row.name, func(t *testing.T) {
			counterTest(t, options{token: row.o}, func(c *counter) {
				c.citizen.SetTriesLeft(row.left)
				c.walk("refused")
				c.refused(row.rule)
				c.state(Refused)
				if slices.Contains(c.glass.ids(), "pin") {
					t.Error("a PIN was asked for")
				}
				if c.citizen.PINTries() != 0 || c.citizen.TriesLeft() != row.left {
					t.Errorf("%d tries left after %d tries", c.citizen.TriesLeft(), c.citizen.PINTries())
				}
				if row.left > 0 {
					c.unharmed(1)
				}
			})
		})
	}
}

// Few tries left: both people have to agree, at each entry anew.
func TestPINLow(t *testing.T) {
	low := options{token: pkcs11test.Options{TellTries: true, Tries: 5, Flags: pkcs11test.FlagsNone}}
	t.Run("agreed", func(t *testing.T) {
		counterTest(t, low, func(c *counter) {
			c.citizen.SetTriesLeft(2)
			c.walk("pin-low")
			c.says("pin-low.line")
			c.press(choiceYes)
			if s := c.at("pin"); !strings.Contains(s.Text(), plain("fa", "fact.tries")+": ۲") {
				t.Errorf("tries are not in view:\n%s", s.Text())
			}
			c.walk("accepted")
			c.state(Loaded)
		})
	})
	t.Run("agreed once is not agreed twice", func(t *testing.T) {
		counterTest(t, options{token: pkcs11test.Options{TellTries: true, Tries: 5, Flags: pkcs11test.FlagsNone}}, func(c *counter) {
			c.citizen.SetTriesLeft(3)
			c.walk("pin")
			c.enterPIN(c.citizen, wrongPIN)
			c.at("pin-low")
			c.press(choiceYes)
			c.at("pin")
			c.enterPIN(c.citizen, wrongPIN)
			c.refused("PIN-FINAL")
			c.state(Refused)
			if got := c.citizen.TriesLeft(); got != 1 {
				t.Errorf("%d tries left", got)
			}
		})
	})
	t.Run("not agreed", func(t *testing.T) {
		counterTest(t, low, func(c *counter) {
			c.citizen.SetTriesLeft(2)
			c.walk("pin-low")
			c.press(choiceNo)
			c.refused("PIN-LOW")
			c.state(Refused)
			if c.citizen.PINTries() != 0 {
				t.Error("a PIN was sent without consent")
			}
			c.unharmed(1)
		})
	})
	t.Run("cancelled", func(t *testing.T) {
		counterTest(t, low, func(c *counter) {
			c.citizen.SetTriesLeft(2)
			c.walk("pin-low")
			c.key('C')
			c.refused(RuleCancelled)
			c.state(Abandoned)
			c.unharmed(1)
		})
	})
	t.Run("officer", func(t *testing.T) {
		counterTest(t, options{officer: pkcs11test.Options{TellTries: true, Tries: 5, Flags: pkcs11test.FlagsNone}}, func(c *counter) {
			c.officer.SetTriesLeft(2)
			c.walk("pin-low")
			c.press(choiceNo)
			c.refused("PIN-LOW")
		})
	})
}

// A PIN of an impossible length is not sent.
func TestPINLength(t *testing.T) {
	counterTest(t, options{token: pkcs11test.Options{MinPIN: 4, MaxPIN: 8}}, func(c *counter) {
		c.walk("pin")
		for _, pin := range []string{"123", "123456789"} {
			c.enter(pin)
			c.at("pin")
			c.says("why.PIN-LENGTH")
		}
		if c.citizen.PINTries() != 0 || c.citizen.TriesLeft() != 3 {
			t.Error("a PIN of impossible length was sent")
		}
		c.press("key:ok") // an empty one is no entry at all
		if s := c.at("pin"); s.Input.Value != "" {
			t.Errorf("field %q", s.Input.Value)
		}
		c.walk("accepted")
	})
}

// Corrections on the keypad, and more digits than any token takes.
func TestPINTyping(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.walk("pin")
		c.key('9')
		c.key('9')
		c.key('\b')
		c.press("key:back")
		c.press("key:back") // on an empty field
		for range 40 {
			c.key('7')
		}
		if got := strings.Count(c.glass.now().Input.Value, "●"); got != maxPIN {
			t.Errorf("%d digits were taken", got)
		}
		for range 40 {
			c.key('\b')
		}
		for _, d := range citizenPIN {
			c.key(d)
		}
		c.key('x')
		c.entries[c.citizen]++
		c.key('\n')
		c.walk("accepted")
	})
}

// The worker is lost while the PIN is on its way: nobody knows whether the try
// counted, and the terminal never tries again by itself.
func TestPINOutcomeUnknown(t *testing.T) {
	for kind, counted := range map[pkcs11test.Kind]int{
		pkcs11test.Crash: 0, pkcs11test.CrashAfter: 1, pkcs11test.Hang: 0, pkcs11test.HangAfter: 1, pkcs11test.Truncate: 1,
		pkcs11test.Babble: 1, pkcs11test.WrongID: 1, pkcs11test.GeneralError: 0,
	} {
		counterTest(t, options{}, func(c *counter) {
			c.citizen.Inject(pkcs11test.Fault{Kind: kind, Verb: pkcs11.VerbLogin})
			c.walk("pin")
			c.enter(citizenPIN)
			c.entries[c.citizen] += counted
			time.Sleep(30 * time.Second)
			c.refused(RulePINOutcome)
			c.state(Refused)
			if got := c.citizen.PINTries(); got != counted {
				t.Errorf("kind %d: %d PINs compared, want %d", kind, got, counted)
			}
			if got := c.results(); !slices.Equal(got[2:], []string{"try", "result:" + RulePINOutcome}) {
				t.Errorf("kind %d: journal %v", kind, got)
			}
			c.unharmed(1)
			c.walk("idle")
			c.walk("accepted")
		})
	}
}

// A session that is logged in without anybody having typed a PIN is not used.
func TestLoggedInAlready(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.citizen.dial = func() pipe {
			conn := c.citizen.Dial()
			if _, err := pkcs11.WriteFrame(conn, pkcs11.Frame{Verb: pkcs11.VerbLogin, ID: 1, Payload: append([]byte{byte(len(citizenPIN))}, citizenPIN...)}); err != nil {
				t.Error(err)
			}
			if f, err := pkcs11.ReadFrame(conn); err != nil || f.Payload[0] != 0 {
				t.Errorf("login: %v %v", f, err)
			}
			c.entries[c.citizen]++
			return conn
		}
		c.walk("refused")
		c.refused(RuleInternal)
		if slices.Contains(c.glass.ids(), "pin") {
			t.Error("a PIN was asked for")
		}
		if n := c.citizen.Calls(pkcs11.VerbSign); n != 0 {
			t.Errorf("%d signatures", n)
		}
	})
}

// The holder's PIN at the return for the certificate follows the same rules.
func TestPINAtPickUp(t *testing.T) {
	counterTest(t, options{token: pkcs11test.Options{TellTries: true, Flags: pkcs11test.FlagsNone}}, func(c *counter) {
		c.ca.Behave(cmptest.Behaviour{Kind: cmptest.WaitReleased})
		c.walk("receipt")
		c.pull(c.citizen)
		c.pull(c.officer)
		c.ca.Release()
		c.ca.Behave(cmptest.Behaviour{})
		c.sync()
		c.state(Issued)
		c.citizen.SetTriesLeft(1)
		c.walk("idle")
		c.walk("refused")
		c.refused("PIN-FINAL")
		c.state(Issued)
		c.citizen.SetTriesLeft(3)
		c.walk("idle")
		c.walk("pin")
		c.enterPIN(c.citizen, wrongPIN)
		c.at("pin-low")
		c.press(choiceNo)
		c.refused("PIN-LOW")
		c.state(Issued)
		c.citizen.SetTriesLeft(3)
		c.walk("idle")
		c.walk("accepted")
		c.state(Loaded)
		c.unharmed(2)
	})
}

// On a token that takes any number of wrong PINs, or does not tell, guessing ends.
func TestWrongPINsEnd(t *testing.T) {
	counterTest(t, options{token: pkcs11test.Options{Tries: 100}}, func(c *counter) {
		c.walk("pin")
		for range maxEntries {
			for c.at("pin", "pin-low").ID == "pin-low" {
				c.press(choiceYes)
			}
			c.enterPIN(c.citizen, "111111")
		}
		c.refused(RulePINWrong)
		c.state(Refused)
		c.unharmed(1)
		c.walk("idle")
		c.walk("accepted")
	})
}
