package cmptest

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"
	"time"

	"mohr.internal/kiosk/cmp"
)

func unnested(o *CAOptions) { o.Unnested = true }

const day = 24 * time.Hour

// Each row breaks one rule and no other.
func TestRefusals(t *testing.T) {
	nested := func(bend func(d *desk)) func(*desk) []byte {
		return func(d *desk) []byte { bend(d); return d.nest(d.kur()) }
	}
	citizen := func(o CertOptions) func(*desk) []byte { return nested(func(d *desk) { d.citizen(o) }) }
	attested := func(bend func(s *cmp.Statement)) func(*desk) []byte {
		return nested(func(d *desk) { d.statement = bend })
	}
	kiosk := func(o CertOptions) func(*desk) []byte {
		return nested(func(d *desk) {
			d.kiosk = must[*x509.Certificate](d.t)(d.pki.KioskRA("Kiosk 2", d.kioskKey.Public(), o))
		})
	}
	officer := func(o CertOptions) func(*desk) []byte {
		return nested(func(d *desk) {
			d.officer = must[*x509.Certificate](d.t)(d.pki.Officer(d.officerKey.Public(), o))
		})
	}
	forged := func(bend func(d *desk, r *certRequest)) func(*desk) []byte {
		return func(d *desk) []byte {
			return d.nest(forgeRequest(d.t, d.kur(), d.oldKey, d.newKey, func(r *certRequest) { bend(d, r) }))
		}
	}

	for _, tc := range []struct {
		name    string
		options func(*CAOptions)
		message func(d *desk) []byte
		delay   time.Duration
		rule    Rule
		fail    cmp.FailInfo
	}{
		{"nothing", nil, func(*desk) []byte { return nil }, 0, cmp.RuleSyntax, cmp.FailBadDataFormat},
		{"garbage", nil, func(*desk) []byte { return []byte("GET / HTTP/1.1") }, 0, cmp.RuleSyntax, cmp.FailBadDataFormat},
		{"no kiosk", nil, func(d *desk) []byte { return d.kur() }, 0, RuleUnnested, cmp.FailNotAuthorized},

		{"no attestation", nil, nested(func(d *desk) { d.noAttestation = true }), 0, cmp.RuleAttest, cmp.FailNotAuthorized},
		{"attested by a citizen", nil, nested(func(d *desk) { d.officer, d.officerKey = d.old, d.oldKey }), 0, cmp.RuleOfficer, cmp.FailNotAuthorized},
		{"attested by a kiosk", nil, nested(func(d *desk) { d.officer, d.officerKey = d.kiosk, d.kioskKey }), 0, cmp.RuleOfficer, cmp.FailNotAuthorized},
		{"officer revoked", nil, officer(CertOptions{Revoked: true}), 0, cmp.RuleOfficer, cmp.FailNotAuthorized},
		{"officer expired", nil, officer(CertOptions{Expired: true, DaysLeft: 1}), 0, cmp.RuleOfficer, cmp.FailNotAuthorized},
		{"officer of another CA", nil, officer(CertOptions{ForeignCA: true}), 0, cmp.RuleOfficer, cmp.FailNotAuthorized},
		{"attests another request", nil, attested(func(s *cmp.Statement) { s.RequestHash[31] ^= 1 }), 0, cmp.RuleAttest, cmp.FailNotAuthorized},
		{"attests another transaction", nil, attested(func(s *cmp.Statement) { s.TransactionID[0] ^= 1 }), 0, cmp.RuleAttest, cmp.FailNotAuthorized},
		{"attests another certificate", nil, attested(func(s *cmp.Statement) { s.OldCertHash[0] ^= 1 }), 0, cmp.RuleAttest, cmp.FailNotAuthorized},
		{"attests another key", nil, attested(func(s *cmp.Statement) { s.NewKeyHash[0] ^= 1 }), 0, cmp.RuleAttest, cmp.FailNotAuthorized},
		{"attested long ago", nil, attested(func(s *cmp.Statement) { s.Time = s.Time.Add(-30*day - time.Second) }), 0, cmp.RuleAttest, cmp.FailNotAuthorized},
		{"attested tomorrow", nil, attested(func(s *cmp.Statement) { s.Time = s.Time.Add(5*time.Minute + time.Second) }), 0, cmp.RuleAttest, cmp.FailNotAuthorized},

		{"nested by a citizen", nil, nested(func(d *desk) { d.kiosk, d.kioskKey = d.old, d.oldKey }), 0, cmp.RuleSigner, cmp.FailNotAuthorized},
		{"nested by the responder", nil, nested(func(d *desk) { d.kiosk, d.kioskKey = d.pki.Responder, d.pki.ResponderKey }), 0, cmp.RuleSigner, cmp.FailNotAuthorized},
		{"kiosk revoked", nil, kiosk(CertOptions{Revoked: true}), 0, RuleRevoked, cmp.FailCertRevoked},
		{"kiosk expired", nil, kiosk(CertOptions{Expired: true, DaysLeft: 1}), 0, RuleExpired, cmp.FailSignerNotTrusted},
		{"kiosk of another CA", nil, kiosk(CertOptions{ForeignCA: true}), 0, RuleIssuer, cmp.FailSignerNotTrusted},
		{"nested twice", nil, func(d *desk) []byte {
			p := takeApart(d.t, d.nest(d.kur()))
			p.body = build(d.t, specific(20), sequence(d.t, d.nest(d.kur())))
			return p.seal(d.t, d.kioskKey)
		}, 0, cmp.RuleSyntax, cmp.FailBadDataFormat},
		{"nested pollReq", nil, func(d *desk) []byte {
			poll, _ := d.pollReq(d.kur(), cmp.Answer{SenderNonce: random(d.t)})
			d.noAttestation = true
			return d.nest(poll)
		}, 0, cmp.RuleBody, cmp.FailBadRequest},
		{"nested header tampered", nil, func(d *desk) []byte {
			nested := d.nest(d.kur())
			return bytes.Replace(nested, []byte("20260321093000Z"), []byte("20260321093001Z"), 1)
		}, 0, cmp.RuleProtection, cmp.FailBadMessageCheck},
		{"nested in another transaction", nil, func(d *desk) []byte {
			nested := d.nest(d.kur())
			m := must[*cmp.Message](d.t)(cmp.Parse(nested))
			return takeApart(d.t, nested).bend(d.t, m.Header.TransactionID, random(d.t)).seal(d.t, d.kioskKey)
		}, 0, cmp.RuleNested, cmp.FailBadRequest},
		{"nested with another nonce", nil, func(d *desk) []byte {
			nested := d.nest(d.kur())
			m := must[*cmp.Message](d.t)(cmp.Parse(nested))
			return takeApart(d.t, nested).bend(d.t, m.Header.SenderNonce, random(d.t)).seal(d.t, d.kioskKey)
		}, 0, cmp.RuleNested, cmp.FailBadRequest},

		{"kur tampered", nil, func(d *desk) []byte {
			return d.nest(bytes.Replace(d.kur(), []byte("20260321093000Z"), []byte("20260321093001Z"), 1))
		}, 0, cmp.RuleProtection, cmp.FailBadMessageCheck},
		{"protected by the new key", nil, func(d *desk) []byte {
			return d.nest(takeApart(d.t, d.kur()).seal(d.t, d.newKey))
		}, 0, cmp.RuleProtection, cmp.FailBadMessageCheck},
		{"pvno 3", nil, func(d *desk) []byte {
			return d.nest(takeApart(d.t, d.kur()).bend(d.t, []byte{2, 1, 2}, []byte{2, 1, 3}).seal(d.t, d.oldKey))
		}, 0, cmp.RuleVersion, cmp.FailUnsupportedVersion},
		{"old certificate revoked", nil, citizen(CertOptions{Revoked: true}), 0, RuleRevoked, cmp.FailCertRevoked},
		{"old certificate of another CA", nil, citizen(CertOptions{ForeignCA: true}), 0, RuleIssuer, cmp.FailSignerNotTrusted},
		{"old certificate expires in the outbox", nil, citizen(CertOptions{DaysLeft: 2}), 2*day + slack + time.Second, RuleExpired, cmp.FailSignerNotTrusted},
		{"nonRepudiation only", nil, nested(func(d *desk) {
			d.citizen(CertOptions{NonRepudiationOnly: true})
			d.old = claiming(d.old, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })
		}), 0, cmp.RuleKeyUsage, cmp.FailSignerNotTrusted},
		{"too long in the outbox", nil, citizen(CertOptions{DaysLeft: 60}), 30*day + time.Second, RuleTime, cmp.FailBadTime},
		{"from the future", nil, citizen(CertOptions{}), -5*time.Minute - time.Second, RuleTime, cmp.FailBadTime},
		{"an hour old without a kiosk", unnested, func(d *desk) []byte { return d.kur() },
			time.Hour + time.Second, RuleTime, cmp.FailBadTime},
		{"without messageTime", unnested, func(d *desk) []byte {
			subject := d.old.RawSubject
			d.now = time.Time{}
			defer func() { d.now = testTime }()
			return d.ir(subject, d.kioskKey, d.kiosk)
		}, 0, RuleTime, cmp.FailBadTime},

		{"oldCertID of another", nil, nested(func(d *desk) {
			d.old = claiming(d.old, func(c *x509.Certificate) { c.SerialNumber = new(big.Int).Add(c.SerialNumber, big.NewInt(1)) })
		}), 0, cmp.RuleOldCert, cmp.FailBadCertID},
		{"no oldCertID", nil, forged(func(d *desk, r *certRequest) { r.controls = nil }), 0, cmp.RuleOldCert, cmp.FailBadCertID},
		{"another subject", nil, forged(func(d *desk, r *certRequest) {
			r.template = bytes.Replace(r.template, []byte("0499370899"), []byte("0790419904"), 1)
		}), 0, cmp.RuleSubject, cmp.FailBadCertTemplate},
		{"same words, other string type", nil, forged(func(d *desk, r *certRequest) {
			r.template = bytes.Replace(r.template, append([]byte{0x0c, 12}, "Unaffiliated"...), append([]byte{0x13, 12}, "Unaffiliated"...), 1)
		}), 0, cmp.RuleSubject, cmp.FailBadCertTemplate},
		{"certReqId 1", nil, forged(func(d *desk, r *certRequest) { r.id = []byte{2, 1, 1} }), 0, cmp.RuleReqID, cmp.FailBadRequest},
		{"no proof", nil, forged(func(d *desk, r *certRequest) { r.proof = nil }), 0, cmp.RulePOP, cmp.FailBadPOP},
		{"proof left to the RA", nil, forged(func(d *desk, r *certRequest) { r.proof = []byte{0x80, 0} }), 0, cmp.RulePOP, cmp.FailBadPOP},
		{"proof by another key", nil, func(d *desk) []byte {
			return d.nest(forgeRequest(d.t, d.kur(), d.oldKey, newP256(d.t), func(*certRequest) {}))
		}, 0, cmp.RulePOP, cmp.FailBadPOP},
		{"template names another issuer", nil, forged(func(d *desk, r *certRequest) {
			r.template = sequence(d.t, build(d.t, specific(3), d.pki.Root.RawSubject), inside(d.t, r.template))
		}), 0, RuleTemplate, cmp.FailBadCertTemplate},
		{"oldCertID in an ir", nil, func(d *desk) []byte {
			var controls []byte
			forgeRequest(d.t, d.kur(), d.oldKey, d.newKey, func(r *certRequest) { controls = r.controls })
			ir := d.ir(d.old.RawSubject, d.kioskKey, d.kiosk)
			return d.nest(forgeRequest(d.t, ir, d.kioskKey, d.newKey, func(r *certRequest) { r.controls = controls }))
		}, 0, cmp.RuleOldCert, cmp.FailBadCertID},
		{"short transactionID", unnested, func(d *desk) []byte {
			d.transaction = random(d.t)
			return takeApart(d.t, d.kur()).shorten(d.t, d.transaction).seal(d.t, d.oldKey)
		}, 0, cmp.RuleTID, cmp.FailBadRequest},
		{"short senderNonce", unnested, func(d *desk) []byte {
			d.nonce = random(d.t)
			return takeApart(d.t, d.kur()).shorten(d.t, d.nonce).seal(d.t, d.oldKey)
		}, 0, cmp.RuleNonce, cmp.FailBadSenderNonce},
		{"same key refused", func(o *CAOptions) { o.RefuseSameKey = true }, nested(func(d *desk) { d.newKey = nil }), 0, RuleSameKey, cmp.FailBadCertTemplate},
		{"ir without a subject", nil, func(d *desk) []byte { return d.nest(d.ir([]byte{0x30, 0}, d.kioskKey, d.kiosk)) }, 0, cmp.RuleSubject, cmp.FailBadCertTemplate},
		{"an answer instead of a request", unnested, func(d *desk) []byte { return d.post(d.kur()) }, 0, cmp.RuleBody, cmp.FailBadRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDesk(t, tc.options)
			message := tc.message(d)
			before := len(d.ca.Issued())
			d.now = d.now.Add(tc.delay)
			answer := must[*cmp.Message](t)(cmp.Parse(d.post(message)))
			if err := answer.VerifyProtection(d.pki.Responder); err != nil {
				t.Error(err)
			}
			d.issued(before)
			if tc.fail == cmp.FailBadDataFormat { // no transaction to answer in
				if answer.Kind != cmp.BodyError || !bytes.Contains(answer.Raw(), []byte("("+string(tc.rule)+")")) {
					t.Errorf("%v, want an error with %s", answer.Kind, tc.rule)
				}
				return
			}
			got := cmp.Expect{
				TransactionID: answer.TransactionID(), Nonce: answer.RecipNonce(),
				Anchors: d.pki.Roots(), Intermediates: []*x509.Certificate{d.pki.Issuing}, Time: d.now,
			}
			a, err := got.Check(answer.Raw())
			if err != nil {
				t.Fatal(err)
			}
			if a.Kind != cmp.Rejected || a.FailInfo != tc.fail || !strings.Contains(strings.Join(a.Text, " "), "("+string(tc.rule)+")") {
				t.Errorf("%v %v, want %s, %v", a.Kind, a.StatusInfo, tc.rule, tc.fail)
			}
		})
	}
}

// Both sides of each boundary: these must pass.
func TestAccepted(t *testing.T) {
	for _, tc := range []struct {
		name    string
		options func(*CAOptions)
		message func(d *desk) []byte
		delay   time.Duration
	}{
		{"at the end of the window", nil, func(d *desk) []byte {
			d.citizen(CertOptions{DaysLeft: 60})
			return d.nest(d.kur())
		}, 30 * day},
		{"in the last second of the old certificate", nil, func(d *desk) []byte {
			d.citizen(CertOptions{DaysLeft: 2})
			return d.nest(d.kur())
		}, 2*day + slack},
		{"a clock 5 minutes fast", nil, func(d *desk) []byte { return d.nest(d.kur()) }, -5 * time.Minute},
		{"an hour old without a kiosk", unnested, func(d *desk) []byte { return d.kur() }, time.Hour},
		{"template without a subject", nil, func(d *desk) []byte {
			return d.nest(forgeRequest(d.t, d.kur(), d.oldKey, d.newKey, func(r *certRequest) {
				r.template = withoutSubject(d.t, r.template)
			}))
		}, 0},
		{"proof made anew", nil, func(d *desk) []byte {
			return d.nest(forgeRequest(d.t, d.kur(), d.oldKey, d.newKey, func(*certRequest) {}))
		}, 0},
		{"officer's certificate ends after the signing", nil, func(d *desk) []byte {
			d.citizen(CertOptions{DaysLeft: 60})
			d.officer = must[*x509.Certificate](d.t)(d.pki.Officer(d.officerKey.Public(), CertOptions{DaysLeft: 1}))
			return d.nest(d.kur())
		}, 10 * day},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDesk(t, tc.options)
			message := tc.message(d)
			d.now = d.now.Add(tc.delay)
			answer := must[*cmp.Message](t)(cmp.Parse(d.post(message)))
			if answer.Kind != cmp.BodyKUP {
				t.Fatalf("%v: %x", answer.Kind, answer.Raw())
			}
			if r := d.issued(1)[0]; !bytes.Equal(r.Cert.RawSubject, d.old.RawSubject) {
				t.Errorf("issued to %s", r.Cert.Subject)
			}
		})
	}
}

// Every byte of a request counts: no flipped bit may yield a certificate, unless
// it lies in a certificate that is sent along and not used.
func TestNoFlippedBitIssues(t *testing.T) {
	d := newDesk(t, nil)
	request := d.nest(d.kur())
	p := takeApart(t, request)
	signed := len(request) - len(p.extra)
	for i := range signed {
		bent := bytes.Clone(request)
		bent[i] ^= 1 << (i % 8)
		if _, err := d.ca.answer(bent, Behaviour{}); err != nil {
			t.Fatal(err)
		}
		if n := len(d.ca.Issued()); n != 0 {
			t.Fatalf("byte %d flipped: %d certificates, %s", i, n, hex.EncodeToString(bent[max(0, i-8):i+8]))
		}
	}
	if a := d.ask(request); a.Kind != cmp.Issued {
		t.Fatalf("the request itself: %v", a.Kind)
	}
}
