package kiosk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"mohr.internal/display"
	"mohr.internal/kiosk/cmp/cmptest"
	"mohr.internal/kiosk/profile"
	"mohr.internal/kiosk/receipt"
	"mohr.internal/kiosk/words"
	"mohr.internal/pkcs11/pkcs11test"
)

// A first renewal from the inserted token to the new certificate on it.
func TestFirstRenewal(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.at("idle")
		c.walk("receipt")
		c.says("receipt.recorded")
		n := c.state(Receipted)
		r, _, err := c.trust.Verify(n.Receipt)
		if err != nil || r.State != receipt.Recorded || r.Request != sha256.Sum256(n.Request) {
			t.Errorf("receipt: %+v, %v", r, err)
		}
		c.walk("accepted")
		c.says("receipt.accepted")
		n = c.state(Loaded)
		if r, _, err := c.trust.Verify(n.Receipt); err != nil || r.State != receipt.Accepted {
			t.Errorf("receipt: %+v, %v", r, err)
		}
		c.walk("remove")
		c.walk("idle")
		c.unharmed(2)
		want := []string{
			"start", "TokenRead", "pin-try", "pin-result", "IdentityVerified", "OfficerApproved", "pin-try", "pin-result",
			"key-intent", "KeyReady", "evidence", "RequestSigned", "Stored", "Receipted", "Delivered", "Issued", "load-intent", "Loaded",
		}
		if got := c.story(); !slices.Equal(got, want) {
			t.Errorf("journal:\n got %v\nwant %v", got, want)
		}
		if issued := c.ca.Issued(); len(issued) != 1 || issued[0].Confirmation != cmptest.Implicit {
			t.Errorf("CA issued %+v", issued)
		} else if s := issued[0].Statement; s.Renewal != "first" || s.Office != testOffice || s.Kiosk != "kiosk-7" || s.ClockQuality != ClockTrusted {
			t.Errorf("statement %+v", s)
		}
		if n.Request != nil || n.Chain != nil {
			t.Error("an ended renewal keeps its request in memory")
		}
	})
}

// evidence opens the sealed evidence of the newest renewal, as the CA would.
func (c *counter) evidence() (e Evidence) {
	c.t.Helper()
	for _, r := range c.journal.parsed() {
		if r.Sealed == nil {
			continue
		}
		plain, err := age.Decrypt(bytes.NewReader(r.Sealed), c.age)
		c.must(err)
		b, err := io.ReadAll(plain)
		c.must(err)
		c.must(recordDecoder.Unmarshal(b, &e))
	}
	return e
}

// What is sealed for the CA is what happened.
func TestEvidence(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		wrong := true
		c.walkWith(func(s display.Screen) bool {
			if s.ID == "national-id" && wrong {
				wrong = false
				c.enter("0790419904") // somebody else's
				return true
			}
			return false
		}, "receipt")
		e := c.evidence()
		n := c.last()
		terms := c.profile.Terms.Hash("fa")
		if !bytes.Equal(e.Renewal, n.ID[:]) || e.Holder != c.number() || e.Document != "national-card" || !e.NumberMatched ||
			!slices.Equal(e.TypingErrors, []string{"TYPED-MISMATCH"}) || len(e.Features) != 3 || len(e.Face) != 6 ||
			e.TermsHash != hex.EncodeToString(terms[:]) || e.TermsLanguage != "fa" || e.Started > e.TermsAccepted || e.TermsAccepted > e.Ended {
			t.Errorf("evidence %+v", e)
		}
	})
}

// Who changes the language while reading the terms reads them from the start, and
// the evidence names the language in which all of them were shown.
func TestTermsInOneLanguage(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.walk("terms")
		c.press(choiceYes)
		c.at("terms")
		c.key('L')
		c.press(choiceYes)
		first := plain("en", "review.part", "n", "1", "of", "3")
		if s := c.at("terms"); s.Lang != "en" || !strings.Contains(s.Text(), first) {
			t.Errorf("not at the start of the English terms:\n%s", s.Text())
		}
		c.walk("receipt")
		if e := c.evidence(); e.TermsLanguage != "en" {
			t.Errorf("evidence names %q", e.TermsLanguage)
		}
	})
}

// The language key works on every page that people see, and goes back.
func TestLanguageOnEveryPage(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		seen := map[string]bool{}
		c.walkWith(func(s display.Screen) bool {
			if s.ID == "terms" || seen[s.ID] { // the terms have a test of their own
				return false
			}
			seen[s.ID] = true
			other := words.After(s.Lang)
			c.key('L')
			if now := c.glass.now(); now.ID != s.ID || now.Lang != other || now.Text() == s.Text() || now.RTL == s.RTL {
				t.Errorf("screen %q in %q after the language key: %q in %q", s.ID, s.Lang, now.ID, now.Lang)
			}
			c.key('L')
			if now := c.glass.now(); now.Text() != s.Text() {
				t.Errorf("screen %q is another after two language keys:\n%s", s.ID, now.Text())
			}
			return false
		}, "remove")
		for _, id := range []string{"idle", "token", "officer-insert", "officer-pin", "document", "national-id", "feature", "face", "review", "sign", "pin", "receipt", "accepted"} {
			if !seen[id] {
				t.Errorf("screen %q was not there", id)
			}
		}
	})
}

// The next person starts in the office's language.
func TestLanguageIsForgotten(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.insert(c.citizen)
		c.at("token")
		c.key('L')
		c.press(choiceCancel)
		if s := c.at("refused"); s.Lang != "en" {
			t.Errorf("refused in %q", s.Lang)
		}
		c.walk("remove")
		c.pull(c.citizen)
		if s := c.at("idle"); s.Lang != "fa" {
			t.Errorf("idle in %q", s.Lang)
		}
	})
}

// asking are the pages, in order, on which a person is asked something before the
// request is stored; parts of the same kind count each.
func askingPages(t *testing.T, o options) (pages []string) {
	counterTest(t, o, func(c *counter) {
		c.walkWith(func(s display.Screen) bool {
			if s.ID != "idle" {
				pages = append(pages, s.ID)
			}
			return false
		}, "receipt")
	})
	if len(pages) < 15 {
		t.Fatalf("only %q", pages)
	}
	return pages
}

// walkTo stops at the n-th page on which a person is asked something.
func (c *counter) walkTo(n int) display.Screen {
	c.t.Helper()
	stop := display.Screen{}
	c.walkWith(func(s display.Screen) bool {
		if s.ID == "idle" {
			return false
		}
		if n--; n >= 0 {
			return false
		}
		stop = s
		c.glass.mark("stop")
		return true
	}, "stop")
	return stop
}

// mark adds a page that nobody sees, to end a walk.
func (g *glass) mark(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shown = append(g.shown, display.Screen{ID: id})
}

// unmark takes it away again.
func (g *glass) unmark() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.shown); n > 0 && g.shown[n-1].ID == "stop" {
		g.shown = g.shown[:n-1]
	}
}

// Cancel ends the ceremony on every page: by button and by key.
func TestCancelOnEveryPage(t *testing.T) {
	t.Parallel()
	for i, id := range askingPages(t, options{}) {
		t.Run(id, func(t *testing.T) {
			counterTest(t, options{}, func(c *counter) {
				if s := c.walkTo(i); s.ID != id {
					t.Fatalf("page %d is %q, want %q", i, s.ID, id)
				}
				c.glass.unmark()
				if i%2 == 0 {
					c.key('C')
				} else {
					c.press(choiceCancel)
				}
				c.refused(RuleCancelled)
				if i > 0 {
					c.state(Abandoned)
				}
				c.walk("idle")
				c.unharmed(1)
				c.walk("accepted") // and another time it works
				c.unharmed(2)
			})
		})
	}
}

// Nobody answers: a warning, then the end. An answer to the warning goes on.
func TestIdleOnEveryPage(t *testing.T) {
	t.Parallel()
	for i, id := range askingPages(t, options{}) {
		t.Run(id, func(t *testing.T) {
			counterTest(t, options{}, func(c *counter) {
				c.walkTo(i)
				c.glass.unmark()
				time.Sleep(c.kiosk.Idle + time.Second)
				c.at("idle-warning")
				if s := c.glass.now(); !strings.Contains(s.Text(), plain("fa", "idle-warning.line")) {
					t.Errorf("warning:\n%s", s.Text())
				}
				c.key('L') // an answer, and one language further
				if s := c.at(id); s.Lang != "en" {
					t.Errorf("in %q after the language key", s.Lang)
				}
				time.Sleep(c.kiosk.Idle + time.Second)
				if s := c.at("idle-warning"); !strings.Contains(s.Text(), plain("en", "idle-warning.line")) {
					t.Errorf("warning:\n%s", s.Text())
				}
				c.press(choiceOK)
				c.at(id)
				c.key('L')
				c.walk("accepted")
			})
		})
		t.Run(id+"/gone", func(t *testing.T) {
			counterTest(t, options{}, func(c *counter) {
				c.walkTo(i)
				c.glass.unmark()
				time.Sleep(c.kiosk.Idle + time.Second)
				c.at("idle-warning")
				time.Sleep(idleWarning)
				c.refused(RuleIdle)
				if i > 0 {
					c.state(Abandoned)
				}
				c.walk("idle")
				c.unharmed(1)
			})
		})
	}
}

// Keys and algorithms: what the profile wants and the token can.
func TestKeys(t *testing.T) {
	t.Parallel()
	only := func(names ...string) func(*profile.Profile) {
		return func(p *profile.Profile) { p.CA.NewKeys = names }
	}
	for _, row := range []struct {
		name string
		o    options
		keys int
		alg  string
	}{
		{"P-256 to P-256", options{}, 2, "P-256"},
		{"RSA to P-256", options{rsa: true}, 2, "P-256"},
		{"RSA to RSA", options{rsa: true, change: only("RSA-2048")}, 2, "RSA-2048"},
		{"P-256 to RSA", options{change: only("RSA-2048")}, 2, "RSA-2048"},
		{"same key", options{rsa: true, change: only("RSA-4096")}, 1, "="},
		{"ir-gica", options{rsa: true, profile: "ir-gica"}, 2, "RSA-2048"},
	} {
		t.Run(row.name, func(t *testing.T) {
			counterTest(t, row.o, func(c *counter) {
				s := c.walk("sign")
				if !slices.ContainsFunc(s.Facts, func(f display.Fact) bool { return f.Value == row.alg }) {
					t.Errorf("key %q is not shown:\n%s", row.alg, s.Text())
				}
				c.walk("accepted")
				c.state(Loaded)
				c.unharmed(row.keys)
			})
		})
	}
}

// A token that makes no key the profile wants.
func TestNoKeyKind(t *testing.T) {
	o := options{change: func(p *profile.Profile) { p.CA.NewKeys, p.CA.SameKeyRenewal = []string{"RSA-4096"}, false }}
	counterTest(t, o, func(c *counter) {
		c.walk("refused")
		c.refused("KEY-ALGORITHM")
		c.state(Refused)
		c.unharmed(1)
	})
}

// The old pair goes if the profile says so, and only after the new one is proven.
func TestRetire(t *testing.T) {
	o := options{change: func(p *profile.Profile) { p.Renewal.Retire = "delete" }, ca: cmptest.CAOptions{WithholdImplicitConfirm: true}}
	counterTest(t, o, func(c *counter) {
		c.walk("accepted")
		c.state(Loaded)
		if got := c.citizen.PrivateKeys(); got != 1 {
			t.Errorf("%d private keys, want the new one", got)
		}
		c.sync()
		if issued := c.ca.Issued(); issued[0].Confirmation != cmptest.Accepted {
			t.Errorf("certConf: %v", issued[0].Confirmation)
		}
	})
}

// With the real profile the comparison of faces takes its time.
func TestFaceTakesItsTime(t *testing.T) {
	o := options{rsa: true, profile: "ir-gica"}
	counterTest(t, o, func(c *counter) {
		least := time.Duration(c.profile.Identity.FaceSeconds) * time.Second
		if least == 0 {
			t.Fatal("ir-gica asks for no time")
		}
		c.walk("face")
		start := time.Now()
		c.walk("face-wait")
		c.says("face-wait.title")
		c.walk("terms")
		if took := time.Since(start); took < least {
			t.Errorf("took %v, want %v", took, least)
		}
		c.walk("receipt")
		if e := c.evidence(); e.FaceMillis < least.Milliseconds() {
			t.Errorf("evidence says %d ms", e.FaceMillis)
		}
	})
}

// A renewal that is known not to be the first could be done from home.
func TestLater(t *testing.T) {
	o := options{change: func(p *profile.Profile) {
		p.Renewal.Signals = []string{"not-before", "older-on-token"}
	}}
	counterTest(t, o, func(c *counter) {
		older, err := c.pki.Citizen(c.citizen.key.Public(), cmptest.CertOptions{At: testTime.AddDate(-1, 0, 0)})
		c.must(err)
		c.citizen.AddCertificate([]byte{1}, "older", older.Raw)
		c.walk("later")
		c.says("later.title")
		c.walk("accepted")
		if s := c.ca.Issued()[0].Statement; s.Renewal != "later" || s.Signal != "older-on-token" {
			t.Errorf("statement %+v", s)
		}
	})
}

// A foreign national has another document and a number without a check digit.
func TestForeignNational(t *testing.T) {
	for _, name := range []string{"demo", "ir-gica"} {
		t.Run(name, func(t *testing.T) {
			counterTest(t, options{profile: name, rsa: true, cert: cmptest.CertOptions{ForeignNational: true}}, func(c *counter) {
				c.walk("token")
				c.says("why.ID-FOREIGN")
				if s := c.walk("document"); len(s.Choices) != 2 || s.Choices[0].ID != "residence-card" {
					t.Errorf("documents: %+v", s.Choices)
				}
				c.walk("accepted")
				c.state(Loaded)
			})
		})
	}
}

// Warnings are shown and recorded, and stop nothing.
func TestTitleWarning(t *testing.T) {
	for rule, person := range map[string]cmptest.CertOptions{
		"TITLE-MISSING": {MissingTitle: true},
		"TITLE-UNKNOWN": {Person: cmptest.Staff},
	} {
		t.Run(rule, func(t *testing.T) {
			counterTest(t, options{cert: person}, func(c *counter) {
				c.walk("token")
				c.says("why." + rule)
				c.walk("accepted")
				if r := c.journal.parsed()[1]; !slices.Contains(r.Notes, rule) {
					t.Errorf("notes %v", r.Notes)
				}
				if e := c.evidence(); !slices.Contains(e.Warnings, rule) {
					t.Errorf("evidence %v", e.Warnings)
				}
			})
		})
	}
}

// Many warnings get a page of their own, and all of them are shown.
func TestManyWarnings(t *testing.T) {
	p := cmptest.Staff
	p.Affiliation, p.Title, p.NationalID = "Nobody knows", "مدیر", "790419904"
	o := options{cert: cmptest.CertOptions{Person: p, DaysLeft: 2}, noCRL: true, clock: ClockUnproven,
		change: func(p *profile.Profile) { p.Country = "AF" }}
	counterTest(t, o, func(c *counter) {
		c.glass.private = ""
		var text string
		c.walkWith(func(s display.Screen) bool {
			if s.ID != "notice" {
				return false
			}
			text += s.Text()
			c.press(choiceOK)
			return true
		}, "officer-insert")
		notes := c.journal.parsed()[1].Notes
		if len(notes) < 5 {
			t.Fatalf("only %v", notes)
		}
		for _, rule := range notes {
			if !strings.Contains(text, plain("fa", "why."+rule)) {
				t.Errorf("%s was not shown", rule)
			}
		}
	})
}

// Nothing is gained by pressing twice: a press that came before the question is
// not an answer to it.
func TestDoublePress(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.walk("feature")
		before := c.glass.now().Text()
		c.glass.inputs <- Input{Target: choiceYes}
		c.glass.inputs <- Input{Target: choiceYes}
		s := c.at("feature")
		if s.Progress.Done != 2 || s.Text() == before {
			t.Errorf("after a double press:\n%s", s.Text())
		}
	})
}

// A slow token is waited for.
func TestSlowToken(t *testing.T) {
	counterTest(t, options{token: pkcs11test.Options{KeyDelay: 15 * time.Second}}, func(c *counter) {
		c.walk("pin")
		c.enterPIN(c.citizen, citizenPIN)
		c.at("key-making")
		c.says("key-making.line")
		c.walk("accepted")
	})
}
