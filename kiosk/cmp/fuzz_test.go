package cmp

import (
	"bytes"
	"crypto/x509"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the seeds of the fuzz targets")

// TestSeeds compares testdata/fuzz with what is built now, or writes it with
// -update. All keys and signatures in it are the same in each run, so a
// difference is a change of the wire format.
func TestSeeds(t *testing.T) {
	w := newWorld(t, seededKey("old"))
	put := func(target, what string, args ...any) {
		dir := filepath.Join("testdata", "fuzz", target)
		if *update {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		text := "go test fuzz v1\n"
		for _, a := range args {
			switch a := a.(type) {
			case []byte:
				text += fmt.Sprintf("[]byte(%q)\n", a)
			case bool:
				text += fmt.Sprintf("bool(%t)\n", a)
			}
		}
		path := filepath.Join(dir, strings.ReplaceAll(what, " ", "-"))
		if *update {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if have, err := os.ReadFile(path); err != nil || string(have) != text {
			t.Errorf("%s is not what is built now (%v); if meant so, run with -update", path, err)
		}
	}
	for what, der := range w.allMessages(t) {
		put("FuzzParse", what, der)
		put("FuzzCheck", what, der, false)
		put("FuzzCheck", what+" signed", der, true)
	}
	for what, kur := range map[string][]byte{"kur": must(t)(w.kur(nil).Build(nil)), "ir": must(t)(w.ir(seededKey("new")).Build(nil))} {
		s := w.statement(t, kur)
		put("FuzzVerifyAttestation", what, must(t)(Attest(s, w.officer.key, w.officer.cert, w.chain(), nil)), []byte{})
		put("FuzzVerifyAttestation", what+" content", []byte{}, must(t)(s.der()))
	}
}

// FuzzParse: what is accepted marshals to the same bytes, and no accessor
// panics.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, der []byte) {
		m, err := Parse(der)
		if err != nil {
			if m != nil || ruleOf(err) != RuleSyntax {
				t.Fatalf("%v beside %v", m, err)
			}
			return
		}
		if again, err := build(m.marshal); err != nil || !bytes.Equal(again, der) {
			t.Fatalf("marshals to other bytes: %v", err)
		}
		walk(t, m)
		if inner, err := m.Inner(); err == nil {
			if inner.Kind == BodyNested {
				t.Fatal("nested in nested")
			}
			walk(t, inner)
		}
	})
}

func walk(t *testing.T, m *Message) {
	for _, c := range m.ExtraCerts() {
		m.VerifyProtection(c)
		m.Confirmation(c)
	}
	m.ProtectionCert()
	m.Attestation()
	m.ImplicitConfirm()
	m.confirmWait()
	m.CheckRequest()
	m.Expect()
	if r, err := m.Request(); err == nil {
		r.VerifyPOP()
		if r.OldCert != nil {
			r.OldCert.Names(&x509.Certificate{})
		}
	}
	if s, err := NewStatement(m.raw); err == nil && s.CheckRequest(m) != nil {
		t.Fatal("a statement does not fit its own request")
	}
}

// FuzzCheck: nothing is believed that the CA did not sign; with sign, the CA
// signs whatever it is, and only an answer to our request is believed.
func FuzzCheck(f *testing.F) {
	s := newScene(f)
	pool := s.expect
	f.Fuzz(func(t *testing.T, der []byte, sign bool) {
		if m, err := Parse(der); sign && err == nil {
			h := m.Header
			h.Sender, h.ProtectionAlg, h.SenderKID = nil, nil, nil
			if der, err = (protector{s.responder.key, s.responder.cert, s.chain()}).seal(nil, h, m.Kind, m.body); err != nil {
				return
			}
		}
		for _, sent := range []Sent{SentRequest, SentPollReq, SentCertConf} {
			e := pool
			e.Sent = sent
			a, err := e.Check(der)
			if err != nil {
				if a.Cert != nil || a.Signer != nil || a.Kind != 0 || ruleOf(err) == "" {
					t.Fatalf("%+v beside %v", a, err)
				}
				continue
			}
			m, err := Parse(der)
			if err != nil {
				t.Fatal(err)
			}
			if a.Kind == Hint {
				if m.Protected() || a.Cert != nil {
					t.Fatal("a hint that is more")
				}
				continue
			}
			if !m.Protected() || !bytes.Equal(m.Header.TransactionID, e.TransactionID) || !bytes.Equal(m.Header.RecipNonce, e.Nonce) {
				t.Fatal("believed without protection, transactionID or nonce")
			}
			if a.Kind == Issued && (!bytes.Equal(a.Cert.RawSubject, e.Subject) || !bytes.Equal(a.Cert.RawSubjectPublicKeyInfo, e.PublicKey) ||
				a.Cert.CheckSignatureFrom(s.ca.cert) != nil) {
				t.Fatal("believed another certificate")
			}
		}
	})
}

// FuzzVerifyAttestation: whatever verifies is a statement that marshals to the
// bytes signed. With content, the officer signs just that.
func FuzzVerifyAttestation(f *testing.F) {
	w := newWorld(f, seededKey("old"))
	alg := must(f)(ecdsaSHA256.der())
	f.Fuzz(func(t *testing.T, der, content []byte) {
		if len(content) > 0 {
			a := &attestation{content: content, certs: [][]byte{w.officer.cert.Raw}, signer: w.officer.cert, time: now, algorithm: alg}
			der = resignAttestation(t, a, w.officer.key)
		}
		s, cert, err := VerifyAttestation(der, w.officers(), now)
		if err != nil {
			if cert != nil || s.Profile != "" || ruleOf(err) == "" {
				t.Fatalf("%v beside %v", s, err)
			}
			return
		}
		again, err := s.der()
		if err != nil || !bytes.Contains(der, again) || !cert.Equal(w.officer.cert) {
			t.Fatalf("%v, %v", s, err)
		}
	})
}
