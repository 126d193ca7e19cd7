package cmptest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"mohr.internal/kiosk/cmp"
)

// rsaKey makes RSA keys once for all tests, they are slow.
var rsaKey = sync.OnceValues(func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) })
var rsaKey2 = sync.OnceValues(func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// desk is a kiosk with a citizen and an officer at it, and a CA it can reach.
type desk struct {
	t                  testing.TB
	pki                *PKI
	ca                 *CA
	url                string
	now                time.Time
	oldKey, newKey     crypto.Signer
	officerKey         crypto.Signer
	old, officer       *x509.Certificate
	kioskKey           crypto.Signer
	kiosk              *x509.Certificate
	implicit           bool
	statement          func(*cmp.Statement) // bends what the officer attests
	noAttestation      bool
	transaction, nonce []byte // of the next request; nil means random
}

func newDesk(t testing.TB, change func(*CAOptions)) *desk {
	t.Helper()
	d := &desk{t: t, pki: newPKI(t), now: testTime, implicit: true}
	o := CAOptions{PKI: d.pki, Now: func() time.Time { return d.now }, SilenceLimit: 50 * time.Millisecond}
	if change != nil {
		change(&o)
	}
	d.ca = must[*CA](t)(NewCA(o))
	server := httptest.NewServer(d.ca)
	t.Cleanup(server.Close)
	d.url = server.URL
	d.oldKey, d.newKey, d.officerKey = newP256(t), newP256(t), newP256(t)
	d.citizen(CertOptions{})
	d.officer = must[*x509.Certificate](t)(d.pki.Officer(d.officerKey.Public(), CertOptions{}))
	d.kiosk, d.kioskKey = d.pki.Kiosk, d.pki.KioskKey
	return d
}

func (d *desk) citizen(o CertOptions) {
	d.t.Helper()
	d.old = must[*x509.Certificate](d.t)(d.pki.Citizen(d.oldKey.Public(), o))
}

func random(t testing.TB) []byte {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func (d *desk) ids() (transaction, nonce []byte) {
	transaction, nonce = d.transaction, d.nonce
	if transaction == nil {
		transaction = random(d.t)
	}
	if nonce == nil {
		nonce = random(d.t)
	}
	return transaction, nonce
}

func (d *desk) kur() []byte {
	d.t.Helper()
	transaction, nonce := d.ids()
	return must[[]byte](d.t)(cmp.KUR{
		OldCert: d.old, Chain: d.pki.Chain(), OldKey: d.oldKey, NewKey: d.newKey,
		TransactionID: transaction, SenderNonce: nonce, Time: d.now,
		Recipient: d.pki.Issuing.RawSubject, ImplicitConfirm: d.implicit,
	}.Build(rand.Reader))
}

// ir asks on behalf of a citizen with a blank token.
func (d *desk) ir(subject []byte, signer crypto.Signer, cert *x509.Certificate) []byte {
	d.t.Helper()
	transaction, nonce := d.ids()
	return must[[]byte](d.t)(cmp.IR{
		Subject: subject, NewKey: d.newKey, Signer: signer, SignerCert: cert, Chain: d.pki.Chain(),
		TransactionID: transaction, SenderNonce: nonce, Time: d.now,
		Recipient: d.pki.Issuing.RawSubject, ImplicitConfirm: d.implicit,
	}.Build(rand.Reader))
}

// nest puts the officer's attestation and the kiosk's protection round a message.
func (d *desk) nest(inner []byte) []byte {
	d.t.Helper()
	n := cmp.Nested{
		Inner: inner, Key: d.kioskKey, Cert: d.kiosk, Chain: d.pki.Chain(), Time: d.now, Recipient: d.pki.Issuing.RawSubject,
	}
	if !d.noAttestation {
		s := must[cmp.Statement](d.t)(cmp.NewStatement(inner))
		s.Profile, s.ProfileVersion, s.Renewal, s.Signal = "demo", 1, cmp.RenewalFirst, "unknown"
		if s.OldCertHash == [32]byte{} {
			s.Renewal = cmp.Activation
		}
		s.Office, s.Kiosk, s.Time, s.ClockQuality = "دفتر ۱۲", "kiosk-1", d.now, "network"
		if d.statement != nil {
			d.statement(&s)
		}
		n.Attestation = must[[]byte](d.t)(cmp.Attest(s, d.officerKey, d.officer, d.pki.Chain(), rand.Reader))
	}
	return must[[]byte](d.t)(n.Build(rand.Reader))
}

// post sends a message and returns what came back.
func (d *desk) post(der []byte) []byte {
	d.t.Helper()
	response, err := http.Post(d.url, ContentType, bytes.NewReader(der))
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	body := must[[]byte](d.t)(io.ReadAll(response.Body))
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != ContentType {
		d.t.Fatalf("status %s, type %s: %.200q", response.Status, response.Header.Get("Content-Type"), body)
	}
	return body
}

// expect is what the answer to a request of ours must fit.
func (d *desk) expect(request []byte) cmp.Expect {
	d.t.Helper()
	m := must[*cmp.Message](d.t)(cmp.Parse(request))
	e := must[cmp.Expect](d.t)(m.Expect())
	e.Anchors, e.Intermediates, e.Time = d.pki.Roots(), []*x509.Certificate{d.pki.Issuing}, d.now
	return e
}

func (d *desk) check(e cmp.Expect, answer []byte) cmp.Answer {
	d.t.Helper()
	return must[cmp.Answer](d.t)(e.Check(answer))
}

// ask sends a request and checks the answer to it.
func (d *desk) ask(request []byte) cmp.Answer {
	d.t.Helper()
	return d.check(d.expect(request), d.post(request))
}

func (d *desk) pollReq(request []byte, last cmp.Answer) (der []byte, e cmp.Expect) {
	d.t.Helper()
	e = d.expect(request)
	e.Sent, e.Nonce = cmp.SentPollReq, random(d.t)
	return must[[]byte](d.t)(cmp.PollReq{
		CertReqID: last.CertReqID, Signer: d.oldKey, SignerCert: d.old, Chain: d.pki.Chain(),
		TransactionID: e.TransactionID, SenderNonce: e.Nonce, RecipNonce: last.SenderNonce, Time: d.now,
		Recipient: d.pki.Issuing.RawSubject,
	}.Build(rand.Reader)), e
}

func (d *desk) certConf(request []byte, last cmp.Answer, cert *x509.Certificate, reject *cmp.StatusInfo) (der []byte, e cmp.Expect) {
	d.t.Helper()
	e = d.expect(request)
	e.Sent, e.Nonce = cmp.SentCertConf, random(d.t)
	return must[[]byte](d.t)(cmp.CertConf{
		Cert: cert, Reject: reject, Signer: d.oldKey, SignerCert: d.old, Chain: d.pki.Chain(),
		TransactionID: e.TransactionID, SenderNonce: e.Nonce, RecipNonce: last.SenderNonce, Time: d.now,
		Recipient: d.pki.Issuing.RawSubject,
	}.Build(rand.Reader)), e
}

// issued demands exactly n certificates so far.
func (d *desk) issued(n int) []Issued {
	d.t.Helper()
	list := d.ca.Issued()
	if len(list) != n {
		d.t.Fatalf("%d certificates issued, want %d", len(list), n)
	}
	return list
}
