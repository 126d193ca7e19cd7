package trial

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"mohr.internal/appliance/journal"
	"mohr.internal/appliance/vault"
	"mohr.internal/display"
	"mohr.internal/kiosk"
	"mohr.internal/kiosk/cmp/cmptest"
	"mohr.internal/kiosk/profile"
	"mohr.internal/kiosk/receipt"
	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/pkcs11test"
)

// tell makes a note; it returns when the note stands in the log.
type tell func(note) error

// counter is one station with its people, over the journal in a folder.
type counter struct {
	fix     *fixture
	dir     string
	tell    tell
	pki     *cmptest.PKI
	ca      *cmptest.CA
	profile *profile.Profile
	keys    kiosk.Keys
	trust   receipt.TrustList
	vault   *vault.Vault
	busy    bool                     // a neighbour writes beside the journal
	leak    func(plain []byte) error // a kiosk that writes what it must not; nil for a sound one
	log     *slog.Logger
	online  bool // the fleet's log gets each record soon after it is acknowledged
	sticks  []*stick
	clock   clock

	mu      sync.Mutex
	journal *vault.Journal
	ledger  *kiosk.Ledger
	kiosk   *kiosk.Kiosk
	ports   *ports
	glass   *glass
	stop    context.CancelFunc
	ended   chan error
}

// stick is a token that people carry.
type stick struct {
	*pkcs11test.Token
	file   string
	before []byte // its state as of the last note
	tries  int    // likewise
	spent  int    // PINs that were compared before this process began
	device string
}

// newCounter sets the counter up with tokens as they are in the world, or new
// ones. scratch is a folder of its own for this counter.
func newCounter(f *fixture, scratch, dir string, w *world, tell tell, o cmptest.CAOptions) (*counter, error) {
	c := &counter{fix: f, dir: dir, tell: tell, log: slog.New(slog.DiscardHandler), ports: newPorts()}
	var err error
	if c.pki, err = cmptest.Load(f.PKI); err != nil {
		return nil, err
	}
	o.PKI, o.Now = c.pki, c.clock.Now
	if c.ca, err = cmptest.NewCA(o); err != nil {
		return nil, err
	}
	if c.vault, err = vault.New(f.Storage, rand.Reader); err != nil {
		return nil, err
	}
	if c.profile, err = profile.Parse(f.Profile); err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(f.Receipt)
	if err != nil {
		return nil, err
	}
	c.keys = kiosk.Keys{
		RA: c.pki.KioskKey, RACert: c.pki.Kiosk, RAChain: []*x509.Certificate{c.pki.Issuing}, Receipt: key.(crypto.Signer),
	}
	if c.trust, err = trustList(c.keys.Receipt, c.clock.Now()); err != nil {
		return nil, err
	}
	for n := range f.Sticks {
		s := &stick{file: filepath.Join(scratch, fmt.Sprintf("stick-%d", n)), before: f.Sticks[n]}
		if known, ok := w.sticks[n]; ok {
			s.before, s.spent, s.tries = known.State, known.Tries, known.Tries
		}
		if err := os.WriteFile(s.file, s.before, 0o600); err != nil {
			return nil, err
		}
		s.Token = pkcs11test.New(stickOptions(n, s.file))
		s.Remove()
		c.sticks = append(c.sticks, s)
	}
	return c, nil
}

// trustList is what a verifier of receipts has of this kiosk.
func trustList(s crypto.Signer, now time.Time) (receipt.TrustList, error) {
	pub, ok := s.Public().(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("receipt key is a %T", s.Public())
	}
	kid, err := receipt.KeyIDOf(pub)
	if err != nil {
		return nil, err
	}
	return receipt.TrustList{kid: {
		Public: pub, Kiosk: kioskNumber, Name: office, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
	}}, nil
}

// note tells the world, with the tokens that have changed.
func (c *counter) note(n note) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range c.sticks {
		state, err := os.ReadFile(s.file)
		if err != nil {
			return err
		}
		if tries := s.spent + s.PINTries(); tries != s.tries || string(state) != string(s.before) {
			s.before, s.tries = state, tries
			n.Sticks = append(n.Sticks, stickNote{Index: i, State: state, Tries: tries})
		}
	}
	return c.tell(n)
}

// storage is the sealed journal with a note of each append when it begins and
// when it has returned.
type storage struct {
	*vault.Journal
	c *counter
}

func (s storage) Append(payload []byte) (uint64, error) {
	begin := note{What: writing, Payload: payload}
	if s.c.online {
		begin.Synced, _ = s.Head()
	}
	if err := s.c.note(begin); err != nil {
		return 0, err
	}
	seq, err := s.Journal.Append(payload)
	if err != nil {
		return 0, err
	}
	if s.c.leak != nil {
		if err := s.c.leak(payload); err != nil {
			return 0, err
		}
	}
	head, hash := s.Head()
	if head != seq {
		return 0, fmt.Errorf("record %d was appended, the journal ends at %d", seq, head)
	}
	return seq, s.c.note(note{What: acked, Seq: seq, Hash: hash})
}

// open opens the journal, as after power-on.
func (c *counter) open() error {
	j, err := journal.Open(c.dir, journal.Options{})
	if err == nil {
		c.journal = vault.Over(j, c.vault)
	}
	return err
}

// replay reads the journal into a ledger.
func (c *counter) replay() (err error) {
	c.ledger, err = kiosk.OpenLedger(storage{c.journal, c}, c.clock)
	return err
}

func (c *counter) close() error {
	if c.journal == nil {
		return nil
	}
	err := c.journal.Close()
	c.journal = nil
	return err
}

// start has a new kiosk serve over the ledger, and waits until it does.
func (c *counter) start() error {
	c.glass = newGlass(c)
	c.kiosk = &kiosk.Kiosk{
		Profile: c.profile, Surface: c.glass, Tokens: c.ports, Ledger: c.ledger, Clock: c.clock, Rand: rand.Reader, Keys: c.keys,
		Outbox: c.newOutbox(), CRLs: c.crls, Recipient: c.pki.Issuing.RawSubject,
		ID: "kiosk-7", Number: kioskNumber, Office: office, Idle: 2 * time.Minute, Language: "fa", Log: c.log,
	}
	ctx, stop := context.WithCancel(context.Background())
	k, ended := c.kiosk, make(chan error, 1)
	c.stop, c.ended = stop, ended
	go func() { ended <- k.Run(ctx) }()
	_, err := c.await(func(s display.Screen) bool { return s.ID == "idle" || s.ID == "reading" })
	return err
}

func (c *counter) newOutbox() *kiosk.Outbox {
	return kiosk.NewOutbox(c.ledger, c.profile.Pool(), c.profile.Intermediates(), c.clock, c.log)
}

// halt ends the kiosk. What it says is of interest only if it ended by itself.
func (c *counter) halt() error {
	c.stop()
	select {
	case <-c.ended: // because it was told to
		c.ports.end()
		return c.ledger.Failed()
	case <-time.After(patience):
		return fmt.Errorf("kiosk does not end; pages so far %q", c.glass.ids())
	}
}

func (c *counter) crls() []*x509.RevocationList {
	der, err := os.ReadFile(filepath.Join(c.fix.PKI, "crl.der"))
	if err != nil {
		return nil
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil
	}
	return []*x509.RevocationList{list}
}

// clock is the machine's, said to be right.
type clock struct{}

func (clock) Now() time.Time  { return time.Now().UTC() }
func (clock) Quality() string { return kiosk.ClockTrusted }

// ports are the two USB ports and what tokend would tell about them.
type ports struct {
	mu      sync.Mutex
	plugged []kiosk.Device
	sticks  map[string]*stick
	count   int
	queue   chan kiosk.DeviceEvent
	workers []net.Conn // their ends
	working sync.WaitGroup
}

func newPorts() *ports { return &ports{sticks: map[string]*stick{}} }

// Events implements kiosk.Tokens.
func (p *ports) Events(ctx context.Context) <-chan kiosk.DeviceEvent {
	out, queue := make(chan kiosk.DeviceEvent), make(chan kiosk.DeviceEvent, 64)
	p.mu.Lock()
	p.queue = queue
	for _, d := range p.plugged {
		queue <- kiosk.DeviceEvent{Device: d, Present: true}
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

// Open implements kiosk.Tokens.
func (p *ports) Open(_ context.Context, id string) (*pkcs11.Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sticks[id]
	if s == nil {
		return nil, fmt.Errorf("no device %s", id)
	}
	ours, theirs := net.Pipe()
	p.workers = append(p.workers, theirs)
	p.working.Go(func() {
		defer theirs.Close()
		s.Serve(theirs)
	})
	return pkcs11.NewSession(ours), nil
}

// end ends the workers: none of them may write a token's file after the kiosk's life,
// when it may be another's.
func (p *ports) end() {
	p.mu.Lock()
	for _, w := range p.workers {
		w.Close()
	}
	p.workers = nil
	p.mu.Unlock()
	p.working.Wait()
}

// Busy implements kiosk.Tokens.
func (p *ports) Busy() time.Duration { return 0 }

// insert puts a token in, which is a new device each time.
func (p *ports) insert(s *stick, role kiosk.Role) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	d := kiosk.Device{ID: fmt.Sprintf("d-%d", p.count), Role: role, Model: "software", Supported: true}
	s.Insert()
	s.device = d.ID
	p.plugged, p.sticks[d.ID] = append(p.plugged, d), s
	if p.queue != nil {
		p.queue <- kiosk.DeviceEvent{Device: d, Present: true}
	}
}

// pull takes a token out, if it is in.
func (p *ports) pull(s *stick) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Remove()
	i := slices.IndexFunc(p.plugged, func(d kiosk.Device) bool { return d.ID == s.device })
	if i < 0 {
		return
	}
	d := p.plugged[i]
	p.plugged = slices.Delete(p.plugged, i, i+1)
	s.device = ""
	if p.queue != nil {
		p.queue <- kiosk.DeviceEvent{Device: d}
	}
}
