package desk

import (
	"context"
	"crypto/rand"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"mohr.internal/appliance/journal"
	"mohr.internal/appliance/vault"
	"mohr.internal/display/panel"
	"mohr.internal/kiosk"
	"mohr.internal/kiosk/cmp/cmptest"
)

// counter is a world with hands at it, for tests of what goes wrong on the real programs.
type counter struct {
	*World
	*People
	t   *testing.T
	ctx context.Context
}

func newCounter(t *testing.T, o Options) *counter {
	w := realWorld(t, o)
	c := &counter{World: w, People: w.People(), t: t, ctx: t.Context()}
	c.Patience = 40 * time.Second // many tests at once on few cores
	return c
}

func (c *counter) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *counter) screen(ids ...string) Shot {
	c.t.Helper()
	shot, err := c.WaitScreen(c.ctx, ids...)
	c.must(err)
	return shot
}

// to walks to one of the screens, with the acts changed as given.
func (c *counter) to(change Acts, until ...string) Shot {
	c.t.Helper()
	acts := c.Renewal(c.ctx, c.People, Citizen, Officer)
	for id, act := range change {
		acts[id] = act
	}
	shot, err := c.Walk(c.ctx, acts, nil, until...)
	c.must(err)
	return shot
}

// refused expects the screen that says why not, in both languages, and a next step in each.
func (c *counter) refused(rule string) {
	c.t.Helper()
	texts := map[string]string{}
	for range 2 {
		shot, err := c.Wait(c.ctx, "a refusal with "+rule, func(s Shot) bool {
			return s.ID == "refused" && strings.Contains(s.Text, rule) && texts[s.Lang] == ""
		})
		c.must(err)
		texts[shot.Lang] = shot.Text
		c.must(c.Key(panel.KeyLanguage))
	}
	for lang, text := range texts {
		if lines := strings.Split(strings.TrimSpace(text), "\n"); len(lines) < 4 {
			c.t.Errorf("%s in %q says too little:\n%s", rule, lang, text)
		}
	}
	if !slices.ContainsFunc(c.records(), func(r kiosk.Record) bool { return r.Rule == rule }) {
		c.t.Errorf("no journal entry for %s", rule)
	}
}

// empty pulls everything and waits for the first screen.
func (c *counter) empty() {
	c.t.Helper()
	for _, k := range c.In() {
		c.must(c.Remove(c.ctx, k))
	}
	// Pages that say how it ended want to be read, each of them.
	for {
		shot := c.screen("refused", "idle", "receipt", "accepted")
		if shot.ID == "idle" {
			return
		}
		_ = c.Press("ok") // it may have gone by now
		_, err := c.Wait(c.ctx, "an answer to the last button", func(s Shot) bool { return s.Seq > shot.Seq })
		c.must(err)
	}
}

// records reads the journal beside the running kiosk.
func (c *counter) records() []kiosk.Record {
	c.t.Helper()
	v, err := vault.Load(c.Place.Kioskd.Keys.Storage.Key, rand.Reader)
	c.must(err)
	j, err := journal.Open(c.Place.Kioskd.Journal.Dir, journal.Options{ReadOnly: true})
	c.must(err)
	defer j.Close()
	var out []kiosk.Record
	c.must(vault.Over(j, v).Replay(func(_ uint64, payload []byte) error {
		record, err := kiosk.ParseRecord(payload)
		out = append(out, record)
		return err
	}))
	return out
}

// states lists the states of all renewals in the journal, in order.
func (c *counter) states() string {
	c.t.Helper()
	var out []string
	for _, r := range c.records() {
		if r.State != "" {
			out = append(out, r.State)
		}
	}
	return strings.Join(out, " ")
}

// TestRefusedTokens puts in each token that must be refused.
func TestRefusedTokens(t *testing.T) {
	rules := map[Kind]string{
		Expired: "CERT-EXPIRED", Revoked: "CERT-REVOKED", Foreign: "CERT-FOREIGN", Bare: "TOKEN-EMPTY",
		Checksum: "ID-CHECKSUM", NoSign: "CERT-NON-REPUDIATION", Unknown: "USB-UNKNOWN", Storage: "USB-UNKNOWN",
	}
	var kinds []Kind
	for _, k := range EveryKind() {
		if rules[k] != "" {
			kinds = append(kinds, k)
		}
	}
	c := newCounter(t, Options{Kinds: append(kinds, Officer)})
	for _, k := range kinds {
		t.Run(string(k), func(t *testing.T) {
			c := *c
			c.t = t
			c.screen("idle")
			c.must(c.Insert(c.ctx, k))
			c.refused(rules[k])
			c.empty()
		})
	}
	if got := c.states(); got != "" {
		t.Errorf("a refused token began a renewal: %s", got)
	}
}

// TestPulled pulls the citizen's token, and the officer's, at each step where somebody is waited for.
func TestPulled(t *testing.T) {
	c := newCounter(t, Options{Kinds: []Kind{Citizen, Officer, Second}})
	for _, step := range []string{"token", "officer-insert", "officer-pin", "document", "national-id", "feature", "face", "terms", "review", "sign", "pin"} {
		for _, who := range []Kind{Citizen, Officer} {
			if who == Officer && (step == "token" || step == "officer-insert") {
				continue // not in yet
			}
			t.Run(step+"/"+string(who), func(t *testing.T) {
				c := *c
				c.t = t
				c.screen("idle")
				c.must(c.Insert(c.ctx, Citizen))
				if shot := c.to(nil, step, "refused"); shot.ID != step {
					t.Fatalf("refused before %s:\n%s", step, shot.Text)
				}
				c.must(c.Remove(c.ctx, who))
				rule := "TOKEN-REMOVED"
				if who == Officer {
					rule = "OFFICER-REMOVED"
				}
				c.refused(rule)
				c.empty()
			})
		}
	}
	t.Run("swapped", func(t *testing.T) {
		c := *c
		c.t = t
		c.must(c.Insert(c.ctx, Citizen))
		c.to(nil, "sign")
		c.must(c.Remove(c.ctx, Citizen))
		c.must(c.Insert(c.ctx, Second)) // between the officer's check and signing
		if shot := c.screen("refused", "token", "pin"); shot.ID == "pin" {
			t.Error("another token was asked for its PIN")
		}
		c.empty()
	})
	t.Run("two", func(t *testing.T) {
		c := *c
		c.t = t
		c.must(c.Insert(c.ctx, Citizen))
		c.screen("token")
		c.must(c.Insert(c.ctx, Second))
		c.must(c.Press("ok"))
		if shot := c.to(nil, "refused", "receipt"); shot.ID != "refused" {
			t.Error("signed with two citizens' tokens in")
		}
		c.empty()
	})
	if issued := c.CA.Issued(); len(issued) != 0 {
		t.Errorf("the CA issued %d certificates", len(issued))
	}
	for _, r := range c.renewals(t) {
		if r.State != kiosk.Abandoned && r.State != kiosk.Refused {
			t.Errorf("renewal %v is left %v", r.ID, r.State)
		}
	}
}

// renewals folds the journal into renewals.
func (c *counter) renewals(t *testing.T) []kiosk.Renewal {
	t.Helper()
	last := map[kiosk.RenewalID]kiosk.Renewal{}
	for _, r := range c.records() {
		if r.State == "" {
			continue
		}
		state, err := kiosk.ParseState(r.State)
		c.must(err)
		last[r.Renewal] = kiosk.Renewal{ID: r.Renewal, State: state}
	}
	var out []kiosk.Renewal
	for _, n := range last {
		out = append(out, n)
	}
	return out
}

// TestWrongEntries types a wrong PIN once and a wrong national ID as often as it is allowed.
func TestWrongEntries(t *testing.T) {
	c := newCounter(t, Options{Kinds: []Kind{Citizen, Officer}})
	enter := func(digits string) {
		c.must(c.Type(c.ctx, digits))
		c.must(c.Press("key:ok"))
	}
	c.screen("idle")
	c.must(c.Insert(c.ctx, Citizen))
	c.to(nil, "national-id")
	for range c.Place.Profile.Identity.TypingTries {
		shot := c.screen("national-id")
		enter("0790419904")
		_, err := c.Wait(c.ctx, "an answer to a wrong number", func(s Shot) bool {
			return s.ID == "refused" || s.ID == "national-id" && s.Seq > shot.Seq+10 && strings.Count(s.Text, "0790419904") == 0
		})
		c.must(err)
	}
	c.refused("IDENTITY")
	if text := c.screen("refused").Text; strings.Contains(text, cmptest.Citizen.NationalID) {
		t.Errorf("the refusal tells the number:\n%s", text)
	}
	c.empty()

	c.must(c.Insert(c.ctx, Citizen))
	c.to(nil, "pin")
	enter("111111")
	if low := c.screen("pin-low", "receipt"); low.ID == "pin-low" { // SoftHSM says so after one wrong PIN
		c.must(c.Press("yes"))
	}
	c.screen("pin")
	enter(citizenPIN)
	c.screen("accepted")
	tries := 0
	for _, r := range c.records() {
		if r.Event == kiosk.EventPINTry {
			tries++
		}
	}
	if tries != 4 { // the officer's twice, the citizen's twice
		t.Errorf("%d PINs were sent, want 4", tries)
	}
}

// TestCAMisbehaves lets the CA answer one stored request in every wrong way it knows. None is taken, none
// loses the request, and the right answer at the end is.
func TestCAMisbehaves(t *testing.T) {
	c := newCounter(t, Options{Kinds: []Kind{Citizen, Officer}})
	c.must(c.Network(false))
	c.screen("idle")
	c.must(c.Insert(c.ctx, Citizen))
	c.to(nil, "receipt")
	bad := 0
	for _, a := range answers {
		switch a.behaviour.Kind {
		case cmptest.Issue, cmptest.Reject, cmptest.Silence, cmptest.WaitPolls, cmptest.WaitReleased:
			continue // right answers, or none at all
		}
		bad++
		c.Behave(a.behaviour)
		c.must(c.Network(true))
		asked := c.Asked()
		c.must(c.Kill("syncd")) // a new one, which keeps nothing from before, asks at once
		waitFor(t, "an attempt with "+a.behaviour.String(), func() bool { return c.Asked() > asked })
		if shot, lit := c.World.Glass.Latest(); !lit || shot.ID != "receipt" {
			t.Errorf("%v: screen %q", a.behaviour, shot.ID)
		}
	}
	if bad < 12 {
		t.Errorf("only %d ways to misbehave", bad)
	}
	if states := c.states(); strings.Contains(states, "Issued") || strings.Contains(states, "Refused") {
		t.Errorf("a wrong answer was taken: %s", states)
	}
	c.Behave(cmptest.Behaviour{})
	c.must(c.Kill("syncd"))
	c.screen("accepted")
	if issued := c.CA.Issued(); len(issued) != 1 {
		t.Errorf("the CA issued %d certificates, want 1", len(issued))
	}
	c.empty()
}

// TestPowerCuts cuts the power at each step and goes on. Before the request is stored the ceremony begins
// anew; after that nothing is lost and no second certificate comes.
func TestPowerCuts(t *testing.T) {
	c := newCounter(t, Options{Kinds: []Kind{Citizen, Officer}})
	c.screen("idle")
	c.must(c.Insert(c.ctx, Citizen))
	c.must(c.Network(false))
	// The last three are not waited for by anybody: the cut falls while the machine is busy.
	for _, step := range []string{"token", "officer-pin", "national-id", "terms", "sign", "pin", "key-making", "signing", "storing"} {
		c.to(nil, step, "receipt")
		c.must(c.PowerCut(c.ctx)) // the tokens stay in
		if c.screen("token", "receipt").ID == "receipt" {
			break // it was stored before the light went out
		}
	}
	c.to(nil, "receipt")
	c.must(c.PowerCut(c.ctx))
	c.screen("receipt") // said again, from the journal
	c.must(c.Network(true))
	c.to(nil, "accepted") // the PIN is asked for again: sessions are never state
	c.must(c.PowerCut(c.ctx))
	if issued := c.CA.Issued(); len(issued) != 1 {
		t.Errorf("the CA issued %d certificates, want 1", len(issued))
	}
	loaded := 0
	for _, n := range c.renewals(t) {
		if n.State == kiosk.Loaded {
			loaded++
		} else if n.State != kiosk.Abandoned {
			t.Errorf("renewal %v is left %v", n.ID, n.State)
		}
	}
	if loaded != 1 {
		t.Errorf("%d renewals are loaded, want 1", loaded)
	}
}

// smallJournal puts a journal in place that has no room for a citizen; the
// configuration would not allow one.
func smallJournal(p *Place) error {
	if err := os.RemoveAll(p.Kioskd.Journal.Dir); err != nil {
		return err
	}
	j, err := journal.Create(p.Kioskd.Journal.Dir, journal.Options{SegmentBytes: 320 << 10, Segments: 1})
	if err != nil {
		return err
	}
	return j.Close()
}

// TestNoJournal starts kiosks that have nothing to write to.
func TestNoJournal(t *testing.T) {
	for name, o := range map[string]struct {
		options Options
		spoil   func(*Place) error
		rule    string
	}{
		"missing": {Options{}, func(p *Place) error { return os.RemoveAll(p.Kioskd.Journal.Dir) }, "STORE-MISSING"},
		"full":    {Options{}, smallJournal, "STORE-FULL"},
		"damaged": {Options{}, func(p *Place) error { return os.RemoveAll(p.Kioskd.Journal.Dir + "/a") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() {
				t.Skip("SKIPPED, NOT TESTED: runs the real programs, not with -short")
			}
			needTokens(t)
			programs, err := buildPrograms()
			if err != nil {
				t.Fatal(err)
			}
			o.options.Kinds = []Kind{Officer}
			place := provisionWith(t, o.options)
			if err := o.spoil(place); err != nil {
				t.Fatal(err)
			}
			w := newWorldAt(t, programs, place)
			people := w.People()
			if o.rule == "" { // one copy is enough to serve from, and is healed
				if _, err := people.WaitScreen(t.Context(), "idle"); err != nil {
					t.Error(err)
				}
				c := &counter{World: w, People: people, t: t, ctx: t.Context()}
				if !slices.ContainsFunc(c.records(), func(r kiosk.Record) bool { return r.Event == kiosk.EventHealed && len(r.Notes) > 0 }) {
					t.Error("the journal does not say that it was healed")
				}
				return
			}
			if _, err := people.WaitText(t.Context(), o.rule); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCADecides lets one citizen wait until the CA has made up its mind, and another be turned down.
func TestCADecides(t *testing.T) {
	c := newCounter(t, Options{Kinds: []Kind{Citizen, Officer, Second}})
	c.screen("idle")
	c.Behave(cmptest.Behaviour{Kind: cmptest.WaitPolls, N: 2})
	c.must(c.Insert(c.ctx, Citizen))
	c.to(nil, "receipt")
	c.screen("accepted") // asked again by pollReq while the token is in
	c.empty()

	c.Behave(cmptest.Behaviour{Kind: cmptest.Reject, Text: "the photograph is missing"})
	c.must(c.Insert(c.ctx, Second))
	_, err := c.Walk(c.ctx, c.Renewal(c.ctx, c.People, Second, Officer), nil, "refused")
	c.must(err)
	c.refused("CA-REJECTED")
	c.empty()
	if issued := c.CA.Issued(); len(issued) != 1 {
		t.Errorf("the CA issued %d certificates, want 1", len(issued))
	}
}
