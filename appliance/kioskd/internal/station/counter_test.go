package station

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"mohr.internal/appliance/carrier"
	"mohr.internal/appliance/config"
	"mohr.internal/appliance/fleet/fleettest"
	"mohr.internal/appliance/outboxlink"
	"mohr.internal/display"
	"mohr.internal/kiosk"
	"mohr.internal/kiosk/cmp/cmptest"
	"mohr.internal/kiosk/profile"
	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/pkcs11test"
)

// Counters for tests of a fleet: whole kiosks with their journals on disk, software
// tokens, and both sockets to a real syncd. Only the panel and tokend are missing.

const testPIN = "739182"

// limit is how long anything may take on a busy machine.
const limit = 60 * time.Second

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s did not come", what)
}

// world is what all counters share: the CA, the officer, the rules, the centre.
type world struct {
	pki     *cmptest.PKI
	ca      *cmptest.CA
	url     string
	officer *x509.Certificate
	key     crypto.Signer
	profile *profile.Profile
	centre  *fleettest.Cluster
}

func newWorld(t *testing.T, centre *fleettest.Cluster, o cmptest.CAOptions) *world {
	t.Helper()
	w := &world{centre: centre}
	w.pki = must[*cmptest.PKI](t)(cmptest.New(cmptest.Options{Time: time.Now()}))
	o.PKI, o.Now = w.pki, time.Now
	w.ca = must[*cmptest.CA](t)(cmptest.NewCA(o))
	server := httptest.NewServer(w.ca)
	t.Cleanup(server.Close)
	w.url = server.URL
	w.key = must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	w.officer = must[*x509.Certificate](t)(w.pki.Officer(w.key.Public(), cmptest.CertOptions{}))
	p := must[*profile.Profile](t)(profile.Template("demo"))
	p.Anchors = []profile.Certificate{{Certificate: w.pki.Root}}
	p.Chain = []profile.Certificate{{Certificate: w.pki.Issuing}}
	p.Recipients = []string{must[*age.X25519Identity](t)(age.GenerateX25519Identity()).Recipient().String()}
	p.Officers = []profile.Officer{{
		Name: profile.Text{"fa": "رضا کریمی", "en": "Reza Karimi"}, Office: "office-1", Certificate: sha256.Sum256(w.officer.Raw),
		TrainingUntil: time.Now().UTC().AddDate(0, 6, 0), NotAfter: time.Now().UTC().AddDate(1, 0, 0),
	}}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	w.profile = p
	return w
}

// stick is a token that people carry from counter to counter.
type stick struct {
	*pkcs11test.Token
	role kiosk.Role
	cert *x509.Certificate
}

func (w *world) stick(t *testing.T, role kiosk.Role, serial string) *stick {
	t.Helper()
	s := &stick{Token: pkcs11test.New(pkcs11test.Options{PIN: testPIN, Serial: serial}), role: role, cert: w.officer}
	key := w.key
	if role == kiosk.RoleCitizen {
		key = must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
		s.cert = must[*x509.Certificate](t)(w.pki.Citizen(key.Public(), cmptest.CertOptions{}))
	}
	if err := s.AddKey([]byte{1}, "key", key); err != nil {
		t.Fatal(err)
	}
	s.AddCertificate([]byte{1}, "certificate", s.cert.Raw)
	s.Remove()
	return s
}

// certificates are those of people on a token.
func (s *stick) certificates(t *testing.T) (certs []*x509.Certificate) {
	t.Helper()
	s.Insert()
	defer s.Remove()
	session := pkcs11.NewSession(s.Dial())
	defer session.Close()
	for _, o := range must[[]pkcs11.Object](t)(session.Objects(t.Context())) {
		if o.CertificateDER != nil {
			certs = append(certs, must[*x509.Certificate](t)(x509.ParseCertificate(o.CertificateDER)))
		}
	}
	return certs
}

// counter is one kiosk of the fleet.
type counter struct {
	t        *testing.T
	w        *world
	config   *config.Kioskd
	keys     kiosk.Keys
	officer  *stick
	kiosk    *kiosk.Kiosk
	fleet    *Fleet
	stop     func()
	offline  func() // ends syncd
	quiet    *slog.Logger
	acted    int
	pluggeds int

	mu      sync.Mutex
	shown   []display.Screen
	inputs  chan kiosk.Input
	plugged map[string]*stick
	events  chan kiosk.DeviceEvent
}

func newCounter(t *testing.T, w *world, id string) *counter {
	t.Helper()
	dir := must[string](t)(os.MkdirTemp("", "station")) // short: sockets
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := &counter{t: t, w: w, officer: w.stick(t, kiosk.RoleOfficer, "officer-"+id), plugged: map[string]*stick{}, quiet: slog.New(slog.DiscardHandler)}
	c.config = &config.Kioskd{
		Journal: config.Journal{Dir: filepath.Join(dir, "journal"), SegmentBytes: 1 << 20, Segments: 4},
		Outbox:  filepath.Join(dir, "o"), Fleet: &config.FleetSocket{Socket: filepath.Join(dir, "f")},
		Kiosk: config.Kiosk{ID: id, Number: 7}, Office: "office-1",
	}
	c.config.Keys.Storage.Key = filepath.Join(dir, "storage.key")
	writeKey(t, c.config)
	if err := Create(c.config); err != nil {
		t.Fatal(err)
	}
	c.keys = kiosk.Keys{
		RA: w.pki.KioskKey, RACert: w.pki.Kiosk, RAChain: []*x509.Certificate{w.pki.Issuing},
		Receipt: must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
	}
	t.Cleanup(func() { c.off() })
	return c
}

// systemClock is right and known to be.
type systemClock struct{}

func (systemClock) Now() time.Time  { return time.Now() }
func (systemClock) Quality() string { return kiosk.ClockTrusted }

// on is the power coming on: the same parts as in serve, joined in the same way.
func (c *counter) on() {
	c.t.Helper()
	storage := must[*Storage](c.t)(OpenStorage(c.config, c.quiet))
	clock := systemClock{}
	ledger := must[*kiosk.Ledger](c.t)(kiosk.OpenLedger(storage, clock))
	p := c.w.profile
	k := &kiosk.Kiosk{
		Profile: p, Surface: c, Tokens: c, Ledger: ledger, Clock: clock, Rand: rand.Reader, Keys: c.keys, Recipient: c.w.pki.Issuing.RawSubject,
		Outbox: kiosk.NewOutbox(ledger, p.Pool(), p.Intermediates(), clock, c.quiet), CRLs: func() []*x509.RevocationList { return nil },
		ID: c.config.Kiosk.ID, Number: 7, Office: "office-1", Idle: 10 * time.Minute, Language: "en", Log: c.quiet,
	}
	c.inputs, c.events, c.acted = make(chan kiosk.Input, 64), make(chan kiosk.DeviceEvent, 64), -1
	c.kiosk, c.fleet = k, must[*Fleet](c.t)(newFleet(k, storage, c.quiet))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { serveOutbox(ctx, c.config.Outbox, outboxlink.NewQueue(outbox{k.Outbox}, time.Now), c.quiet) })
	running.Go(func() { c.fleet.serve(ctx, c.config.Fleet) })
	running.Go(func() {
		if err := k.Run(ctx); !errors.Is(err, context.Canceled) {
			c.t.Errorf("kiosk %s ended with %v", k.ID, err)
		}
	})
	c.stop = func() {
		cancel()
		running.Wait()
		storage.Close()
	}
}

// off is the power going, and nobody at the counter.
func (c *counter) off() {
	c.disconnect()
	if c.stop != nil {
		c.stop()
		c.stop = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, s := range c.plugged {
		s.Remove()
		delete(c.plugged, id)
	}
	c.shown = nil
}

// connect starts syncd.
func (c *counter) connect() {
	c.t.Helper()
	second := config.Duration(time.Second)
	s := &config.Syncd{
		Outbox: c.config.Outbox, CA: config.CAServer{URL: c.w.url}, Timeouts: config.Timeouts{Connect: 5 * second, Request: 20 * second},
		Backoff: config.Backoff{Min: second / 50, Max: second / 2},
		Fleet: &config.Fleet{
			Socket: c.config.Fleet.Socket, Kiosk: c.config.Kiosk.ID, URLs: c.w.centre.URLs(), Recheck: second / 2,
		},
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- carrier.Run(ctx, s, c.quiet) }()
	c.offline = func() {
		cancel()
		if err := <-done; err != nil {
			c.t.Error(err)
		}
	}
}

func (c *counter) disconnect() {
	if c.offline != nil {
		c.offline()
		c.offline = nil
	}
}

// acknowledged waits until the centre has all of the journal.
func (c *counter) acknowledged() {
	c.t.Helper()
	eventually(c.t, "the acknowledgement of everything", func() bool {
		head, _ := c.fleet.Log.Head()
		return c.fleet.Log.Status().Acknowledged == head
	})
}

// Show and Inputs are the panel.

func (c *counter) Show(s display.Screen) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shown = append(c.shown, s)
	return nil
}

func (c *counter) Inputs() <-chan kiosk.Input { return c.inputs }

func (c *counter) now() (s display.Screen, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.shown) == 0 {
		return s, 0
	}
	return c.shown[len(c.shown)-1], len(c.shown)
}

// Events, Open and Busy are tokend.

func (c *counter) Events(context.Context) <-chan kiosk.DeviceEvent { return c.events }

func (c *counter) Open(_ context.Context, id string) (*pkcs11.Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.plugged[id]
	if s == nil {
		return nil, fmt.Errorf("no device %s", id)
	}
	return pkcs11.NewSession(s.Dial()), nil
}

func (c *counter) Busy() time.Duration { return 0 }

func (c *counter) insert(s *stick) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Insert()
	c.pluggeds++
	id := fmt.Sprint("d-", c.pluggeds)
	c.plugged[id] = s
	c.events <- kiosk.DeviceEvent{Device: kiosk.Device{ID: id, Role: s.role, Model: "software", Supported: true}, Present: true}
}

func (c *counter) pull(s *stick) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, there := range c.plugged {
		if there == s {
			delete(c.plugged, id)
			c.events <- kiosk.DeviceEvent{Device: kiosk.Device{ID: id, Role: s.role}}
		}
	}
	s.Remove()
}

// at waits for a page.
func (c *counter) at(ids ...string) (s display.Screen) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("screen %q", ids), func() bool {
		s, _ = c.now()
		return slices.Contains(ids, s.ID)
	})
	return s
}

func (c *counter) press(target string) { c.inputs <- kiosk.Input{Target: target} }

// enter types digits, and waits for the page to go.
func (c *counter) enter(page, digits string) {
	c.t.Helper()
	for _, d := range digits {
		c.inputs <- kiosk.Input{Key: d}
	}
	c.inputs <- kiosk.Input{Key: '\n'}
	eventually(c.t, "the end of "+page, func() bool { s, _ := c.now(); return s.ID != page })
}

// walk does what people do until one of the pages is up.
func (c *counter) walk(citizen *stick, until ...string) display.Screen {
	c.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		s, n := c.now()
		if slices.Contains(until, s.ID) {
			return s
		}
		if n == c.acted {
			continue
		}
		c.acted = n
		c.act(s, citizen)
	}
	s, _ := c.now()
	c.t.Fatalf("stuck on the way to %q at\n%s", until, s.Text())
	panic("unreachable")
}

func (c *counter) act(s display.Screen, citizen *stick) {
	switch s.ID {
	case "idle":
		if citizen != nil {
			c.insert(citizen)
		}
	case "token", "notice", "review", "sign", "pickup", "refused", "fork", "fork-clear", "accepted":
		c.press("ok")
	case "officer-insert":
		c.insert(c.officer)
	case "officer-pin", "pin":
		c.enter(s.ID, testPIN)
	case "document":
		c.press(s.Choices[0].ID)
	case "national-id":
		c.enter(s.ID, citizen.cert.Subject.SerialNumber)
	case "feature", "face", "terms":
		c.press("yes")
	case "remove":
		if citizen != nil {
			c.pull(citizen)
		}
		c.pull(c.officer)
	}
}

// random names the kiosks of one run: the centre forgets nothing.
func random() string { return fmt.Sprintf("%08x", mrand.Uint32()) }
