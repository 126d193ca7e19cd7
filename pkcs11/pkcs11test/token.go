package pkcs11test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"mohr.internal/pkcs11"
)

// Flags is which of the PIN flags a token sets; real modules differ.
type Flags int

// The styles seen on real modules.
const (
	FlagsAll   Flags = iota // LOW, FINAL, LOCKED in order (openCryptoki)
	FlagsFinal              // FINAL and LOCKED, never LOW (OpenSC)
	FlagsLow                // LOW only (SoftHSM)
	FlagsNone               // none at all (NSS)
)

// Options describes a software token. The zero value is a citizen's token with
// PIN 1234 and 3 tries that never fills up.
type Options struct {
	Label, Manufacturer, Model, Serial string

	PIN            string // "1234" if empty
	MinPIN, MaxPIN int    // 4 and 16 if 0
	Tries          int    // 3 if 0
	Flags          Flags
	TellTries      bool // TriesLeft is told
	ToBeChanged    bool // CKF_USER_PIN_TO_BE_CHANGED until ChangePIN

	Room     int           // bytes of memory, unlimited if 0
	KeyDelay time.Duration // how long a key generation takes

	// NewKey makes keys, with crypto/rand if nil. Tests that need speed or the
	// same keys again give their own.
	NewKey func(pkcs11.KeyAlgorithm) (crypto.Signer, error) `json:"-"`

	// File, if set, keeps the token's state between processes.
	File string
}

// Token is a software token. It lives on while sessions come and go, and may be
// pulled and put in again.
type Token struct {
	opts Options

	mu      sync.Mutex
	state   state
	present bool
	life    int // counts insertions: a session does not outlive its own
	faults  []*Fault
	calls   map[pkcs11.Verb]int
	tries   int
}

// state is what survives a power cut.
type state struct {
	PIN         string
	Left        int
	ToBeChanged bool
	Objects     []object
}

type class int

const (
	certificate class = iota
	publicKey
	privateKey
)

type object struct {
	Class class
	ID    []byte
	Label string
	Value []byte // certificate, SubjectPublicKeyInfo or PKCS#8
}

// New makes a token and puts it in.
func New(o Options) *Token {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&o.Label, "Citizen")
	def(&o.Manufacturer, "Mohr test")
	def(&o.Model, "software")
	def(&o.Serial, "0001")
	def(&o.PIN, "1234")
	if o.MinPIN == 0 {
		o.MinPIN = 4
	}
	if o.MaxPIN == 0 {
		o.MaxPIN = 16
	}
	if o.Tries == 0 {
		o.Tries = 3
	}
	if o.NewKey == nil {
		o.NewKey = newKey
	}
	t := &Token{opts: o, present: true, calls: map[pkcs11.Verb]int{}}
	t.state = state{PIN: o.PIN, Left: o.Tries, ToBeChanged: o.ToBeChanged}
	t.load()
	return t
}

func newKey(a pkcs11.KeyAlgorithm) (crypto.Signer, error) {
	if a == pkcs11.RSA2048 {
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// load and save keep the state in Options.File. A test's token has no better
// use for an error than to stop.
func (t *Token) load() {
	if t.opts.File == "" {
		return
	}
	b, err := os.ReadFile(t.opts.File)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = json.Unmarshal(b, &t.state)
	}
	if err != nil {
		panic(err)
	}
}

func (t *Token) save() {
	if t.opts.File == "" {
		return
	}
	b, err := json.Marshal(t.state)
	if err == nil {
		err = os.WriteFile(t.opts.File, b, 0o600)
	}
	if err != nil {
		panic(err)
	}
}

// Dial starts a worker's conversation with the token, in process, and gives our
// end of it.
func (t *Token) Dial() net.Conn {
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		t.Serve(theirs)
	}()
	return ours
}

// Open is a Session with the token, closed at the end of the test.
func (t *Token) Open(tb testing.TB, opts ...pkcs11.Option) *pkcs11.Session {
	tb.Helper()
	s := pkcs11.NewSession(t.Dial(), opts...)
	tb.Cleanup(func() { s.Close() })
	return s
}

// Remove pulls the token out. Every session with it is dead from then on.
func (t *Token) Remove() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.present = false
}

// Insert puts it in again, for new sessions.
func (t *Token) Insert() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.present = true
	t.life++
}

// AddKey puts a key pair on the token, as in a factory. A nil label adds none of
// its own.
func (t *Token) AddKey(id []byte, label string, key crypto.Signer) error {
	priv, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	pub, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state.Objects = append(t.state.Objects, object{privateKey, id, label, priv}, object{publicKey, id, label, pub})
	t.save()
	return nil
}

// AddCertificate puts a certificate on the token, whatever is in it.
func (t *Token) AddCertificate(id []byte, label string, der []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state.Objects = append(t.state.Objects, object{certificate, id, label, der})
	t.save()
}

// SetTriesLeft sets the PIN counter; 0 locks the PIN.
func (t *Token) SetTriesLeft(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state.Left = n
	t.save()
}

// TriesLeft is the PIN counter as the card has it, told or not.
func (t *Token) TriesLeft() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state.Left
}

// PINTries is how often a PIN was compared since New, right or wrong.
func (t *Token) PINTries() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tries
}

// Calls is how many requests of this verb reached the token.
func (t *Token) Calls(v pkcs11.Verb) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls[v]
}

// PrivateKeys is how many private keys are on the token.
func (t *Token) PrivateKeys() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, o := range t.state.Objects {
		if o.Class == privateKey {
			n++
		}
	}
	return n
}
