package kiosk

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mohr.internal/display"
	"mohr.internal/kiosk/cmp"
	"mohr.internal/kiosk/cmp/cmptest"
	"mohr.internal/kiosk/profile"
	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/pkcs11test"
)

// rack is a fleet in memory: pick-ups by public key.
type rack struct {
	pickups map[string]Pickup
	err     error
	wait    time.Duration
	asked   int
}

func (r *rack) Find(ctx context.Context, spki []byte) (Pickup, bool, error) {
	r.asked++
	select {
	case <-ctx.Done():
		return Pickup{}, false, ctx.Err()
	case <-time.After(r.wait):
	}
	if r.err != nil {
		return Pickup{}, false, r.err
	}
	p, ok := r.pickups[string(spki)]
	return p, ok, nil
}

// publish hangs the newest renewal's certificate up, as the kiosk that got it does.
func (c *counter) publish(r *rack) Pickup {
	c.t.Helper()
	n := c.state(Issued)
	request, err := c.kiosk.Ledger.Request(n.ID)
	c.must(err)
	p := Pickup{Renewal: n.ID, Request: request, Certificate: n.Certificate, Chain: n.Chain}
	if !n.Confirmed {
		p.Answer = n.Answer
	}
	r.pickups = map[string]Pickup{string(certificateOf(c.t, n.Certificate).RawSubjectPublicKeyInfo): p}
	return p
}

// renewAway makes a renewal at one kiosk and takes the token out; the certificate
// comes when the holder has gone.
func (c *counter) renewAway(r *rack) Pickup {
	c.t.Helper()
	c.walk("receipt")
	c.pull(c.citizen)
	c.pull(c.officer)
	c.sync()
	return c.publish(r)
}

// moveTo goes on at another kiosk, with a journal of its own; nil: a new one.
func (c *counter) moveTo(j *memJournal, f Fleet) (left *memJournal) {
	c.t.Helper()
	c.pull(c.citizen)
	c.pull(c.officer)
	c.halt()
	left = c.journal
	if j == nil {
		j = newJournal()
	}
	c.journal, c.fleet = j, f
	c.start()
	return left
}

// The holder comes back at another kiosk and gets the certificate there; the first
// one sees it when the token is there again.
func TestPickUpElsewhere(t *testing.T) {
	for name, o := range map[string]options{
		"new key":  {},
		"same key": {rsa: true, change: func(p *profile.Profile) { p.CA.NewKeys = []string{"RSA-4096"} }},
		"certConf": {ca: cmptest.CAOptions{WithholdImplicitConfirm: true}},
		"retired": {ca: cmptest.CAOptions{WithholdImplicitConfirm: true}, change: func(p *profile.Profile) {
			p.Renewal.Retire = "delete"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			counterTest(t, o, func(c *counter) {
				r := &rack{wait: 3 * time.Second}
				p := c.renewAway(r)
				a := c.moveTo(nil, r)
				c.walk("fleet-asking")
				c.says("fleet-asking.line")
				c.walk("pickup")
				c.says("pickup.elsewhere")
				c.walk("accepted")
				n := c.state(Loaded)
				if n.ID != p.Renewal || n.Tracking() != (Renewal{ID: p.Renewal}).Tracking() {
					t.Errorf("renewal %v, was %v elsewhere", n.ID, p.Renewal)
				}
				if given, _, err := c.trust.Verify(n.Receipt); err != nil || given.Request != sum(p.Request) {
					t.Errorf("receipt %+v, %v", given, err)
				}
				story := c.story()
				want := []string{"start", "Issued", "pin-try", "pin-result", "load-intent", "Loaded"}
				if p.Answer != nil {
					want = slices.Insert(want, 5, "confirm")
				}
				if !slices.Equal(story, want) {
					t.Errorf("journal %v", story)
				}
				c.walk("idle")
				c.sync()
				issued := c.ca.Issued()
				if len(issued) != 1 || issued[0].Confirmation == cmptest.Unconfirmed {
					t.Errorf("CA: %+v", issued)
				}
				if parcels := c.kiosk.Outbox.Pending(); len(parcels) != 0 {
					t.Errorf("still owed: %v", parcels[0].ID)
				}
				c.halt() // and all of it can be replayed
				c.start()
				c.insert(c.citizen) // a certificate like any other
				c.refused("WINDOW-EARLY")
				if p.Answer != nil {
					return
				}
				c.walk("remove")
				c.moveTo(a, nil)
				c.insert(c.citizen)
				c.refused("WINDOW-EARLY")
				if got := c.story(); !slices.Contains(got, "loaded-elsewhere") {
					t.Errorf("journal of the first kiosk %v", got)
				}
				c.walk("idle")
				c.insert(c.citizen)
				c.refused("WINDOW-EARLY")
				if n := c.count("loaded-elsewhere"); n != 1 {
					t.Errorf("journaled %d times", n)
				}
				if way, rule := c.last().Waits(); way != "" || rule != "" {
					t.Errorf("still waits for %s %s", way, rule)
				}
			})
		})
	}
}

// Where a certConf is owed the first kiosk cannot know whether the other sent one: it
// finishes the renewal, too, and the CA hears it twice.
func TestPickUpConfirmedTwice(t *testing.T) {
	counterTest(t, options{ca: cmptest.CAOptions{WithholdImplicitConfirm: true}}, func(c *counter) {
		r := &rack{}
		c.renewAway(r)
		a := c.moveTo(nil, r)
		c.walk("accepted")
		c.sync()
		c.walk("idle")
		c.moveTo(a, r)
		c.walk("accepted")
		c.sync()
		if parcels := c.kiosk.Outbox.Pending(); len(parcels) != 0 {
			t.Errorf("still owed: %v", parcels[0].ID)
		}
		c.state(Loaded)
	})
}

// The pick-up is cut off at any point and goes on at the same kiosk, also without the
// fleet: it is in the journal.
func TestPickUpInterrupted(t *testing.T) {
	for _, page := range []string{"pickup", "pin"} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(page, restart), func(t *testing.T) {
				counterTest(t, options{}, func(c *counter) {
					r := &rack{}
					c.renewAway(r)
					c.moveTo(nil, r)
					c.walk(page)
					c.pull(c.citizen)
					c.state(Issued)
					r.err = errors.New("no route")
					if restart {
						c.halt()
						c.start()
					}
					c.walk("idle")
					c.walk("pickup")
					c.walk("accepted")
					c.state(Loaded)
					if n := c.renewals(); n != 1 {
						t.Errorf("%d renewals", n)
					}
				})
			})
		}
	}
}

// A hostile centre gets nothing written to a token, and nothing is lost.
func TestPickUpForged(t *testing.T) {
	built := func(c *counter) func(der []byte, err error) []byte {
		return func(der []byte, err error) []byte {
			c.must(err)
			return der
		}
	}
	issue := func(c *counter, p *cmptest.PKI, key any, o cmptest.CertOptions) []byte {
		cert, err := p.Citizen(key, o)
		c.must(err)
		return cert.Raw
	}
	year := cmptest.CertOptions{DaysLeft: 400}
	forgeries := map[string]func(c *counter, p *Pickup){
		"not a certificate": func(c *counter, p *Pickup) { p.Certificate = []byte("junk") },
		"no certificate":    func(c *counter, p *Pickup) { p.Certificate = nil },
		"oversized":         func(c *counter, p *Pickup) { p.Certificate = bytes.Repeat([]byte{0x30}, 17<<10) },
		"oversized request": func(c *counter, p *Pickup) { p.Request = bytes.Repeat([]byte{0x30}, cmp.MaxMessage+1) },
		"trailing bytes":    func(c *counter, p *Pickup) { p.Certificate = append(bytes.Clone(p.Certificate), 0) },
		"another's key": func(c *counter, p *Pickup) {
			p.Certificate = issue(c, c.pki, c.officer.key.Public(), year)
		},
		"the old key": func(c *counter, p *Pickup) {
			p.Certificate = issue(c, c.pki, c.citizen.key.Public(), year)
		},
		"another's name": func(c *counter, p *Pickup) {
			key := certificateOf(c.t, p.Certificate).PublicKey
			p.Certificate = issue(c, c.pki, key, cmptest.CertOptions{DaysLeft: 400, Person: cmptest.Staff})
		},
		"another CA": func(c *counter, p *Pickup) {
			other, err := c.pki.Impostor()
			c.must(err)
			cert, err := other.Twin(c.citizen.cert, certificateOf(c.t, p.Certificate).PublicKey, c.clock.Now())
			c.must(err)
			p.Certificate, p.Chain = cert.Raw, [][]byte{other.Issuing.Raw, other.Root.Raw}
		},
		"not for signing": func(c *counter, p *Pickup) {
			o := year
			o.NonRepudiationOnly = true
			p.Certificate = issue(c, c.pki, certificateOf(c.t, p.Certificate).PublicKey, o)
		},
		"no request":      func(c *counter, p *Pickup) { p.Request = nil },
		"another renewal": func(c *counter, p *Pickup) { p.Renewal[0] ^= 1 },
		"no renewal":      func(c *counter, p *Pickup) { p.Renewal = RenewalID{} },
		"request changed": func(c *counter, p *Pickup) {
			p.Request = bytes.Clone(p.Request)
			p.Request[len(p.Request)/2] ^= 1
		},
		"request without the kiosk": func(c *counter, p *Pickup) {
			m, err := cmp.Parse(p.Request)
			c.must(err)
			inner, err := m.Inner()
			c.must(err)
			p.Request = inner.Raw()
		},
		"request nested by nobody": func(c *counter, p *Pickup) {
			m, err := cmp.Parse(p.Request)
			c.must(err)
			inner, err := m.Inner()
			c.must(err)
			p.Request = built(c)(cmp.Nested{
				Inner: inner.Raw(), Key: c.officer.key, Cert: c.officer.cert, Chain: c.pki.Chain(), Attestation: m.Attestation(),
				Time: m.Time(), Recipient: c.pki.Issuing.RawSubject,
			}.Build(c.rand))
		},
		"junk for an answer": func(c *counter, p *Pickup) { p.Answer = []byte("junk") },
		"an answer of nobody": func(c *counter, p *Pickup) {
			m, err := cmp.Parse(p.Request)
			c.must(err)
			inner, err := m.Inner()
			c.must(err)
			p.Answer = built(c)(cmp.Reply{
				To: inner, Key: c.officer.key, Cert: c.officer.cert, Chain: c.pki.Chain(), SenderNonce: make([]byte, 16), Time: c.clock.Now(),
			}.Issued(c.rand, certificateOf(c.t, p.Certificate), false))
		},
		"an answer that refuses": func(c *counter, p *Pickup) {
			m, err := cmp.Parse(p.Request)
			c.must(err)
			inner, err := m.Inner()
			c.must(err)
			p.Answer = built(c)(cmp.Reply{
				To: inner, Key: c.pki.ResponderKey, Cert: c.pki.Responder, Chain: c.pki.Chain(), SenderNonce: make([]byte, 16), Time: c.clock.Now(),
			}.Rejected(c.rand, cmp.FailBadRequest))
		},
	}
	for name, forge := range forgeries {
		t.Run(name, func(t *testing.T) {
			counterTest(t, options{}, func(c *counter) {
				r := &rack{}
				p := c.renewAway(r)
				for spki := range r.pickups {
					bad := p
					forge(c, &bad)
					r.pickups[spki] = bad
				}
				c.moveTo(nil, r)
				c.insert(c.citizen)
				c.refused(RuleFleetAnswer)
				c.walk("idle")
				if n := c.renewals(); n != 0 {
					t.Errorf("%d renewals: %v", n, c.story())
				}
				c.unharmed(2)
				if n := c.certificates(); n != 1 {
					t.Errorf("%d certificates on the token", n)
				}
				c.publishAgain(r, p)
				c.walk("accepted") // what is right is taken after all
				c.state(Loaded)
			})
		})
	}
}

// publishAgain puts the right pick-up back.
func (c *counter) publishAgain(r *rack, p Pickup) {
	r.pickups = map[string]Pickup{string(certificateOf(c.t, p.Certificate).RawSubjectPublicKeyInfo): p}
}

// certificates are those on the citizen's token.
func (c *counter) certificates() (n int) {
	c.t.Helper()
	s := pkcs11.NewSession(c.citizenAtHome())
	defer c.citizen.Remove()
	defer s.Close()
	objects, err := s.Objects(c.t.Context())
	c.must(err)
	for _, o := range objects {
		if o.CertificateDER != nil {
			n++
		}
	}
	return n
}

// The pick-up of somebody else's token, whole and genuine, is nobody's certificate here.
func TestPickUpOfAnother(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		r := &rack{}
		p := c.renewAway(r)
		c.moveTo(nil, r)
		other := &stick{Token: pkcs11test.New(pkcs11test.Options{PIN: citizenPIN, Serial: "0003", NewKey: testKeys}), role: RoleCitizen, pin: citizenPIN}
		c.issue(other, pkcs11.P256, c.pki.Citizen, cmptest.CertOptions{Person: cmptest.Staff})
		bare, err := testKeys(pkcs11.P256)
		c.must(err)
		c.must(other.AddKey([]byte{9}, "bare", bare))
		spki, err := x509.MarshalPKIXPublicKey(bare.Public())
		c.must(err)
		r.pickups = map[string]Pickup{string(spki): p}
		c.insert(other)
		c.refused(RuleFleetAnswer)
		c.press(choiceOK)
		c.pull(other)
		c.at("idle")
	})
}

// Nothing that came too late keeps a holder from a new renewal.
func TestPickUpOfNoUse(t *testing.T) {
	for name, meanwhile := range map[string]func(c *counter, p Pickup){
		"revoked": func(c *counter, p Pickup) { c.pki.Revoke(certificateOf(c.t, p.Certificate), testTime) },
		"no newer": func(c *counter, p Pickup) {
			c.clock.add(48 * time.Hour)
			newer, err := c.pki.Twin(c.citizen.cert, c.citizen.key.Public(), c.clock.Now())
			c.must(err)
			c.citizen.AddCertificate([]byte{1}, "newer", newer.Raw)
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options{change: func(p *profile.Profile) { p.Renewal.WindowDays = nil }}
			counterTest(t, o, func(c *counter) {
				r := &rack{}
				p := c.renewAway(r)
				meanwhile(c, p)
				c.moveTo(nil, r)
				c.walk("token")
				if r.asked == 0 {
					t.Error("nobody asked")
				}
			})
		})
	}
}

// Unknown now is not no: the holder is asked, and may go on without.
func TestPickUpUnknown(t *testing.T) {
	for rule, f := range map[string]*rack{
		RuleFleetUnknown: {err: errors.New("no route")},
		RuleFleetPending: {},
	} {
		t.Run(rule, func(t *testing.T) {
			counterTest(t, options{}, func(c *counter) {
				r := &rack{}
				c.renewAway(r)
				p := r.pickups
				c.moveTo(nil, f)
				c.walk("elsewhere")
				c.says("why." + rule)
				c.says("elsewhere.line")
				c.press(choiceYes)
				c.refused(rule)
				c.walk("remove")
				c.pull(c.citizen)
				c.walk("elsewhere")
				c.press(choiceCancel)
				c.refused(RuleCancelled)
				c.walk("remove")
				c.pull(c.citizen)
				f.err, f.pickups = nil, p // later
				c.walk("accepted")
				c.state(Loaded)
				c.unharmed(2)
			})
		})
		t.Run(rule+"/no receipt", func(t *testing.T) {
			counterTest(t, options{}, func(c *counter) {
				c.walk("pin") // cut off after the key was made, and so there is none
				c.enterPIN(c.citizen, citizenPIN)
				c.at("receipt")
				c.moveTo(nil, f)
				f.err = errors.New("no route")
				if rule == RuleFleetPending {
					f.err = nil
				}
				c.walk("elsewhere")
				c.press(choiceNo)
				c.walk("receipt")
				if r := c.journal.parsed(); !slices.ContainsFunc(r, func(r Record) bool {
					return r.State == TokenRead.String() && slices.Contains(r.Notes, rule)
				}) {
					t.Errorf("no note of %s: %v", rule, c.story())
				}
				if e := c.evidence(); !slices.Contains(e.Warnings, rule) {
					t.Errorf("evidence %v", e.Warnings)
				}
			})
		})
	}
}

// The journal fails at any append of a pick-up, with and without the record on disk:
// nothing is lost and nothing made twice.
func TestPickUpJournalFails(t *testing.T) {
	t.Parallel()
	o := options{ca: cmptest.CAOptions{WithholdImplicitConfirm: true}}
	for n := 1; n <= 6; n++ { // Issued, pin-try, pin-result, load-intent, confirm, Loaded
		for _, persists := range []bool{false, true} {
			t.Run(fmt.Sprint(n, persists), func(t *testing.T) {
				counterTest(t, o, func(c *counter) {
					r := &rack{}
					c.renewAway(r)
					c.moveTo(nil, r)
					c.journal.fail(n, persists)
					c.walkWith(func(display.Screen) bool {
						if c.ran() {
							c.glass.mark("stop")
						}
						return c.ran()
					}, "stop")
					c.glass.unmark()
					c.outOfService()
					if got := c.citizen.PINTries(); got >= c.entries[c.citizen]-1 && got <= c.entries[c.citizen] {
						c.entries[c.citizen] = got // a try that could not be journaled was not made
					}
					c.restart()
					if all := c.kiosk.Ledger.All(func(n Renewal) bool { return n.State == Loaded }); len(all) == 0 {
						c.walk("accepted")
					}
					c.sync()
					c.state(Loaded)
					if issued := c.ca.Issued(); len(issued) != 1 || issued[0].Confirmation != cmptest.Accepted || c.renewals() != 1 {
						t.Errorf("CA: %+v; %d renewals", issued, c.renewals())
					}
					c.unharmed(2)
				})
			})
		}
	}
}

// A kiosk without a clock judges the certificate by what is in it.
func TestPickUpWithoutAClock(t *testing.T) {
	for name, shift := range map[string]time.Duration{"1970": -56 * 365 * 24 * time.Hour, "ten years on": 10 * 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			counterTest(t, options{}, func(c *counter) {
				r := &rack{}
				c.renewAway(r)
				c.clock.add(shift)
				c.clock.mu.Lock()
				c.clock.quality = ClockUnproven
				c.clock.mu.Unlock()
				c.moveTo(nil, r)
				c.walk("pickup")
				c.walk("accepted")
				c.state(Loaded)
			})
		})
	}
}

// A journal that is full begins no pick-up either; one that was begun it finishes.
func TestPickUpWithoutRoom(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		r := &rack{}
		c.renewAway(r)
		c.moveTo(nil, r)
		c.at("idle")
		c.room(0.96, 40<<20)
		c.walk("full")
		c.insert(c.citizen)
		c.at("refused")
		if n := c.renewals(); n != 0 || r.asked != 0 {
			t.Errorf("%d renewals, asked %d times", n, r.asked)
		}
	})
	counterTest(t, options{}, func(c *counter) {
		r := &rack{}
		c.renewAway(r)
		c.moveTo(nil, r)
		c.walk("pickup")
		c.pull(c.citizen)
		c.room(0.96, 40<<20)
		c.press(choiceOK)
		c.at("full")
		c.insert(c.citizen)
		c.walk("accepted")
		c.state(Loaded)
	})
}

// The fleet takes its time: the holder waits no longer than said, and may pull the token.
func TestPickUpSlowFleet(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		r := &rack{}
		c.renewAway(r)
		r.wait = time.Hour
		c.moveTo(nil, r)
		start := time.Now()
		c.walk("token")
		if took := time.Since(start); took > fleetWait+time.Second {
			t.Errorf("took %v", took)
		}
		c.pull(c.citizen)
		c.walk("idle")
		c.insert(c.citizen)
		c.at("fleet-asking")
		c.pull(c.citizen)
		c.refused(RuleTokenRemoved)
	})
}

// Most tokens have no key that another kiosk could have made: nobody is asked.
func TestPickUpNotAsked(t *testing.T) {
	r := &rack{err: errors.New("no route")}
	counterTest(t, options{}, func(c *counter) {
		c.moveTo(nil, r)
		c.walk("sign")
		c.pull(c.citizen)
		c.walk("idle")
		c.walk("pin")
		c.enterPIN(c.citizen, citizenPIN)
		c.at("receipt")
		c.ca.Behave(cmptest.Behaviour{Kind: cmptest.Reject})
		c.sync()
		c.refused(RuleCARejected)
		c.walk("idle")
		c.walk("token") // with the key that this kiosk made
		if r.asked != 0 || strings.Contains(strings.Join(c.glass.ids(), " "), "fleet-asking") {
			t.Errorf("asked %d times", r.asked)
		}
	})
}
