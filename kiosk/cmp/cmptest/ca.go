package cmptest

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"mohr.internal/kiosk/cmp"
)

// CAOptions of a CA. Only PKI and Now are needed.
type CAOptions struct {
	PKI *PKI
	Now func() time.Time

	// Unnested lets a certificate request come without a kiosk round it and so
	// without an officer, as OpenSSL's client sends it.
	Unnested bool
	// RefuseSameKey refuses a renewal that keeps the old public key.
	RefuseSameKey bool
	// WithholdImplicitConfirm makes every requester confirm.
	WithholdImplicitConfirm bool

	NestedWindow time.Duration // age of a request from a kiosk; zero means 30 days
	Window       time.Duration // age of any other message; zero means an hour
	Skew         time.Duration // how far a messageTime may lie ahead; zero means 5 minutes
	CheckAfter   time.Duration // told to those who wait; zero means a second
	SilenceLimit time.Duration // how long Silence hangs; zero means a minute

	Log  *slog.Logger // nil logs nothing
	Rand io.Reader    // nil means crypto/rand
}

// CA issues for its PKI. It may be used by several goroutines; messages are
// worked on one at a time.
type CA struct {
	opts CAOptions

	mu           sync.Mutex
	behaviour    Behaviour
	queue        []Behaviour
	transactions map[string]*transaction
	issued       []*Issued
}

// NewCA returns a CA that issues.
func NewCA(o CAOptions) (*CA, error) {
	if o.PKI == nil || o.Now == nil {
		return nil, errors.New("cmptest: new ca: no PKI or no clock given")
	}
	for _, d := range []struct {
		value     *time.Duration
		byDefault time.Duration
	}{
		{&o.NestedWindow, 30 * 24 * time.Hour}, {&o.Window, time.Hour}, {&o.Skew, 5 * time.Minute},
		{&o.CheckAfter, time.Second}, {&o.SilenceLimit, time.Minute},
	} {
		if *d.value == 0 {
			*d.value = d.byDefault
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return &CA{opts: o, transactions: make(map[string]*transaction)}, nil
}

// Behave sets the behaviour from the next message on. Requests that already
// wait go on waiting as they were told.
func (ca *CA) Behave(b Behaviour) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.behaviour = b
}

// Queue sets behaviours for the next messages, one each; then the one set by
// Behave holds again.
func (ca *CA) Queue(b ...Behaviour) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.queue = append(ca.queue, b...)
}

// Behaviour returns what will happen to the next message.
func (ca *CA) Behaviour() Behaviour {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if len(ca.queue) > 0 {
		return ca.queue[0]
	}
	return ca.behaviour
}

func (ca *CA) next() Behaviour {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if len(ca.queue) == 0 {
		return ca.behaviour
	}
	b := ca.queue[0]
	ca.queue = slices.Delete(ca.queue, 0, 1)
	return b
}

// Release ends the waiting of every request that waits and returns how many
// there were. Each is issued when its requester asks again.
func (ca *CA) Release() int {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	n := 0
	for _, tx := range ca.transactions {
		if tx.waiting() {
			tx.held, tx.pollsLeft = false, 0
			n++
		}
	}
	return n
}

// Confirmation of an issued certificate by its requester.
type Confirmation string

const (
	Unconfirmed Confirmation = "unconfirmed" // certConf is still to come
	Implicit    Confirmation = "implicit"    // implicitConfirm was granted
	Accepted    Confirmation = "accepted"    // certConf said so
	Declined    Confirmation = "declined"    // certConf said no; the certificate is revoked
)

// Issued is the record of one certificate.
type Issued struct {
	TransactionID []byte
	Cert          *x509.Certificate
	Old           *x509.Certificate // the one renewed; nil for ir and cr
	Kiosk         *x509.Certificate // nil if the request came un-nested
	Officer       *x509.Certificate // nil likewise
	Statement     *cmp.Statement    // what the officer attested; nil likewise
	At            time.Time
	Confirmation  Confirmation
}

// Issued lists the certificates issued so far, oldest first: one for each
// request that was granted, never two. Certificates made to deceive (OtherKey,
// OtherSubject) are not among them.
func (ca *CA) Issued() []Issued {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	list := make([]Issued, len(ca.issued))
	for i, r := range ca.issued {
		list[i] = *r
	}
	return list
}

// Waiting returns how many requests wait.
func (ca *CA) Waiting() int {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	n := 0
	for _, tx := range ca.transactions {
		if tx.waiting() {
			n++
		}
	}
	return n
}
