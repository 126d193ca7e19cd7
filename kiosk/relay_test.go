package kiosk

import (
	"crypto/sha256"
	"crypto/x509"
	"io"
	"net"
	"sync"
	"testing"

	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/pkcs11test"
)

// pipe is what a session talks through.
type pipe = io.ReadWriteCloser

// blank is a worker that sees no initialised token.
func (c *counter) blank() pipe {
	empty := pkcs11test.New(pkcs11test.Options{})
	empty.Remove()
	return empty.Dial()
}

// relay is a device behind which the token can be changed in the middle of a
// session: frames go to the first token, after swap to the second.
type relay struct {
	first, second *pkcs11test.Token
	mu            sync.Mutex
	swapped       bool
}

func newRelay(first, second *pkcs11test.Token) *relay { return &relay{first: first, second: second} }

func (r *relay) swap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.swapped = true
}

func (r *relay) dial() pipe {
	ours, theirs := net.Pipe()
	go func() {
		first, second := r.first.Dial(), r.second.Dial()
		defer first.Close()
		defer second.Close()
		defer theirs.Close()
		for {
			f, err := pkcs11.ReadFrame(theirs)
			if err != nil {
				return
			}
			r.mu.Lock()
			to := first
			if r.swapped {
				to = second
			}
			r.mu.Unlock()
			if _, err := pkcs11.WriteFrame(to, f); err != nil {
				return
			}
			answer, err := pkcs11.ReadFrame(to)
			if err != nil {
				return
			}
			if _, err := pkcs11.WriteFrame(theirs, answer); err != nil || f.Verb == pkcs11.VerbExit {
				return
			}
		}
	}()
	return ours
}

// citizenAtHome is a conversation with the citizen's token elsewhere.
func (c *counter) citizenAtHome() pipe {
	c.citizen.Insert()
	return c.citizen.Dial()
}

func sum(b []byte) [32]byte { return sha256.Sum256(b) }

func certificateOf(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
