package kiosk

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"

	"mohr.internal/display"
	"mohr.internal/kiosk/cmp"
	"mohr.internal/kiosk/cmp/cmptest"
	"mohr.internal/kiosk/profile"
	"mohr.internal/kiosk/receipt"
	"mohr.internal/kiosk/words"
	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/pkcs11test"
)

// The counter of these tests: an office, its people and their tokens. Everything
// happens in a synctest bubble, so waits cost nothing and a session that is left
// open at the end fails the test.

const (
	testOffice = "office-1"
	citizenPIN = "739182"
	officerPIN = "640517"
)

var testTime = time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)

// options of a counter; the zero value is a good day.
type options struct {
	profile     string                 // name of the template, "demo" if empty
	change      func(*profile.Profile) // before it is used
	cert        cmptest.CertOptions    // of the citizen
	officerCert cmptest.CertOptions    //
	unlisted    bool                   // the officer is not in the profile
	rsa         bool                   // the citizen's old key
	token       pkcs11test.Options     // of the citizen
	officer     pkcs11test.Options     //
	bare        bool                   // the citizen's token stays empty
	ca          cmptest.CAOptions      //
	clock       string                 // quality, trusted if empty
	noCRL       bool                   //
}

// stick is a token that people carry.
type stick struct {
	*pkcs11test.Token
	role   Role
	pin    string
	key    crypto.Signer
	cert   *x509.Certificate
	device string // ID of this insertion, "" while it is out
	dial   func() io.ReadWriteCloser
}

type counter struct {
	t       *testing.T
	pki     *cmptest.PKI
	ca      *cmptest.CA
	profile *profile.Profile
	age     *age.X25519Identity
	clock   *testClock
	journal *memJournal
	ports   *ports
	glass   *glass
	keys    Keys
	trust   receipt.TrustList
	rand    io.Reader
	noCRL   bool
	fleet   Fleet

	citizen, officer *stick
	kiosk            *Kiosk
	stop             context.CancelFunc
	ended            chan error
	acted            int            // pages shown before the last press
	entries          map[*stick]int // PINs that people entered and that had to reach the token
}

// counterTest runs f at a counter with a kiosk that serves.
func counterTest(t *testing.T, o options, f func(c *counter)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCounter(t, o)
		c.start()
		f(c)
		c.close()
	})
}

// newCounter sets everything up; nothing serves yet.
func newCounter(t *testing.T, o options) *counter {
	c := &counter{t: t, journal: newJournal(), entries: map[*stick]int{}, noCRL: o.noCRL}
	c.clock = &testClock{start: time.Now(), quality: o.clock}
	if o.clock == "" {
		c.clock.quality = ClockTrusted
	}
	var seed [32]byte
	copy(seed[:], t.Name())
	c.rand = mathrand.NewChaCha8(seed)
	var err error
	c.pki, err = cmptest.New(cmptest.Options{Time: testTime, Seed: t.Name()})
	c.must(err)
	o.ca.PKI = c.pki
	if o.ca.Now == nil {
		o.ca.Now = c.clock.Now
	}
	c.ca, err = cmptest.NewCA(o.ca)
	c.must(err)

	o.token.PIN, o.token.NewKey = citizenPIN, testKeys
	o.officer.PIN, o.officer.Serial, o.officer.Label = officerPIN, "0002", "Officer"
	c.citizen = &stick{Token: pkcs11test.New(o.token), role: RoleCitizen, pin: citizenPIN}
	c.officer = &stick{Token: pkcs11test.New(o.officer), role: RoleOfficer, pin: officerPIN}
	if !o.bare {
		algorithm := pkcs11.P256
		if o.rsa {
			algorithm = pkcs11.RSA2048
		}
		c.issue(c.citizen, algorithm, c.pki.Citizen, o.cert)
	}
	c.issue(c.officer, pkcs11.P256, c.pki.Officer, o.officerCert)

	c.age, err = age.GenerateX25519Identity()
	c.must(err)
	name := o.profile
	if name == "" {
		name = "demo"
	}
	p, err := profile.Template(name)
	c.must(err)
	p.Anchors = []profile.Certificate{{Certificate: c.pki.Root}}
	p.Chain = []profile.Certificate{{Certificate: c.pki.Issuing}}
	p.Recipients = []string{c.age.Recipient().String()}
	officer := profile.Officer{
		Name: profile.Text{"fa": "رضا کریمی", "en": "Reza Karimi"}, Office: testOffice, Certificate: sha256.Sum256(c.officer.cert.Raw),
		TrainingUntil: testTime.AddDate(0, 6, 0), NotAfter: testTime.AddDate(1, 0, 0),
	}
	if o.unlisted {
		officer.Certificate = sha256.Sum256([]byte("somebody else"))
	}
	p.Officers = []profile.Officer{officer}
	if o.change != nil {
		o.change(p)
	}
	c.must(p.Validate())
	p.Digest = sha256.Sum256([]byte(name))
	c.profile = p

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	c.must(err)
	kid, err := receipt.KeyIDOf(&key.PublicKey)
	c.must(err)
	c.trust = receipt.TrustList{kid: {
		Public: &key.PublicKey, Kiosk: 7, Name: "test", NotBefore: testTime.AddDate(-1, 0, 0), NotAfter: testTime.AddDate(1, 0, 0),
	}}
	c.keys = Keys{RA: c.pki.KioskKey, RACert: c.pki.Kiosk, RAChain: []*x509.Certificate{c.pki.Issuing}, Receipt: key}
	c.ports = newPorts()
	c.glass = newGlass(t, func() *memJournal { return c.journal })
	c.glass.never = []string{citizenPIN, officerPIN}
	if !o.bare {
		c.glass.private = c.number()
	}
	return c
}

func (c *counter) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// issue puts a key and a certificate for it on a token.
func (c *counter) issue(s *stick, a pkcs11.KeyAlgorithm, issue func(crypto.PublicKey, cmptest.CertOptions) (*x509.Certificate, error), o cmptest.CertOptions) {
	c.t.Helper()
	var err error
	s.key, err = testKeys(a)
	c.must(err)
	s.cert, err = issue(s.key.Public(), o)
	c.must(err)
	c.must(s.AddKey([]byte{1}, "key", s.key))
	s.AddCertificate([]byte{1}, "certificate", s.cert.Raw)
}

// number is the citizen's national ID.
func (c *counter) number() string { return c.citizen.cert.Subject.SerialNumber }

// start has a new kiosk serve over the journal, as after power-on.
func (c *counter) start() {
	c.t.Helper()
	log := slog.New(slog.DiscardHandler)
	ledger, err := OpenLedger(c.journal, c.clock)
	c.must(err)
	c.kiosk = &Kiosk{
		Profile: c.profile, Surface: c.glass, Tokens: c.ports, Ledger: ledger, Clock: c.clock, Rand: c.rand, Keys: c.keys,
		Outbox: NewOutbox(ledger, c.profile.Pool(), c.profile.Intermediates(), c.clock, log),
		CRLs:   c.crls, Fleet: c.fleet, Recipient: c.pki.Issuing.RawSubject,
		ID: "kiosk-7", Number: 7, Office: testOffice, Idle: 2 * time.Minute, Language: "fa", Log: log,
	}
	ctx, stop := context.WithCancel(c.t.Context())
	c.stop, c.ended = stop, make(chan error, 1)
	ended := c.ended
	kiosk := c.kiosk
	go func() { ended <- kiosk.Run(ctx) }()
	synctest.Wait()
}

// halt ends the kiosk and returns what Run says.
func (c *counter) halt() error {
	c.t.Helper()
	c.stop()
	select {
	case err := <-c.ended:
		return err
	case <-time.After(10 * time.Minute):
		c.t.Fatalf("kiosk does not end; on the screen:\n%s", c.glass.now().Text())
	}
	return nil
}

// close ends the test: everything was as it must always be.
func (c *counter) close() {
	c.t.Helper()
	if err := c.halt(); err != nil && !errors.Is(err, context.Canceled) {
		c.t.Errorf("kiosk ended with %v", err)
	}
	c.clean()
	for s, n := range c.entries {
		if got := s.PINTries(); got != n {
			c.t.Errorf("%s's token compared %d PINs, people entered %d", s.role, got, n)
		}
	}
	if got := c.citizen.PINTries(); got > c.entries[c.citizen] {
		c.t.Errorf("citizen's token compared %d PINs, the holder entered %d", got, c.entries[c.citizen])
	}
}

// clean says that nothing personal is in the journal in clear.
func (c *counter) clean() {
	c.t.Helper()
	for i, r := range c.journal.parsed() {
		r.Request, r.Certificate, r.Chain, r.Answer, r.Confirm = nil, nil, nil, nil, nil
		b, err := r.Marshal()
		c.must(err)
		for _, secret := range []string{citizenPIN, officerPIN, c.glass.private, "Rezaei", "رضایی", "Karimi", "کریمی"} {
			if secret != "" && bytes.Contains(b, []byte(secret)) {
				c.t.Errorf("journal record %d holds %q in clear", i+1, secret)
			}
		}
	}
}

func (c *counter) crls() []*x509.RevocationList {
	if c.noCRL {
		return nil
	}
	der, err := c.pki.CRL(testTime.Add(-time.Hour), testTime.AddDate(0, 0, 7))
	c.must(err)
	list, err := x509.ParseRevocationList(der)
	c.must(err)
	return []*x509.RevocationList{list}
}

// testClock shows testTime at the start of the bubble and can be set.
type testClock struct {
	start   time.Time
	mu      sync.Mutex
	shift   time.Duration
	quality string
}

func (k *testClock) Now() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return testTime.Add(time.Since(k.start) + k.shift)
}

func (k *testClock) Quality() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.quality
}

func (k *testClock) add(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.shift += d
}

// testKeys makes keys. RSA keys take long to make, so there are a few for all
// tests, given out in turn.
func testKeys(a pkcs11.KeyAlgorithm) (crypto.Signer, error) {
	if a != pkcs11.RSA2048 {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	rsaMu.Lock()
	defer rsaMu.Unlock()
	if len(rsaKeys) < 4 {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		rsaKeys = append(rsaKeys, key)
		return key, err
	}
	rsaTurn++
	return rsaKeys[rsaTurn%len(rsaKeys)], nil
}

var (
	rsaMu   sync.Mutex
	rsaKeys []*rsa.PrivateKey
	rsaTurn int
)

// ports are the two USB ports and what tokend would tell about them.
type ports struct {
	mu      sync.Mutex
	plugged []Device
	sticks  map[string]*stick
	count   int
	queue   chan DeviceEvent
	openErr error
	opened  int
}

func newPorts() *ports { return &ports{sticks: map[string]*stick{}} }

func (p *ports) Events(ctx context.Context) <-chan DeviceEvent {
	out, queue := make(chan DeviceEvent), make(chan DeviceEvent, 64)
	p.mu.Lock()
	p.queue = queue
	for _, d := range p.plugged {
		queue <- DeviceEvent{Device: d, Present: true}
	}
	p.mu.Unlock()
	go func() {
		defer close(out)
		for {
			select {
			case e := <-queue:
				select {
				case out <- e:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func (p *ports) Open(ctx context.Context, id string) (*pkcs11.Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened++
	if p.openErr != nil {
		return nil, p.openErr
	}
	s := p.sticks[id]
	if s == nil {
		return nil, fmt.Errorf("no device %s", id)
	}
	if s.dial != nil {
		return pkcs11.NewSession(s.dial()), nil
	}
	return pkcs11.NewSession(s.Dial()), nil
}

func (p *ports) Busy() time.Duration { return 0 }

// tell reports an event.
func (p *ports) tell(e DeviceEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.queue != nil {
		p.queue <- e
	}
}

// plug puts a device in.
func (p *ports) plug(d Device, s *stick) string {
	p.mu.Lock()
	p.count++
	d.ID = fmt.Sprintf("d-%d", p.count)
	p.plugged = append(p.plugged, d)
	if s != nil {
		p.sticks[d.ID] = s
		s.device = d.ID
	}
	p.mu.Unlock()
	p.tell(DeviceEvent{Device: d, Present: true})
	return d.ID
}

// unplug takes it out.
func (p *ports) unplug(id string) {
	p.mu.Lock()
	i := slices.IndexFunc(p.plugged, func(d Device) bool { return d.ID == id })
	if i < 0 {
		p.mu.Unlock()
		return
	}
	d := p.plugged[i]
	p.plugged = slices.Delete(p.plugged, i, i+1)
	if s := p.sticks[id]; s != nil {
		s.device = ""
	}
	p.mu.Unlock()
	p.tell(DeviceEvent{Device: d})
}

// insert puts a token in, which is a new device each time.
func (c *counter) insert(s *stick) {
	s.Insert()
	c.ports.plug(Device{Role: s.role, Model: "software", Supported: true}, s)
	synctest.Wait()
}

// pull takes a token out, if it is in.
func (c *counter) pull(s *stick) {
	s.Remove()
	if s.device != "" {
		c.ports.unplug(s.device)
	}
	synctest.Wait()
}

// patience is how long at waits, in the bubble's time.
const patience = 20 * time.Second

// at waits for one of the pages and returns it.
func (c *counter) at(ids ...string) display.Screen {
	c.t.Helper()
	for waited := time.Duration(0); waited < patience; waited += 100 * time.Millisecond {
		synctest.Wait()
		if s := c.glass.now(); slices.Contains(ids, s.ID) {
			return s
		}
		time.Sleep(100 * time.Millisecond)
	}
	c.t.Fatalf("waited for screen %q; pages so far %q, now\n%s", ids, c.glass.ids(), c.glass.now().Text())
	panic("unreachable")
}

// press touches a target of the page that is up.
func (c *counter) press(target string) {
	c.t.Helper()
	synctest.Wait()
	s := c.glass.now()
	keypad := strings.HasPrefix(target, "key:") && s.Input != nil && s.Input.Keypad
	if !keypad && !slices.ContainsFunc(s.Choices, func(ch display.Choice) bool { return ch.ID == target }) {
		c.t.Fatalf("screen %q has no target %q:\n%s", s.ID, target, s.Text())
	}
	c.acted = c.glass.count()
	c.glass.inputs <- Input{Target: target}
	synctest.Wait()
}

// key presses a key of the keypad.
func (c *counter) key(k rune) {
	synctest.Wait()
	c.glass.inputs <- Input{Key: k}
	synctest.Wait()
}

// enter types digits and confirms them.
func (c *counter) enter(digits string) {
	c.t.Helper()
	for _, d := range digits {
		c.press("key:" + string(d))
	}
	c.press("key:ok")
}

// enterPIN types a PIN that is sent to the token, and counts it.
func (c *counter) enterPIN(s *stick, pin string) {
	c.t.Helper()
	c.entries[s]++
	c.enter(pin)
}

// act does what people do on a page on the way to a certificate.
func (c *counter) act(s display.Screen) bool {
	c.t.Helper()
	switch s.ID {
	case "idle":
		c.insert(c.citizen)
	case "token", "notice", "later", "review", "sign", "pickup":
		c.press(choiceOK)
	case "officer-insert":
		c.insert(c.officer)
	case "officer-pin":
		c.enterPIN(c.officer, officerPIN)
	case "document":
		c.press(s.Choices[0].ID)
	case "national-id":
		c.enter(c.number())
	case "feature", "face", "terms":
		c.press(choiceYes)
	case "pin":
		c.enterPIN(c.citizen, citizenPIN)
	case "receipt":
		if c.citizen.device == "" {
			c.press(choiceOK)
			break
		}
		if c.sync(); c.glass.now().ID == "receipt" {
			time.Sleep(time.Second)
		}
	case "accepted", "refused":
		c.press(choiceOK)
	case "remove":
		c.pull(c.citizen)
		c.pull(c.officer)
	default:
		return false
	}
	return true
}

// walk acts on page after page until one of the pages is up, which it returns.
func (c *counter) walk(until ...string) display.Screen {
	c.t.Helper()
	return c.walkWith(nil, until...)
}

// walkWith is walk that shows each page to see first; see may do something
// itself and says then that the page is done with.
func (c *counter) walkWith(see func(display.Screen) bool, until ...string) display.Screen {
	c.t.Helper()
	acted := -1 // what was shown when people acted last: they do not type into a page that works
	for idle, n := 0, 0; idle < 100 && n < 1000; n++ {
		synctest.Wait()
		s := c.glass.now()
		if slices.Contains(until, s.ID) {
			return s
		}
		again := c.glass.count() == acted && s.ID != "receipt"
		if see != nil && see(s) || !again && c.act(s) {
			idle, acted = 0, c.acted
			continue
		}
		idle++
		time.Sleep(200 * time.Millisecond)
	}
	c.t.Fatalf("stuck on the way to %q; pages so far %q, now\n%s", until, c.glass.ids(), c.glass.now().Text())
	panic("unreachable")
}

// sync carries each waiting parcel to the CA and its answer back, once.
func (c *counter) sync() (verdicts []Verdict) {
	c.t.Helper()
	for _, p := range c.kiosk.Outbox.Pending() {
		body, why := c.post(p.DER)
		if why != "" {
			c.kiosk.Outbox.Failed(p.ID, why)
			continue
		}
		verdicts = append(verdicts, c.kiosk.Outbox.Answer(p.ID, body))
	}
	synctest.Wait()
	return verdicts
}

// post is one HTTP exchange as the courier makes it.
func (c *counter) post(der []byte) (body []byte, why string) {
	defer func() {
		if recover() != nil { // http.ErrAbortHandler: the connection broke
			body, why = nil, "connection lost"
		}
	}()
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(der))
	r.Header.Set("Content-Type", cmptest.ContentType)
	w := httptest.NewRecorder()
	c.ca.ServeHTTP(w, r)
	switch {
	case w.Code != http.StatusOK:
		return nil, fmt.Sprint("status ", w.Code)
	case w.Header().Get("Content-Type") != cmptest.ContentType:
		return nil, "not CMP"
	case w.Body.Len() > cmp.MaxMessage:
		return nil, "too large"
	}
	return w.Body.Bytes(), ""
}

// plain is a sentence as Screen.Text shows it.
func plain(lang, id string, holes ...string) string {
	return strings.TrimSpace(display.Screen{Title: words.In(lang).Say(id, holes...)}.Text())
}

// says holds a page against a sentence, in both languages: the language key is
// pressed for the other one and then again.
func (c *counter) says(id string, holes ...string) {
	c.t.Helper()
	page := c.glass.now().ID
	for range words.Languages {
		s := c.glass.now()
		if want := plain(s.Lang, id, holes...); s.ID != page || !strings.Contains(s.Text(), want) {
			c.t.Errorf("screen %q in %q does not say %q:\n%s", s.ID, s.Lang, want, s.Text())
		}
		c.key('L')
	}
}

// refused expects the page that says why it does not go on and what to do, in
// both languages, and the rule in the journal.
func (c *counter) refused(rule string) {
	c.t.Helper()
	s := c.at("refused")
	if !strings.Contains(s.Text(), rule) {
		c.t.Errorf("refused, but not by %s:\n%s", rule, s.Text())
		return
	}
	c.says("why." + rule)
	c.says("next." + rule)
	if !slices.ContainsFunc(c.journal.parsed(), func(r Record) bool { return r.Rule == rule }) {
		c.t.Errorf("no record of %s in the journal: %v", rule, c.story())
	}
}

// story is the journal in words: states and events, with their rules.
func (c *counter) story() (out []string) {
	for _, r := range c.journal.parsed() {
		s := r.State + r.Event
		if r.Rule != "" {
			s += ":" + r.Rule
		}
		out = append(out, s)
	}
	return out
}

// last is the newest renewal in the ledger.
func (c *counter) last() Renewal {
	c.t.Helper()
	all := c.kiosk.Ledger.All(func(Renewal) bool { return true })
	if len(all) == 0 {
		c.t.Fatal("no renewal in the ledger")
	}
	return all[len(all)-1]
}

// state expects how far the newest renewal has come.
func (c *counter) state(want State) Renewal {
	c.t.Helper()
	n := c.last()
	if n.State != want {
		c.t.Errorf("renewal is %v (%s), want %v; journal: %v", n.State, n.Rule, want, c.story())
	}
	return n
}

// renewals is how many there are in the ledger.
func (c *counter) renewals() int {
	return len(c.kiosk.Ledger.All(func(Renewal) bool { return true }))
}

// unharmed expects the old pair on the citizen's token as it was, and so many
// private keys in all. It uses the token as its owner would at home.
func (c *counter) unharmed(keys int) {
	c.t.Helper()
	if got := c.citizen.PrivateKeys(); got != keys {
		c.t.Errorf("%d private keys on the token, want %d", got, keys)
	}
	if c.citizen.cert == nil {
		return
	}
	c.citizen.Insert()
	s := pkcs11.NewSession(c.citizen.Dial())
	defer s.Close()
	ctx := context.Background()
	if _, err := s.Tokens(ctx); err != nil {
		c.t.Errorf("token: %v", err)
		return
	}
	ders, err := s.ReadCertificate(ctx, pkcs11.KeyIDOf(c.citizen.cert.RawSubjectPublicKeyInfo))
	if err != nil || !contains(ders, c.citizen.cert.Raw) {
		c.t.Errorf("the old certificate is not on the token any more: %v", err)
	}
	if c.citizen.TriesLeft() < 1 {
		return
	}
	c.entries[c.citizen]++
	if _, err := s.Login(ctx, []byte(citizenPIN)); err != nil {
		c.t.Errorf("the PIN does not work any more: %v", err)
		return
	}
	digest := sha256.Sum256([]byte("at home"))
	sig, err := s.Sign(ctx, pkcs11.KeyIDOf(c.citizen.cert.RawSubjectPublicKeyInfo), crypto.SHA256, digest[:])
	if err == nil {
		err = pkcs11.VerifySignature(c.citizen.cert.PublicKey, crypto.SHA256, digest[:], sig)
	}
	if err != nil {
		c.t.Errorf("the old key does not sign any more: %v", err)
	}
	if c.citizen.device == "" {
		c.citizen.Remove()
	}
}
