package cmp

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// resignAttestation marshals an edited attestation, signed again.
func resignAttestation(t testing.TB, a *attestation, key crypto.Signer) []byte {
	t.Helper()
	attrs := must(t)(a.signedAttrs())
	a.signature = must(t)(key.Sign(nil, digest(crypto.SHA256, attrs), crypto.SHA256))
	return must(t)(build(a.marshal))
}

func TestVerifyAttestation(t *testing.T) {
	type scene struct {
		*world
		s        Statement
		officers Officers
		at       time.Time
		signer   party
		edit     func(a *attestation)
	}
	for _, c := range []struct {
		what   string
		rule   Rule
		change func(t *testing.T, s *scene)
	}{
		{"good", "", func(t *testing.T, s *scene) {}},
		{"at the officer's last second", "", func(t *testing.T, s *scene) { s.at = s.officer.cert.NotAfter }},
		{"after the officer's last second", RuleOfficer, func(t *testing.T, s *scene) { s.at = s.officer.cert.NotAfter.Add(time.Second) }},
		{"before the officer's first second", RuleOfficer, func(t *testing.T, s *scene) { s.at = s.officer.cert.NotBefore.Add(-time.Second) }},
		{"no time", RuleOfficer, func(t *testing.T, s *scene) { s.at = time.Time{} }},
		{"no anchors", RuleOfficer, func(t *testing.T, s *scene) { s.officers.Anchors = nil }},
		{"no policy", RuleOfficer, func(t *testing.T, s *scene) { s.officers.Allow = nil }},
		{"nobody on the list", RuleOfficer, func(t *testing.T, s *scene) { s.officers.Allow = OfficerList() }},
		{"by a citizen", RuleOfficer, func(t *testing.T, s *scene) { s.signer = s.citizen }},
		{"by the kiosk", RuleOfficer, func(t *testing.T, s *scene) { s.signer = s.kiosk }},
		{"by an officer of a foreign CA", RuleOfficer, func(t *testing.T, s *scene) {
			foreign := issue(t, nil, seededKey("foreign"), s.caTemplate("Issuing CA"))
			s.signer = issue(t, &foreign, s.officer.key, s.eeTemplate("Officer", x509.KeyUsageContentCommitment))
			s.officers.Allow = OfficerList(s.signer.cert)
		}},
		{"with a certificate for encryption", RuleOfficer, func(t *testing.T, s *scene) {
			p := issue(t, &s.ca, s.officer.key, s.eeTemplate("Officer", x509.KeyUsageKeyEncipherment))
			s.officers.Allow = OfficerList(p.cert)
			s.edit = func(a *attestation) { a.signer, a.certs[0] = p.cert, p.cert.Raw }
		}},
		{"signed with another key", RuleAttest, func(t *testing.T, s *scene) { s.signer.key = seededKey("mallory") }},
		{"rsa algorithm", RuleAttest, func(t *testing.T, s *scene) {
			s.edit = func(a *attestation) { a.algorithm, _ = rsaSHA256.der() }
		}},
		{"sha-384", RuleAttest, func(t *testing.T, s *scene) {
			s.edit = func(a *attestation) { a.algorithm, _ = signatureAlgorithms[4].der() }
		}},
		{"signingTime of another time", RuleAttest, func(t *testing.T, s *scene) {
			s.edit = func(a *attestation) { a.time = a.time.Add(time.Second) }
		}},
		{"without the officer's certificate", RuleAttest, func(t *testing.T, s *scene) {
			s.edit = func(a *attestation) { a.certs = a.certs[1:] }
		}},
		{"nine certificates", RuleAttest, func(t *testing.T, s *scene) {
			s.edit = func(a *attestation) { a.certs = append(a.certs, make17(a.certs[0])...)[:9] }
		}},
		{"content is no statement", RuleAttest, func(t *testing.T, s *scene) { s.edit = func(a *attestation) { a.content = derNull } }},
		{"content with a trailing byte", RuleAttest, func(t *testing.T, s *scene) {
			s.edit = func(a *attestation) { a.content = append(a.content, 0) }
		}},
		{"another version of the statement", RuleAttest, func(t *testing.T, s *scene) {
			s.edit = func(a *attestation) { a.content = bytes.Replace(a.content, []byte{2, 1, 1}, []byte{2, 1, 2}, 1) }
		}},
		{"renewal unknown", RuleAttest, func(t *testing.T, s *scene) {
			s.edit = func(a *attestation) { a.content = bytes.Replace(a.content, []byte{10, 1, 0}, []byte{10, 1, 3}, 1) }
		}},
		{"activation with an old certificate", RuleAttest, func(t *testing.T, s *scene) {
			s.edit = func(a *attestation) { a.content = bytes.Replace(a.content, []byte{10, 1, 0}, []byte{10, 1, 2}, 1) }
		}},
		{"text with a control character", RuleAttest, func(t *testing.T, s *scene) {
			s.edit = func(a *attestation) { a.content = bytes.Replace(a.content, []byte("kiosk-7"), []byte("kiosk\n7"), 1) }
		}},
		{"old hash of zeros", RuleAttest, func(t *testing.T, s *scene) {
			s.edit = func(a *attestation) { a.content = bytes.Replace(a.content, s.s.OldCertHash[:], make([]byte, 32), 1) }
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := newWorld(t, seededKey("old"))
			s := &scene{world: w, s: w.statement(t, must(t)(w.kur(seededKey("new")).Build(nil))), officers: w.officers(), at: now, signer: w.officer}
			c.change(t, s)
			a := &attestation{content: must(t)(s.s.der()), certs: [][]byte{s.signer.cert.Raw, w.ca.cert.Raw}, signer: s.signer.cert, time: s.s.Time}
			a.algorithm = must(t)(ecdsaSHA256.der())
			if s.edit != nil {
				s.edit(a)
			}
			got, cert, err := VerifyAttestation(resignAttestation(t, a, s.signer.key), s.officers, s.at)
			if ruleOf(err) != c.rule || (err == nil) != (c.rule == "") {
				t.Fatalf("%v; want rule %q", err, c.rule)
			}
			if err != nil && (got.Profile != "" || cert != nil) {
				t.Error("a statement beside the error")
			}
			if err == nil && got.String() != s.s.String() {
				t.Errorf("%v", got)
			}
		})
	}
}

// TestAttestationFlips: no flipped bit goes unnoticed except in the chain, which
// the verifier knows.
func TestAttestationFlips(t *testing.T) {
	w := newWorld(t, seededKey("old"))
	der := must(t)(Attest(w.statement(t, must(t)(w.kur(nil).Build(nil))), w.officer.key, w.officer.cert, nil, nil))
	for n := range len(der) * 8 {
		bad := bytes.Clone(der)
		bad[n/8] ^= 1 << (n % 8)
		if _, _, err := VerifyAttestation(bad, w.officers(), now); err == nil {
			t.Fatalf("bit %d of byte %d flipped", n%8, n/8)
		}
	}
	for n := range der {
		if _, _, err := VerifyAttestation(der[:n], w.officers(), now); err == nil {
			t.Fatalf("cut to %d bytes", n)
		}
	}
}

// TestAttestationShape: CMS that is good in general but not the one shape
// accepted here.
func TestAttestationShape(t *testing.T) {
	w := newWorld(t, seededKey("old"))
	good := must(t)(Attest(w.statement(t, must(t)(w.kur(nil).Build(nil))), w.officer.key, w.officer.cert, w.chain(), nil))
	for what, der := range map[string][]byte{
		"nothing":         nil,
		"too long":        make([]byte, MaxMessage+1),
		"no signedData":   {0x30, 0},
		"id-data content": bytes.ReplaceAll(good, must(t)(build(func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidStatement) })), must(t)(asn1.Marshal(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 20, 1}))),
		"version 1":       bytes.Replace(good, []byte{2, 1, 3}, []byte{2, 1, 1}, 1),
	} {
		if _, _, err := VerifyAttestation(der, w.officers(), now); ruleOf(err) != RuleAttest {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestStatementBinds: a statement about one request fits no other.
func TestStatementBinds(t *testing.T) {
	w := newWorld(t, seededKey("old"))
	kur := must(t)(w.kur(seededKey("new")).Build(nil))
	m := mustParse(t, kur)
	good := w.statement(t, kur)
	if err := good.CheckRequest(m); err != nil {
		t.Fatal(err)
	}
	for what, edit := range map[string]func(s *Statement){
		"request":     func(s *Statement) { s.RequestHash[0] ^= 1 },
		"transaction": func(s *Statement) { s.TransactionID = fill('X') },
		"old":         func(s *Statement) { s.OldCertHash[0] ^= 1 },
		"key":         func(s *Statement) { s.NewKeyHash[0] ^= 1 },
	} {
		s := good
		edit(&s)
		if err := s.CheckRequest(m); ruleOf(err) != RuleAttest || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	k := w.kur(seededKey("new"))
	k.SenderNonce = fill('M')
	if err := good.CheckRequest(mustParse(t, must(t)(k.Build(nil)))); ruleOf(err) != RuleAttest {
		t.Errorf("request with another nonce: %v", err)
	}
	ir := must(t)(w.ir(seededKey("new")).Build(nil))
	if s := w.statement(t, ir); s.CheckRequest(mustParse(t, ir)) != nil || s.OldCertHash != [32]byte{} {
		t.Error("statement about an ir")
	}
	if _, err := NewStatement(w.attested(t, kur)); ruleOf(err) != RuleBody {
		t.Errorf("statement about a nested message: %v", err)
	}
}

// TestAttestRefuses: what an officer does not sign.
func TestAttestRefuses(t *testing.T) {
	w := newWorld(t, seededKey("old"))
	good := w.statement(t, must(t)(w.kur(nil).Build(nil)))
	for what, edit := range map[string]func(s *Statement){
		"no profile":            func(s *Statement) { s.Profile = "" },
		"long office":           func(s *Statement) { s.Office = strings.Repeat("x", maxStatementText+1) },
		"office in latin-1":     func(s *Statement) { s.Office = "\xe9" },
		"direction override":    func(s *Statement) { s.Office = "a\u202eb" },
		"no signal":             func(s *Statement) { s.Signal = "" },
		"renewal unknown":       func(s *Statement) { s.Renewal = "second" },
		"first without old":     func(s *Statement) { s.OldCertHash = [32]byte{} },
		"activation with old":   func(s *Statement) { s.Renewal = Activation },
		"no time":               func(s *Statement) { s.Time = time.Time{} },
		"year 2050":             func(s *Statement) { s.Time = time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC) },
		"short transactionID":   func(s *Statement) { s.TransactionID = fill('T')[:15] },
		"negative version":      func(s *Statement) { s.ProfileVersion = -1 },
		"no clock quality":      func(s *Statement) { s.ClockQuality = "" },
		"kiosk with a new line": func(s *Statement) { s.Kiosk = "a\nb" },
	} {
		s := good
		edit(&s)
		if _, err := Attest(s, w.officer.key, w.officer.cert, nil, nil); ruleOf(err) != RuleAttest {
			t.Errorf("%s: %v", what, err)
		}
	}
	s := good
	s.Office = "دفتر می\u200cباشد"
	if _, err := Attest(s, w.officer.key, w.officer.cert, nil, nil); err != nil {
		t.Errorf("zero width non-joiner: %v", err)
	}
	if _, err := Attest(good, w.citizen.key, w.officer.cert, nil, nil); ruleOf(err) != RuleKey {
		t.Errorf("another key: %v", err)
	}
	if _, err := Attest(good, nil, w.officer.cert, nil, nil); err == nil {
		t.Error("no key")
	}
	enc := issue(t, &w.ca, w.officer.key, w.eeTemplate("Officer", x509.KeyUsageKeyEncipherment))
	if _, err := Attest(good, enc.key, enc.cert, nil, nil); ruleOf(err) != RuleKeyUsage {
		t.Errorf("certificate for encryption: %v", err)
	}
}
