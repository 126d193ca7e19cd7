package cmptest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"testing"
	"time"

	"mohr.internal/kiosk/cmp"
)

func TestRenewal(t *testing.T) {
	old, next := must[crypto.Signer](t)(rsaKey()), must[crypto.Signer](t)(rsaKey2())
	for _, tc := range []struct {
		name     string
		old, new crypto.Signer
	}{
		{"RSA to RSA", old, next},
		{"RSA to P-256", old, newP256(t)},
		{"P-256 to RSA", newP256(t), next},
		{"same RSA key", old, nil},
		{"same P-256 key", newP256(t), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDesk(t, nil)
			d.oldKey, d.newKey = tc.old, tc.new
			policy := must[x509.OID](t)(x509.OIDFromInts([]uint64{2, 16, 364, 1}))
			d.citizen(CertOptions{Policies: []x509.OID{policy}})
			request := d.nest(d.kur())
			a := d.ask(request)
			if a.Kind != cmp.Issued || !a.ImplicitConfirmed {
				t.Fatalf("answer %v, implicitly confirmed %t", a.Kind, a.ImplicitConfirmed)
			}
			r := d.issued(1)[0]
			if !a.Cert.Equal(r.Cert) || !r.Old.Equal(d.old) || !r.Kiosk.Equal(d.kiosk) || !r.Officer.Equal(d.officer) ||
				r.Statement.Kiosk != "kiosk-1" || r.Confirmation != Implicit || !r.At.Equal(testTime) {
				t.Errorf("record %+v", r)
			}
			if !bytes.Equal(a.Cert.RawSubject, d.old.RawSubject) || a.Cert.KeyUsage != d.old.KeyUsage ||
				len(a.Cert.Policies) != 1 || !a.Cert.Policies[0].Equal(policy) {
				t.Errorf("subject %s, usage %b", a.Cert.Subject, a.Cert.KeyUsage)
			}
			if !a.Cert.NotAfter.Equal(testTime.Add(validity)) {
				t.Errorf("good until %s, want a year", a.Cert.NotAfter)
			}
		})
	}
}

func TestActivation(t *testing.T) {
	d := newDesk(t, nil)
	subject := must[[]byte](t)(Staff.RawSubject())
	request := d.nest(d.ir(subject, d.kioskKey, d.kiosk))
	a := d.ask(request)
	if a.Kind != cmp.Issued || !bytes.Equal(a.Cert.RawSubject, subject) || !a.Cert.Equal(d.issued(1)[0].Cert) {
		t.Fatalf("answer %v for %s", a.Kind, a.Cert.Subject)
	}
	if d.issued(1)[0].Old != nil {
		t.Error("an activation has an old certificate")
	}
}

// An un-nested ir may renew its own subject but not ask for somebody else's.
func TestUnnestedIR(t *testing.T) {
	d := newDesk(t, func(o *CAOptions) { o.Unnested = true })
	if a := d.ask(d.ir(d.old.RawSubject, d.oldKey, d.old)); a.Kind != cmp.Issued {
		t.Errorf("own subject: %v", a.Kind)
	}
	other := must[[]byte](t)(Staff.RawSubject())
	if a := d.ask(d.ir(other, d.oldKey, d.old)); a.Kind != cmp.Rejected || a.FailInfo != cmp.FailBadCertTemplate {
		t.Errorf("other subject: %v %v", a.Kind, a.StatusInfo)
	}
	if a := d.ask(d.ir(other, d.kioskKey, d.kiosk)); a.Kind != cmp.Issued {
		t.Errorf("other subject by a kiosk: %v", a.Kind)
	}
	d.issued(2)
}

func TestSameBytesSameAnswer(t *testing.T) {
	d := newDesk(t, nil)
	request := d.nest(d.kur())
	first := d.post(request)
	d.now = d.now.AddDate(0, 2, 0) // by now the old certificate has expired
	if again := d.post(request); !bytes.Equal(first, again) {
		t.Error("another answer to the same bytes")
	}
	d.issued(1)
}

func TestSameTransactionOtherBytes(t *testing.T) {
	d := newDesk(t, nil)
	d.transaction = random(t)
	kur := d.kur()
	request := d.nest(kur)
	first := d.post(request)
	for name, other := range map[string][]byte{"nested again": d.nest(kur), "another kur": d.nest(d.kur())} {
		if a := d.ask(other); a.Kind != cmp.Rejected || a.FailInfo != cmp.FailTransactionIDInUse {
			t.Errorf("%s: %v %v", name, a.Kind, a.StatusInfo)
		}
	}
	if !bytes.Equal(first, d.post(request)) {
		t.Error("the first request lost its answer")
	}
	d.issued(1)
}

func TestCertConf(t *testing.T) {
	withheld := func(o *CAOptions) { o.WithholdImplicitConfirm = true }
	for _, tc := range []struct {
		name    string
		change  func(*CAOptions)
		wish    bool
		reject  *cmp.StatusInfo
		want    Confirmation
		answer  cmp.AnswerKind
		revoked bool
	}{
		{"accepted", withheld, true, nil, Accepted, cmp.Confirmed, false},
		{"not asked for", nil, false, nil, Accepted, cmp.Confirmed, false},
		{"declined", withheld, true, &cmp.StatusInfo{Status: cmp.StatusRejection}, Declined, cmp.Confirmed, true},
		{"already implicit", nil, true, nil, Implicit, cmp.Rejected, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDesk(t, tc.change)
			d.implicit = tc.wish
			request := d.nest(d.kur())
			a := d.ask(request)
			conf, e := d.certConf(request, a, a.Cert, tc.reject)
			first := d.post(conf)
			if got := d.check(e, first); got.Kind != tc.answer {
				t.Fatalf("%v %v, want %v", got.Kind, got.StatusInfo, tc.answer)
			}
			r := d.issued(1)[0]
			if r.Confirmation != tc.want || d.pki.Revoked(r.Cert) != tc.revoked {
				t.Errorf("%s, revoked %t", r.Confirmation, d.pki.Revoked(r.Cert))
			}
			if again := d.post(conf); tc.answer == cmp.Confirmed && !bytes.Equal(first, again) {
				t.Error("another answer to the same certConf")
			}
		})
	}
}

func TestCertConfRefused(t *testing.T) {
	for _, tc := range []struct {
		name string
		bend func(d *desk, a *cmp.Answer)
		want cmp.FailInfo
	}{
		{"other certificate", func(d *desk, a *cmp.Answer) { a.Cert = d.old }, cmp.FailBadCertID},
		{"by the new key", func(d *desk, a *cmp.Answer) { d.oldKey, d.old = d.newKey, a.Cert }, cmp.FailBadRequest},
		{"unsent nonce", func(d *desk, a *cmp.Answer) { a.SenderNonce = random(d.t) }, cmp.FailBadSenderNonce},
		{"old", func(d *desk, a *cmp.Answer) { d.now = d.now.Add(-2 * time.Hour) }, cmp.FailBadTime},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDesk(t, func(o *CAOptions) { o.Now = func() time.Time { return testTime }; o.WithholdImplicitConfirm = true })
			request := d.nest(d.kur())
			a := d.ask(request)
			tc.bend(d, &a)
			conf, e := d.certConf(request, a, a.Cert, nil)
			if got := d.check(e, d.post(conf)); got.Kind != cmp.Rejected || got.FailInfo != tc.want {
				t.Errorf("%v %v, want %v", got.Kind, got.StatusInfo, tc.want)
			}
			if r := d.issued(1)[0]; r.Confirmation != Unconfirmed {
				t.Errorf("certificate %s", r.Confirmation)
			}
		})
	}
}

func TestWaitPolls(t *testing.T) {
	d := newDesk(t, nil)
	d.ca.Queue(Behaviour{Kind: WaitPolls, N: 2})
	request := d.nest(d.kur())
	a := d.ask(request)
	if a.Kind != cmp.Waiting || d.ca.Waiting() != 1 {
		t.Fatalf("%v, %d waiting", a.Kind, d.ca.Waiting())
	}
	poll, e := d.pollReq(request, a)
	if a = d.check(e, d.post(poll)); a.Kind != cmp.Waiting || a.CheckAfter != time.Second {
		t.Fatalf("first poll: %v after %s", a.Kind, a.CheckAfter)
	}
	d.issued(0)
	poll, e = d.pollReq(request, a)
	first := d.post(poll)
	if a = d.check(e, first); a.Kind != cmp.Issued {
		t.Fatalf("second poll: %v %v", a.Kind, a.StatusInfo)
	}
	if !bytes.Equal(first, d.post(poll)) {
		t.Error("another answer to the same pollReq")
	}
	// The request itself still gets its own answer, with its own nonce.
	if b := d.ask(request); b.Kind != cmp.Issued || !b.Cert.Equal(a.Cert) {
		t.Errorf("request again: %v", b.Kind)
	}
	d.issued(1)
}

// Asking by the same bytes counts like asking by pollReq.
func TestWaitPollsByResending(t *testing.T) {
	d := newDesk(t, nil)
	d.ca.Queue(Behaviour{Kind: WaitPolls, N: 2})
	request := d.nest(d.kur())
	for _, want := range []cmp.AnswerKind{cmp.Waiting, cmp.Waiting, cmp.Issued, cmp.Issued} {
		if a := d.ask(request); a.Kind != want {
			t.Fatalf("%v, want %v", a.Kind, want)
		}
	}
	d.issued(1)
}

// A kiosk whose citizen has gone cannot sign a pollReq: it sends the nested
// request again.
func TestWaitingRequestSentAgain(t *testing.T) {
	d := newDesk(t, nil)
	d.ca.Behave(Behaviour{Kind: WaitReleased})
	request := d.nest(d.kur())
	for range 3 {
		if a := d.ask(request); a.Kind != cmp.Waiting {
			t.Fatal(a.Kind)
		}
	}
	d.ca.Behave(Behaviour{})
	if a := d.ask(request); a.Kind != cmp.Waiting {
		t.Fatalf("not released yet: %v", a.Kind)
	}
	if n := d.ca.Release(); n != 1 {
		t.Fatalf("%d released", n)
	}
	d.issued(0)
	first := d.post(request)
	if a := d.check(d.expect(request), first); a.Kind != cmp.Issued {
		t.Fatal(a.Kind)
	}
	if !bytes.Equal(first, d.post(request)) {
		t.Error("another answer to the same bytes")
	}
	d.issued(1)
}

func TestPollRefused(t *testing.T) {
	for _, tc := range []struct {
		name string
		bend func(d *desk, a *cmp.Answer)
		want cmp.FailInfo
	}{
		{"unsent nonce", func(d *desk, a *cmp.Answer) { a.SenderNonce = random(d.t) }, cmp.FailBadSenderNonce},
		{"by another", func(d *desk, a *cmp.Answer) { d.oldKey, d.old = d.kioskKey, d.kiosk }, cmp.FailBadRequest},
		{"revoked meanwhile", func(d *desk, a *cmp.Answer) { d.pki.Revoke(d.old, d.now) }, cmp.FailCertRevoked},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDesk(t, nil)
			d.ca.Queue(Behaviour{Kind: WaitPolls, N: 1})
			request := d.nest(d.kur())
			a := d.ask(request)
			tc.bend(d, &a)
			poll, e := d.pollReq(request, a)
			if got := d.check(e, d.post(poll)); got.Kind != cmp.Rejected || got.FailInfo != tc.want {
				t.Errorf("%v %v, want %v", got.Kind, got.StatusInfo, tc.want)
			}
			d.issued(0)
		})
	}
	t.Run("senderNonce used before", func(t *testing.T) {
		d := newDesk(t, nil)
		d.ca.Queue(Behaviour{Kind: WaitReleased})
		d.transaction, d.nonce = random(t), random(t)
		request := d.nest(d.kur())
		last := d.ask(request)
		poll := must[[]byte](t)(cmp.PollReq{
			Signer: d.oldKey, SignerCert: d.old, TransactionID: d.transaction, SenderNonce: d.nonce,
			RecipNonce: last.SenderNonce, Time: d.now, Recipient: d.pki.Issuing.RawSubject,
		}.Build(rand.Reader))
		e := d.expect(request)
		e.Sent = cmp.SentPollReq
		if got := d.check(e, d.post(poll)); got.Kind != cmp.Rejected || got.FailInfo != cmp.FailBadSenderNonce {
			t.Errorf("%v %v", got.Kind, got.StatusInfo)
		}
	})
	t.Run("unknown transaction", func(t *testing.T) {
		d := newDesk(t, nil)
		poll, e := d.pollReq(d.nest(d.kur()), cmp.Answer{SenderNonce: random(t)})
		if got := d.check(e, d.post(poll)); got.Kind != cmp.Rejected || got.FailInfo != cmp.FailBadRequest {
			t.Errorf("%v %v", got.Kind, got.StatusInfo)
		}
	})
}

func TestConcurrentDelivery(t *testing.T) {
	d := newDesk(t, nil)
	request := d.nest(d.kur())
	answers := make(chan []byte)
	for range 8 {
		go func() {
			der, err := d.ca.answer(request, Behaviour{})
			if err != nil {
				t.Error(err)
			}
			answers <- der
		}()
	}
	first := <-answers
	for range 7 {
		if !bytes.Equal(first, <-answers) {
			t.Error("answers differ")
		}
	}
	d.issued(1)
}

func TestNewCANeedsParts(t *testing.T) {
	if _, err := NewCA(CAOptions{Now: time.Now}); err == nil {
		t.Error("a CA without a PKI")
	}
	if _, err := NewCA(CAOptions{PKI: new(PKI)}); err == nil {
		t.Error("a CA without a clock")
	}
}
