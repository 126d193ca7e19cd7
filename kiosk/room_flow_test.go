package kiosk

import (
	"crypto/rand"
	mathrand "math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"mohr.internal/appliance/journal"
	"mohr.internal/appliance/journal/bounds"
	"mohr.internal/appliance/vault"
	"mohr.internal/display"
	"mohr.internal/kiosk/cmp"
	"mohr.internal/kiosk/cmp/cmptest"
	"mohr.internal/kiosk/persian"
	"mohr.internal/kiosk/profile"
	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/pkcs11test"
)

// room sets how much of the journal is used and free.
func (c *counter) room(fill float64, free int64) {
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	c.journal.fill, c.journal.free = fill, free
}

// plenty is a journal that is not full by its bytes.
const plenty = 1 << 30

// At 80 % staff are told, on the idle page and on theirs, with what to do; everybody
// is served.
func TestStorageFilling(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.at("idle")
		c.room(FillWarn-0.001, plenty)
		c.halt()
		c.start()
		if s := c.at("idle"); strings.Contains(s.Text(), plain("fa", "notice.STORE-FILLING", "percent", persian.Number(79, "fa"))) {
			t.Errorf("told too early:\n%s", s.Text())
		}
		c.room(FillWarn, plenty)
		time.Sleep(noticeWatch + time.Second) // nobody comes, nothing is journaled
		for range 2 {
			s := c.at("idle")
			if want := plain(s.Lang, "notice.STORE-FILLING", "percent", persian.Number(80, s.Lang)); !strings.Contains(s.Text(), want) {
				t.Errorf("idle in %s does not say %q:\n%s", s.Lang, want, s.Text())
			}
			c.key('L')
		}
		c.press(choiceStaff)
		for range 2 {
			s := c.at("staff")
			if want := plain(s.Lang, "do.STORE-FILLING", "percent", persian.Number(80, s.Lang)); !strings.Contains(s.Text(), want) {
				t.Errorf("staff in %s does not say %q:\n%s", s.Lang, want, s.Text())
			}
			c.key('L')
		}
		c.insert(c.citizen)
		c.walk("accepted")
		c.state(Loaded)
	})
}

// At 95 % nobody new is begun with, and not even that is journaled; who comes back for
// a certificate is served, and what waits is delivered.
func TestStorageFull(t *testing.T) {
	for name, full := range map[string]func(c *counter){
		"by its part":  func(c *counter) { c.room(FillStop, plenty) },
		"by its bytes": func(c *counter) { c.room(0.5, ceremonyRoom-1) },
		"by what waits": func(c *counter) {
			c.room(0.5, ceremonyRoom+visitRoom-1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			counterTest(t, options{}, func(c *counter) {
				c.walk("receipt")
				c.pull(c.citizen)
				c.press(choiceOK)
				c.pull(c.officer)
				full(c)
				c.at("idle")
				c.halt()
				before := len(c.journal.bytes())
				c.start()
				s := c.at("full")
				c.says("why.STORE-FULL")
				c.says("next.STORE-FULL")
				c.says("full.line")
				if ruleOn(s) != RuleStoreFull {
					t.Errorf("rule %q", ruleOn(s))
				}
				stranger := &stick{Token: pkcs11test.New(pkcs11test.Options{PIN: citizenPIN, Serial: "0003", NewKey: testKeys}), role: RoleCitizen, pin: citizenPIN}
				c.issue(stranger, pkcs11.P256, c.pki.Citizen, cmptest.CertOptions{Person: cmptest.Staff})
				c.insert(stranger)
				c.at("refused")
				c.says("why.STORE-FULL")
				c.press(choiceOK)
				c.pull(stranger)
				c.at("full")
				if n := len(c.journal.bytes()); n != before {
					t.Errorf("%d records of what nothing depends on: %v", n-before, c.story()[before:])
				}
				c.sync()
				c.state(Issued)
				c.insert(c.citizen)
				c.walk("accepted")
				c.state(Loaded)
				c.walk("remove")
				c.pull(c.citizen)
				if name == "by what waits" { // nothing waits any more
					c.at("idle")
					return
				}
				c.at("full")
				c.room(0.5, plenty) // another card
				c.halt()
				c.start()
				c.at("idle")
			})
		})
	}
}

// It gets full while a citizen is served: that one is served to the end.
func TestStorageFullMeanwhile(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.walk("document")
		c.room(0.999, visitRoom)
		c.walk("accepted")
		c.state(Loaded)
		c.press(choiceOK)
		c.pull(c.citizen)
		c.at("full")
	})
}

// With no room for a visit either, nobody is served, and nothing is written.
func TestStorageCramped(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.walk("receipt")
		c.pull(c.citizen)
		c.press(choiceOK)
		c.pull(c.officer)
		c.sync()
		c.state(Issued)
		c.room(0.9999, visitRoom-1)
		before := len(c.journal.bytes())
		c.insert(c.citizen)
		c.at("refused")
		c.says("why.STORE-FULL")
		if n := len(c.journal.bytes()); n != before {
			t.Errorf("%d records", n-before)
		}
		c.press(choiceOK)
		c.pull(c.citizen)
		c.room(0.9, plenty)
		c.insert(c.citizen)
		c.walk("accepted")
	})
}

// smallest is the smallest journal that a configuration may ask for, in its smallest
// segments, filled as far as a citizen is still begun with.
func smallest(t *testing.T, segment int64) *vault.Journal {
	t.Helper()
	segments := 1
	for bounds.Quota(segment, segments) < bounds.MinQuota {
		segments++
	}
	key := make([]byte, vault.KeySize)
	v, err := vault.New(key, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := journal.Create(filepath.Join(t.TempDir(), "j"), journal.Options{SegmentBytes: segment, Segments: segments})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plain.Close() })
	j := vault.Over(plain, v)
	start := Record{Event: EventStart, Clock: ClockTrusted, Time: testTime.Unix()}
	filler := start
	filler.Event, filler.Notes = EventHealed, make([]string, 60)
	for i := range filler.Notes {
		filler.Notes[i] = strings.Repeat("x", 4000)
	}
	for _, r := range []Record{filler, start} {
		b, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		pages := int64((len(b)+200)/bounds.Page + 1)
		// One record less than FillStop: where the last one put it there, it stays below.
		for j.Fill()+float64(pages*bounds.Page)/float64(bounds.MinQuota) < FillStop-0.0002 {
			if _, err := j.Append(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	if f := j.Fill(); f < FillStop-0.002 || f >= FillStop {
		t.Fatalf("filled to %v", f)
	}
	return j
}

// The longest ceremony there is, begun at the last moment in the smallest journal that
// a configuration allows, comes to its end.
func TestLongestCeremonyFits(t *testing.T) {
	o := options{
		ca:      cmptest.CAOptions{WithholdImplicitConfirm: true},
		token:   pkcs11test.Options{Tries: 15},
		officer: pkcs11test.Options{Tries: 15},
		rsa:     true,
		change: func(p *profile.Profile) {
			p.Recipients = nil
			for len(p.Recipients) < 8 {
				id, err := age.GenerateHybridIdentity()
				if err != nil {
					t.Fatal(err)
				}
				p.Recipients = append(p.Recipients, id.Recipient().String())
			}
		},
	}
	counterTest(t, o, func(c *counter) {
		c.halt()
		under := smallest(t, bounds.MinSegment)
		c.journal = newJournal()
		c.journal.under = under
		before := under.Free()
		c.start()
		c.at("idle")
		wrong := map[string]int{}
		mistyped := false
		c.walkWith(func(s display.Screen) bool {
			switch {
			case s.ID == "pin" && wrong["pin"] < maxEntries-1:
				wrong["pin"]++
				c.enterPIN(c.citizen, "111111")
				return true
			case s.ID == "officer-pin" && wrong["officer-pin"] < maxEntries-1:
				wrong["officer-pin"]++
				c.enterPIN(c.officer, "111111")
				return true
			case s.ID == "pin-low":
				c.press(choiceYes)
				return true
			case s.ID == "national-id" && !mistyped:
				mistyped = true
				c.enter("0790419904")
				return true
			case s.ID == "receipt" && wrong["answers"] == 0:
				wrong["answers"]++
				c.ca.Queue(cmptest.Behaviour{Kind: cmptest.Garbage}, cmptest.Behaviour{Kind: cmptest.OtherKey}, cmptest.Behaviour{Kind: cmptest.WaitPolls, N: 2})
			}
			return false
		}, "accepted")
		c.state(Loaded)
		c.walk("remove")
		c.sync() // the confirmation
		c.pull(c.citizen)
		if under.Fill() < FillStop {
			t.Errorf("filled to %v only", under.Fill())
		}
		t.Logf("%d of %d bytes used", before-under.Free(), before)
		c.at("full")
		if len(c.kiosk.Outbox.Pending()) != 0 {
			t.Error("something is left to deliver")
		}
	})
}

// ceremonyRoom takes the largest records that a ceremony can write, in any order: the
// ceremony's own messages and the CA's are bounded by cmp.MaxMessage, all other records
// by a page.
func TestLargestRecordsFit(t *testing.T) {
	const page = bounds.Page - 256 // of CBOR in one page of the journal
	evidence := 24 << 10           // eight hybrid recipients
	sizes := []int{evidence, cmp.MaxMessage + 1024, cmp.MaxMessage + 1024, 2*cmp.MaxMessage + 2048, cmp.MaxMessage + 1024}
	for range 2*2*maxEntries + 20 { // PINs of both people, and all states and events that are one page
		sizes = append(sizes, page)
	}
	total := 0
	for _, n := range sizes {
		total += (n + 256 + bounds.Page - 1) / bounds.Page * bounds.Page
	}
	if total > ceremonyRoom {
		t.Errorf("%d bytes of records, ceremonyRoom is %d", total, ceremonyRoom)
	}
	r := mathrand.New(mathrand.NewPCG(1, 2))
	for _, segment := range []int64{bounds.MinSegment, bounds.MaxSegment} {
		for range 2 {
			r.Shuffle(len(sizes), func(i, j int) { sizes[i], sizes[j] = sizes[j], sizes[i] })
			j := smallest(t, segment)
			for i, n := range sizes {
				if _, err := j.Append(make([]byte, n)); err != nil {
					t.Fatalf("record %d of %d, of %d bytes, in segments of %d: %v", i, len(sizes), n, segment, err)
				}
			}
		}
	}
}
