package kiosk

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mohr.internal/display"
	"mohr.internal/kiosk/cmp/cmptest"
	"mohr.internal/kiosk/profile"
	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/pkcs11test"
)

// Tokens that are turned away as they are put in: nothing is asked, nothing sent.
func TestTurnedAway(t *testing.T) {
	foreign := func(c *counter) {
		other, err := c.pki.Impostor()
		c.must(err)
		c.issue(c.citizen, pkcs11.P256, other.Citizen, cmptest.CertOptions{})
	}
	cert := func(o cmptest.CertOptions) options { return options{cert: o} }
	for _, row := range []struct {
		name  string
		rule  string
		o     options
		setup func(*counter)
	}{
		{name: "empty", rule: "TOKEN-EMPTY", o: options{bare: true}},
		{name: "key without certificate", rule: "TOKEN-NO-CERT", o: options{bare: true}, setup: func(c *counter) {
			key, err := testKeys(pkcs11.P256)
			c.must(err)
			c.must(c.citizen.AddKey([]byte{1}, "key", key))
		}},
		{name: "unreadable certificate", rule: "TOKEN-EMPTY", o: options{bare: true}, setup: func(c *counter) {
			c.citizen.AddCertificate([]byte{1}, "junk", []byte("no DER at all"))
		}},
		{name: "expired", rule: "CERT-EXPIRED", o: cert(cmptest.CertOptions{Expired: true, DaysLeft: 1})},
		{name: "not yet valid", rule: "CERT-NOT-YET-VALID", o: options{
			cert:   cmptest.CertOptions{At: testTime.AddDate(0, 0, 30), DaysLeft: 366},
			change: func(p *profile.Profile) { p.Renewal.WindowDays = nil },
		}},
		{name: "revoked", rule: "CERT-REVOKED", o: cert(cmptest.CertOptions{Revoked: true})},
		{name: "foreign CA", rule: "CERT-FOREIGN", o: cert(cmptest.CertOptions{ForeignCA: true})},
		{name: "impostor CA", rule: "CERT-FOREIGN", o: options{bare: true}, setup: foreign},
		{name: "only nonRepudiation", rule: "CERT-NON-REPUDIATION", o: cert(cmptest.CertOptions{NonRepudiationOnly: true})},
		{name: "bad check digit", rule: "ID-CHECKSUM", o: cert(cmptest.CertOptions{BadChecksum: true})},
		{name: "too early", rule: "WINDOW-EARLY", o: cert(cmptest.CertOptions{DaysLeft: 200})},
		{name: "three people", rule: "TOKEN-CHOOSE", setup: func(c *counter) {
			for id, person := range map[byte]cmptest.Person{2: cmptest.Staff, 3: {Given: "Reza", Family: "Karimi", GivenFa: "رضا", FamilyFa: "کریمی", NationalID: "0084575948", Province: "اصفهان", City: "اصفهان"}} {
				key, err := testKeys(pkcs11.P256)
				c.must(err)
				der, err := c.pki.Citizen(key.Public(), cmptest.CertOptions{Person: person})
				c.must(err)
				c.must(c.citizen.AddKey([]byte{id}, "more", key))
				c.citizen.AddCertificate([]byte{id}, "more", der.Raw)
			}
		}},
		{name: "worker crashes", rule: RuleTokenUnreadable, setup: func(c *counter) {
			c.citizen.Inject(pkcs11test.Fault{Kind: pkcs11test.Crash, Verb: pkcs11.VerbObjects})
		}},
		{name: "worker hangs", rule: RuleTokenUnreadable, setup: func(c *counter) {
			c.citizen.Inject(pkcs11test.Fault{Kind: pkcs11test.Hang, Verb: pkcs11.VerbTokens})
		}},
		{name: "worker babbles", rule: RuleTokenUnreadable, setup: func(c *counter) {
			c.citizen.Inject(pkcs11test.Fault{Kind: pkcs11test.Babble, Verb: pkcs11.VerbTokens})
		}},
		{name: "token error", rule: RuleTokenUnreadable, setup: func(c *counter) {
			c.citizen.Inject(pkcs11test.Fault{Kind: pkcs11test.GeneralError, Verb: pkcs11.VerbObjects})
		}},
		{name: "cannot be opened", rule: RuleTokenUnreadable, setup: func(c *counter) { c.ports.openErr = errDisk }},
		{name: "blank", rule: RuleTokenBlank, setup: func(c *counter) { c.citizen.dial = c.blank }},
	} {
		t.Run(row.name, func(t *testing.T) {
			counterTest(t, row.o, func(c *counter) {
				if row.setup != nil {
					row.setup(c)
				}
				c.insert(c.citizen)
				time.Sleep(time.Minute) // a worker that hangs is given up
				c.refused(row.rule)
				if n := c.renewals(); n != 0 {
					t.Errorf("%d renewals were begun", n)
				}
				if !slices.Contains(c.story(), "turned-away:"+row.rule) {
					t.Errorf("journal %v", c.story())
				}
				if got := c.citizen.PINTries(); got != 0 {
					t.Errorf("%d PINs sent", got)
				}
				c.walk("remove")
				c.pull(c.citizen)
				c.at("idle")
			})
		})
	}
}

// On an unproven clock nothing is refused for its date: the request is stored, and
// the CA decides.
func TestUnprovenClock(t *testing.T) {
	for name, cert := range map[string]cmptest.CertOptions{
		"expired":       {Expired: true, DaysLeft: 3},
		"not yet valid": {At: testTime.AddDate(0, 0, 30), DaysLeft: 366},
		"too early":     {DaysLeft: 300},
	} {
		t.Run(name, func(t *testing.T) {
			counterTest(t, options{cert: cert, clock: ClockUnproven}, func(c *counter) {
				var text string
				c.walkWith(func(s display.Screen) bool {
					text += s.Text()
					return false
				}, "receipt")
				if !strings.Contains(text, plain("fa", "why.TIME-UNPROVEN")) {
					t.Error("nobody is told that the clock is not proven")
				}
				n := c.state(Receipted)
				if r, _, err := c.trust.Verify(n.Receipt); err != nil || r.Clock.String() != ClockUnproven {
					t.Errorf("receipt %+v, %v", r, err)
				}
				c.sync()
				if name == "too early" {
					c.walk("accepted")
					return
				}
				c.refused(RuleCARejected)
			})
		})
	}
}

// A clock that stands in 1970 stores requests all the same.
func TestClockAtItsBeginning(t *testing.T) {
	counterTest(t, options{clock: ClockUnproven}, func(c *counter) {
		c.clock.add(-testTime.Sub(time.Unix(0, 0)))
		c.walk("receipt")
		c.state(Receipted)
		c.unharmed(2)
	})
}

// Certificates of several subjects: the holder chooses, and that one is taken.
func TestChooseCertificate(t *testing.T) {
	second := func(c *counter) {
		key, err := testKeys(pkcs11.P256)
		c.must(err)
		der, err := c.pki.Citizen(key.Public(), cmptest.CertOptions{Person: cmptest.Staff})
		c.must(err)
		c.must(c.citizen.AddKey([]byte{2}, "second", key))
		c.citizen.AddCertificate([]byte{2}, "second", der.Raw)
		c.insert(c.citizen)
	}
	counterTest(t, options{}, func(c *counter) {
		second(c)
		s := c.at("choose")
		if len(s.Choices) != 3 || s.Choices[0].Label == s.Choices[1].Label {
			t.Fatalf("%+v", s.Choices)
		}
		c.press(choiceCancel)
		c.refused(RuleCancelled)
	})
	var names []string
	for i := range 2 {
		counterTest(t, options{}, func(c *counter) {
			second(c)
			c.at("choose")
			c.press(certificateChoice(i))
			s := c.at("token")
			names = append(names, s.Facts[1].Value)
			if n := c.renewals(); n != 0 {
				t.Errorf("%d renewals", n)
			}
		})
	}
	if len(names) != 2 || names[0] == names[1] {
		t.Errorf("whichever is chosen, it is %q", names)
	}
}

// Devices that are no token this terminal can use.
func TestUnknownDevice(t *testing.T) {
	for _, row := range []struct{ reason, rule string }{
		{"USB-UNKNOWN", "USB-UNKNOWN"}, {"USB-NO-MODULE", "USB-NO-MODULE"}, {"USB-DESCRIPTORS", "USB-DESCRIPTORS"}, {"USB-FOREIGN", "USB-FOREIGN"}, {"", RuleTokenUnsupported},
	} {
		t.Run(row.rule, func(t *testing.T) {
			counterTest(t, options{}, func(c *counter) {
				id := c.ports.plug(Device{Role: RoleCitizen, Model: "thing", Reason: row.reason, USB: "096e:0702", Description: "MT1:CITIZEN"}, nil)
				c.refused(row.rule)
				if s := c.at("refused"); s.QR != "MT1:CITIZEN" || !strings.Contains(s.Text(), "thing") || !strings.Contains(s.Text(), "096e:0702") {
					t.Errorf("code %q on a page that says\n%s", s.QR, s.Text())
				}
				c.press(choiceOK)
				c.at("remove")
				c.ports.unplug(id)
				c.at("idle")
				c.insert(c.citizen) // and the officer's port judges by the same rules
				c.walk("officer-insert")
				c.ports.plug(Device{Role: RoleOfficer, Reason: row.reason, Description: "MT1:OFFICER"}, nil)
				c.refused(row.rule)
				if s := c.at("refused"); s.QR != "MT1:OFFICER" {
					t.Errorf("code %q", s.QR)
				}
				c.says("fact.model-unknown")
				if c.ports.opened != 1 {
					t.Errorf("%d devices were opened", c.ports.opened)
				}
			})
		})
	}
}

// Two citizens' tokens: nobody is served until one of them is out.
func TestTwoTokens(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		id := c.ports.plug(Device{Role: RoleCitizen, Supported: true}, nil)
		c.ports.plug(Device{Role: RoleCitizen, Supported: true}, nil)
		c.refused(RuleTokenTwo)
		c.ports.unplug(id)
		c.at("refused")
		c.press(choiceOK)
		c.ports.unplug("d-2")
		c.at("idle")
	})
	counterTest(t, options{}, func(c *counter) {
		thing := c.ports.plug(Device{Role: RoleCitizen, Reason: "USB-UNKNOWN"}, nil)
		c.at("refused")
		second := c.ports.plug(Device{Role: RoleCitizen, Supported: true}, nil)
		c.insert(c.citizen)
		c.press(choiceOK)
		c.at("remove")
		c.ports.unplug(thing)
		c.refused(RuleTokenTwo)
		if c.ports.opened > 0 {
			t.Error("one of two tokens was opened")
		}
		c.ports.unplug(second)
		c.at("token") // the one that was left in is served
		if n := strings.Count(strings.Join(c.story(), " "), RuleTokenTwo); n != 1 {
			t.Errorf("journal %v", c.story())
		}
	})
}

// The second one comes while the first one is read.
func TestSecondTokenWhileReading(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.citizen.Inject(pkcs11test.Fault{Kind: pkcs11test.Slow, Verb: pkcs11.VerbObjects, Delay: 5 * time.Second})
		c.insert(c.citizen)
		c.at("reading")
		c.ports.plug(Device{Role: RoleCitizen, Supported: true}, nil)
		time.Sleep(6 * time.Second)
		c.refused(RuleTokenTwo)
		if n := c.renewals(); n != 0 {
			t.Errorf("%d renewals", n)
		}
	})
}

// A second token while the first one is served: nothing is signed.
func TestSecondTokenMeanwhile(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.walk("pin")
		c.ports.plug(Device{Role: RoleCitizen, Supported: true}, nil)
		c.walk("refused")
		c.refused(RuleTokenTwo)
		c.state(Refused)
	})
}

// Officers that may not check identities.
func TestOfficerRefused(t *testing.T) {
	until := func(set func(o *profile.Officer)) func(*profile.Profile) {
		return func(p *profile.Profile) { set(&p.Officers[0]) }
	}
	for _, row := range []struct {
		name  string
		rule  string
		o     options
		setup func(*counter)
	}{
		{name: "unlisted", rule: "OFFICER-UNKNOWN", o: options{unlisted: true}},
		{name: "training lapsed", rule: "OFFICER-TRAINING", o: options{change: until(func(o *profile.Officer) { o.TrainingUntil = testTime.AddDate(0, 0, -1) })}},
		{name: "appointment over", rule: "OFFICER-ENDED", o: options{change: until(func(o *profile.Officer) { o.NotAfter = testTime.AddDate(0, 0, -1) })}},
		{name: "other office", rule: "OFFICER-OFFICE", o: options{change: until(func(o *profile.Officer) { o.Office = "office-2" })}},
		{name: "revoked", rule: "OFFICER-REVOKED", o: options{officerCert: cmptest.CertOptions{Revoked: true}}},
		{name: "certificate expired", rule: "OFFICER-CERT", o: options{officerCert: cmptest.CertOptions{Expired: true, DaysLeft: 1}}},
		{name: "the holder", rule: "OFFICER-IS-HOLDER", o: options{officerCert: cmptest.CertOptions{Person: cmptest.Citizen}}},
		{name: "no certificate", rule: "OFFICER-UNKNOWN", setup: func(c *counter) {
			c.officer.Token = pkcs11test.New(pkcs11test.Options{Serial: "0002", PIN: officerPIN})
		}},
		{name: "same token", rule: "OFFICER-IS-HOLDER", setup: func(c *counter) { c.officer.dial = func() pipe { return c.citizen.Dial() } }},
		{name: "blank", rule: RuleTokenBlank, setup: func(c *counter) { c.officer.dial = c.blank }},
		{name: "cannot be opened", rule: RuleTokenUnreadable, setup: func(c *counter) {
			c.walk("officer-insert")
			c.ports.openErr = errDisk
		}},
		{name: "PIN locked", rule: "PIN-LOCKED", setup: func(c *counter) { c.officer.SetTriesLeft(0) }},
		{name: "lies about its key", rule: RuleTokenProof, setup: func(c *counter) {
			c.officer.Inject(pkcs11test.Fault{Kind: pkcs11test.LieKey, Verb: pkcs11.VerbSign})
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			counterTest(t, row.o, func(c *counter) {
				if row.setup != nil {
					row.setup(c)
				}
				c.walk("refused")
				c.refused(row.rule)
				if n := c.last(); !n.State.Ended() || n.Rule != row.rule {
					t.Errorf("renewal is %v by %s", n.State, n.Rule)
				}
				c.unharmed(1)
			})
		})
	}
}

// The number typed from the document: few tries, and words that do not tell a slip
// from a wrong document.
func TestWrongNumber(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.walk("national-id")
		for _, number := range []string{"12345", "0499370898", "0790419904"} { // form, check digit, somebody else's
			if c.glass.now().ID != "national-id" {
				t.Fatalf("after fewer tries than allowed:\n%s", c.glass.now().Text())
			}
			c.enter(number)
		}
		c.refused(RuleIdentity)
		c.state(Refused)
		for _, r := range c.journal.parsed() {
			if strings.HasPrefix(r.Rule, "TYPED-") {
				t.Errorf("the journal tells %s in clear", r.Rule)
			}
		}
		for _, s := range c.glass.shown {
			if strings.Contains(s.Text(), "TYPED-") {
				t.Errorf("a screen tells how the number was wrong:\n%s", s.Text())
			}
		}
		c.unharmed(1)
	})
	counterTest(t, options{}, func(c *counter) {
		c.walk("national-id")
		c.enter("0790419904")
		c.says("national-id.wrong")
		c.enter("12")
		c.says("national-id.wrong")
		c.walk("accepted")
	})
}

// A feature of the document or the face that does not match ends it, neutrally.
func TestIdentityNo(t *testing.T) {
	pages := askingPages(t, options{})
	for i, id := range pages {
		if id != "feature" && id != "face" {
			continue
		}
		counterTest(t, options{}, func(c *counter) {
			c.walkTo(i)
			c.glass.unmark()
			c.press(choiceNo)
			c.refused(RuleIdentity)
			c.state(Refused)
			c.unharmed(1)
		})
	}
}

// Terms that are not accepted, on each of their pages.
func TestTermsDeclined(t *testing.T) {
	for i, id := range askingPages(t, options{}) {
		if id != "terms" {
			continue
		}
		counterTest(t, options{}, func(c *counter) {
			c.walkTo(i)
			c.glass.unmark()
			c.press(choiceNo)
			c.refused(RuleTerms)
			c.state(Refused)
			c.unharmed(1)
		})
	}
}

// A full token: refused before anything is made, and by the token itself.
func TestFullToken(t *testing.T) {
	t.Run("told", func(t *testing.T) {
		counterTest(t, options{token: pkcs11test.Options{Room: 4000}}, func(c *counter) {
			c.walk("refused")
			c.refused(RuleTokenFull)
			c.state(Refused)
			if got := c.citizen.Calls(pkcs11.VerbGenerateKey); got != 0 {
				t.Errorf("%d keys were asked for", got)
			}
			c.unharmed(1)
		})
	})
	t.Run("found out", func(t *testing.T) {
		counterTest(t, options{}, func(c *counter) {
			c.citizen.Inject(pkcs11test.Fault{Kind: pkcs11test.Full, Verb: pkcs11.VerbGenerateKey})
			c.walk("refused")
			c.refused(RuleTokenFull)
			c.unharmed(1)
			c.walk("idle")
			c.walk("accepted") // room was made
			c.unharmed(2)
		})
	})
	t.Run("no room for the certificate", func(t *testing.T) {
		counterTest(t, options{}, func(c *counter) {
			c.citizen.Inject(pkcs11test.Fault{Kind: pkcs11test.Full, Verb: pkcs11.VerbWriteCertificate})
			c.walk("refused")
			c.refused(RuleTokenFull)
			c.state(Issued)
			c.unharmed(2)
			c.walk("idle")
			c.walk("pickup")
			c.walk("accepted")
			c.state(Loaded)
		})
	})
}

// The token's own lies are found out, and nothing is stored.
func TestLyingToken(t *testing.T) {
	for _, row := range []struct {
		name  string
		fault pkcs11test.Fault
		rule  string
	}{
		{"challenge by another key", pkcs11test.Fault{Kind: pkcs11test.LieKey, Verb: pkcs11.VerbSign}, RuleTokenProof},
		{"new key's signature", pkcs11test.Fault{Kind: pkcs11test.LieKey, Verb: pkcs11.VerbSign, Nth: 2}, RuleTokenUnreadable},
		{"old key's signature", pkcs11test.Fault{Kind: pkcs11test.LieKey, Verb: pkcs11.VerbSign, Nth: 3}, RuleTokenUnreadable},
		{"new key of another kind", pkcs11test.Fault{Kind: pkcs11test.LieKey, Verb: pkcs11.VerbGenerateKey}, RuleTokenUnreadable},
	} {
		t.Run(row.name, func(t *testing.T) {
			counterTest(t, options{}, func(c *counter) {
				c.citizen.Inject(row.fault)
				c.walk("refused")
				c.refused(row.rule)
				if n := c.last(); n.State.Signed() {
					t.Errorf("renewal is %v", n.State)
				}
				c.walk("idle")
				c.walk("accepted")
				c.unharmed(2)
			})
		})
	}
}

// Another token in the port between the officer's check and the signature.
func TestSwappedToken(t *testing.T) {
	swaps := map[string]func(c *counter, other *stick){
		"in the port": func(c *counter, other *stick) { // a removal and an insertion
			c.pull(c.citizen)
			c.insert(other)
		},
		"at once": func(c *counter, other *stick) {
			c.citizen.Remove()
			id := c.citizen.device
			c.ports.plug(Device{Role: RoleCitizen, Supported: true}, other)
			c.ports.unplug(id)
			synctest.Wait()
		},
	}
	for name, swap := range swaps {
		for _, page := range []string{"document", "review", "sign", "pin"} {
			t.Run(name+"/"+page, func(t *testing.T) {
				counterTest(t, options{}, func(c *counter) {
					other := &stick{Token: pkcs11test.New(pkcs11test.Options{PIN: citizenPIN, NewKey: testKeys}), role: RoleCitizen}
					c.issue(other, pkcs11.P256, c.pki.Citizen, cmptest.CertOptions{})
					c.walk(page)
					swap(c, other)
					c.refusedOrNext(RuleTokenRemoved)
					if n := other.Calls(pkcs11.VerbLogin) + other.Calls(pkcs11.VerbGenerateKey) + other.Calls(pkcs11.VerbSign); n != 0 {
						t.Errorf("the other token was used %d times", n)
					}
				})
			})
		}
	}
}

// refusedOrNext expects a refusal that the next citizen's token may have taken
// from the screen already.
func (c *counter) refusedOrNext(rule string) {
	c.t.Helper()
	c.at("refused", "token")
	if !slices.ContainsFunc(c.glass.shown, func(s display.Screen) bool {
		return s.ID == "refused" && strings.Contains(s.Text(), rule) && strings.Contains(s.Text(), plain("fa", "why."+rule))
	}) {
		c.t.Errorf("no screen says %s: %q", rule, c.glass.ids())
	}
	if n := c.last(); n.State != Abandoned || n.Rule != rule {
		c.t.Errorf("renewal is %v by %s", n.State, n.Rule)
	}
}

// Behind the same device suddenly stands another token. It has the same name, and
// lets itself be logged in to.
func TestSwappedBehindTheDevice(t *testing.T) {
	for name, twin := range map[string]func(c *counter, other *stick){
		"other holder": func(c *counter, other *stick) {
			c.issue(other, pkcs11.P256, c.pki.Citizen, cmptest.CertOptions{Person: cmptest.Staff})
		},
		"same certificate, no key": func(c *counter, other *stick) {
			other.AddCertificate([]byte{1}, "certificate", c.citizen.cert.Raw)
		},
	} {
		t.Run(name, func(t *testing.T) {
			counterTest(t, options{}, func(c *counter) {
				other := &stick{Token: pkcs11test.New(pkcs11test.Options{PIN: citizenPIN, NewKey: testKeys}), role: RoleCitizen}
				twin(c, other)
				relay := newRelay(c.citizen.Token, other.Token)
				c.citizen.dial = relay.dial
				c.walk("pin")
				relay.swap()
				c.entries[c.citizen]-- // the PIN goes to the other token
				c.walk("refused")
				c.refused(RuleTokenSwapped)
				c.state(Refused)
				c.citizen.dial = nil
				c.unharmed(1)
			})
		})
	}
}

// Key generation that was cut off leaves a pair of no use under its CKA_ID: the
// next attempt makes its own and leaves everything else alone.
func TestUselessPairFromBefore(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.citizen.Inject(pkcs11test.Fault{Kind: pkcs11test.Pull, Verb: pkcs11.VerbGenerateKey})
		c.walk("key-making")
		c.pull(c.citizen)
		c.walk("refused")
		c.walk("idle")
		records := c.journal.parsed()
		i := slices.IndexFunc(records, func(r Record) bool { return r.Event == EventKeyIntent })
		c.citizen.AddCertificate(records[i].KeyID, "in the way", c.citizen.cert.Raw)
		c.walk("accepted")
		c.state(Loaded)
		c.unharmed(2)
	})
}
