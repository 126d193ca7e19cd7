package kiosk

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"mohr.internal/display"
	"mohr.internal/kiosk/cmp/cmptest"
	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/pkcs11test"
)

// The citizen's token is pulled on each page on which people are asked something.
func TestPullOnEveryPage(t *testing.T) {
	t.Parallel()
	for i, id := range askingPages(t, options{}) {
		t.Run(fmt.Sprint(i, id), func(t *testing.T) {
			counterTest(t, options{}, func(c *counter) {
				c.walkTo(i)
				c.glass.unmark()
				c.pull(c.citizen)
				c.refused(RuleTokenRemoved)
				if i > 0 {
					c.state(Abandoned)
				}
				c.unharmed(1)
				c.walk("idle")
				c.walk("accepted")
				c.state(Loaded)
				c.unharmed(2)
			})
		})
	}
}

// The officer's token is pulled on each page after the sign-in began. It may be
// pulled without harm once the request is stored.
func TestOfficerPullOnEveryPage(t *testing.T) {
	t.Parallel()
	pages := askingPages(t, options{})
	from := slices.Index(pages, "officer-pin")
	for i := from; i < len(pages); i++ {
		t.Run(fmt.Sprint(i, pages[i]), func(t *testing.T) {
			counterTest(t, options{}, func(c *counter) {
				c.walkTo(i)
				c.glass.unmark()
				c.pull(c.officer)
				c.refused(RuleOfficerRemoved)
				c.state(Abandoned)
				c.unharmed(1)
				c.walk("idle")
				c.walk("accepted")
				c.state(Loaded)
			})
		})
	}
	counterTest(t, options{}, func(c *counter) {
		c.walk("receipt")
		c.pull(c.officer)
		c.at("receipt")
		c.walk("accepted")
	})
}

// calls is how many requests have reached a token, all verbs together, the exit
// left out.
func calls(s *stick) (n int) {
	for v := pkcs11.VerbTokens; v < pkcs11.VerbExit; v++ {
		n += s.Calls(v)
	}
	return n
}

// A token is pulled at the n-th thing that the terminal does with it, for every n:
// before the token does it, after it has done it, and by the loss of its worker.
// The port notices a little later than the module. Nothing is lost, nothing is
// made twice, and the next insertion works.
func TestPullAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, role := range []Role{RoleCitizen, RoleOfficer} {
		steps := 0
		counterTest(t, options{}, func(c *counter) {
			c.walk("accepted")
			steps = calls(c.stick(role))
		})
		if steps < 6 {
			t.Fatalf("only %d steps with the %s's token", steps, role)
		}
		for n := 1; n <= steps; n++ {
			for name, kind := range map[string]pkcs11test.Kind{
				"before": pkcs11test.Pull, "after": pkcs11test.PullAfter, "crash after": pkcs11test.CrashAfter,
			} {
				pulled := name == "before" || name == "after"
				t.Run(fmt.Sprint(role, n, name), func(t *testing.T) { pullAtStep(t, role, n, kind, pulled) })
			}
		}
	}
}

func (c *counter) stick(role Role) *stick {
	if role == RoleOfficer {
		return c.officer
	}
	return c.citizen
}

func pullAtStep(t *testing.T, role Role, n int, kind pkcs11test.Kind, pulled bool) {
	counterTest(t, options{}, func(c *counter) {
		s := c.stick(role)
		s.Inject(pkcs11test.Fault{Kind: kind, Nth: n})
		done := false
		lost := func(display.Screen) bool {
			if !done && pulled && calls(s) >= n {
				done = true
				time.Sleep(300 * time.Millisecond) // the port lags behind
				c.pull(s)
				return true
			}
			return false
		}
		c.walkWith(lost, "refused", "accepted")
		page := c.glass.now()
		first := c.last2()
		if page.ID == "refused" {
			c.refused(ruleOn(page))
			allowed := []string{RuleTokenRemoved, RuleOfficerRemoved, RuleTokenUnreadable, RulePINOutcome, RuleLoadStopped}
			if !slices.Contains(allowed, ruleOn(page)) {
				t.Errorf("refused by %s", ruleOn(page))
			}
			if pulled && slices.Contains([]string{RuleTokenUnreadable}, ruleOn(page)) {
				t.Errorf("a pulled token is called %s", ruleOn(page))
			}
		}
		if first != nil && !first.State.Ended() && !first.State.Signed() {
			t.Errorf("renewal is left at %v", first.State)
		}
		if got := c.citizen.PrivateKeys(); got > 2 {
			t.Errorf("%d private keys", got)
		}
		// PINs: what was compared is at most what people entered.
		for _, s := range []*stick{c.citizen, c.officer} {
			if got := s.PINTries(); got > c.entries[s] {
				t.Errorf("%s's token compared %d PINs of %d entered", s.role, got, c.entries[s])
			} else {
				c.entries[s] = got // a PIN may have been lost on its way
			}
		}
		if first != nil && first.State == Loaded {
			return
		}
		c.walkWith(lost, "remove", "idle")
		c.walkWith(lost, "idle")
		c.walk("accepted")
		c.state(Loaded)
		c.unharmed(2)
		if issued := len(c.ca.Issued()); issued != 1 {
			t.Errorf("%d certificates were issued", issued)
		}
	})
}

// last2 is the newest renewal, nil if there is none.
func (c *counter) last2() *Renewal {
	all := c.kiosk.Ledger.All(func(Renewal) bool { return true })
	if len(all) == 0 {
		return nil
	}
	return &all[len(all)-1]
}

// ruleOn is the rule that a page of refusal names.
func ruleOn(s display.Screen) string {
	for _, f := range s.Facts {
		if f.LTR {
			return f.Value
		}
	}
	return ""
}

// The token is pulled while the CA makes up its mind: the holder goes with a
// receipt, and the certificate waits for the return.
func TestPullWhileWaiting(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.ca.Behave(cmptest.Behaviour{Kind: cmptest.WaitReleased})
		c.walk("receipt")
		c.pull(c.citizen)
		c.at("receipt")
		c.says("receipt.free")
		c.state(Receipted)
		c.sync()
		c.state(Delivered)
		c.says("receipt.free")
		c.press(choiceOK)
		c.at("idle")
		c.pull(c.officer)
		c.unharmed(2)

		c.insert(c.citizen) // back too early: no second request, the same receipt
		c.at("receipt")
		c.says("receipt.waiting")
		if n := c.renewals(); n != 1 {
			t.Errorf("%d renewals", n)
		}
		c.press(choiceOK)
		c.at("remove")
		c.pull(c.citizen)
		c.ca.Release()
		c.ca.Behave(cmptest.Behaviour{})
		c.sync()
		c.state(Issued)

		c.insert(c.citizen)
		c.at("pickup")
		c.says("pickup.title")
		c.walk("accepted")
		c.state(Loaded)
		c.unharmed(2)
	})
}

// The return is not barred by anything that happened meanwhile: the old certificate
// may have run out, or been revoked by the CA when it issued the new one.
func TestReturnAfterTheEnd(t *testing.T) {
	for name, meanwhile := range map[string]func(c *counter){
		"expired": func(c *counter) { c.clock.add(60 * 24 * time.Hour) },
		"revoked": func(c *counter) { c.pki.Revoke(c.citizen.cert, testTime) },
	} {
		t.Run(name, func(t *testing.T) {
			counterTest(t, options{}, func(c *counter) {
				c.walk("receipt")
				c.pull(c.citizen)
				c.sync()
				c.state(Issued)
				meanwhile(c)
				c.walk("idle")
				c.walk("pickup")
				c.walk("accepted")
				c.state(Loaded)
			})
		})
	}
}

// The certificate is on the token already when the holder comes back: the token was
// pulled, or the power went, between writing and the last record.
func TestReturnWithTheNewCertificate(t *testing.T) {
	for _, retire := range []bool{false, true} {
		t.Run(fmt.Sprint("old one gone: ", retire), func(t *testing.T) {
			counterTest(t, options{}, func(c *counter) {
				c.walk("receipt")
				c.pull(c.citizen)
				c.sync()
				n := c.state(Issued)
				c.insert(c.citizen)
				c.at("pickup")
				c.pull(c.citizen)
				c.walk("idle")
				s := pkcs11.NewSession(c.citizenAtHome())
				key := pkcs11.KeyIDOf(certificateOf(t, n.Certificate).RawSubjectPublicKeyInfo)
				_, err := s.Login(c.t.Context(), []byte(citizenPIN))
				c.must(err)
				c.entries[c.citizen]++
				c.must(c.kiosk.Ledger.note(n.ID, EventLoadIntent, nil))
				c.must(s.WriteCertificate(c.t.Context(), key, "new", n.Certificate))
				if retire {
					c.must(s.Retire(c.t.Context(), pkcs11.Retirement{
						Old: pkcs11.KeyIDOf(c.citizen.cert.RawSubjectPublicKeyInfo), Kept: key, KeptCertificate: sum(n.Certificate),
					}))
				}
				c.must(s.Close())
				c.citizen.Remove()
				c.walk("pickup")
				c.walk("accepted")
				c.state(Loaded)
				if n := c.renewals(); n != 1 {
					t.Errorf("%d renewals", n)
				}
				c.walk("idle") // and then it is a certificate like any other
				c.insert(c.citizen)
				c.refused("WINDOW-EARLY")
			})
		})
	}
}

// A receipt that nobody dismisses does not stay for ever once the token is out.
func TestReceiptLeftBehind(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.walk("receipt")
		time.Sleep(time.Hour) // with the token in, it stays
		c.at("receipt")
		c.pull(c.citizen)
		time.Sleep(c.kiosk.Idle + idleWarning + time.Second)
		c.at("idle")
		c.state(Receipted)
	})
}

// The next citizen does not wait for the last one's receipt to be dismissed.
func TestNextCitizen(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.walk("receipt")
		c.pull(c.citizen)
		other := &stick{Token: pkcs11test.New(pkcs11test.Options{PIN: citizenPIN, Serial: "0003", NewKey: testKeys}), role: RoleCitizen}
		c.issue(other, pkcs11.P256, c.pki.Citizen, cmptest.CertOptions{Person: cmptest.Staff})
		c.insert(other)
		if s := c.at("token"); s.QR != "" {
			t.Error("the receipt is still there")
		}
	})
}
