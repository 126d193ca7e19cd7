package cmp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// scene is a good answer to a kur; each case of TestCheck breaks one thing.
type scene struct {
	*world
	to     *Message
	reply  Reply
	cert   *x509.Certificate
	expect Expect
	make   func(s *scene) ([]byte, error) // default: Reply.Issued
	edit   func(m *Message)               // before the message is signed again
}

func newScene(t testing.TB) *scene {
	w := newWorld(t, seededKey("old"))
	s := &scene{world: w, cert: w.renewed(t, seededKey("new"))}
	s.to = mustParse(t, must(t)(w.kur(seededKey("new")).Build(nil)))
	s.reply = w.reply(s.to)
	var err error
	if s.expect, err = s.to.Expect(); err != nil {
		t.Fatal(err)
	}
	s.expect.Anchors, s.expect.Time = w.anchors, w.now
	s.make = func(s *scene) ([]byte, error) { return s.reply.Issued(nil, s.cert, false) }
	return s
}

func (s *scene) der(t testing.TB) []byte {
	t.Helper()
	der := must(t)(s.make(s))
	if s.edit != nil {
		m := mustParse(t, der)
		s.edit(m)
		der = resign(t, m, s.reply.Key)
	}
	return der
}

// resign marshals an edited message and, if it is protected, signs it again,
// asking nothing.
func resign(t testing.TB, m *Message, key crypto.Signer) []byte {
	t.Helper()
	if m.protection != nil {
		header := must(t)(build(m.Header.marshal))
		body := must(t)(build(func(b *cryptobyte.Builder) { b.AddASN1(explicit(uint8(m.Kind)), m.body.marshal) }))
		part := must(t)(protectedPart(header, body))
		m.protection = must(t)(key.Sign(nil, digest(crypto.SHA256, part), crypto.SHA256))
	}
	return must(t)(build(m.marshal))
}

// certRep edits the body of a kup.
func certRep(f func(c *certRepMessage)) func(m *Message) {
	return func(m *Message) {
		c := m.body.(certRepMessage)
		f(&c)
		m.body = c
	}
}

func (s *scene) reissue(t testing.TB, key crypto.Signer, from, to time.Time) {
	s.cert = issue(t, &s.ca, key, citizenTemplate(t, "رضایی", from, to)).cert
}

// signedBy makes the answer come from somebody else.
func (s *scene) signedBy(p party) { s.reply.Key, s.reply.Cert = p.key, p.cert }

func TestCheck(t *testing.T) {
	const good Rule = ""
	newKey := seededKey("new")
	seq := func(parts ...[]byte) []byte {
		der, _ := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: bytes.Join(parts, nil)})
		return der
	}
	for _, c := range []struct {
		what   string
		rule   Rule
		kind   AnswerKind
		change func(t *testing.T, s *scene)
	}{
		// Answers to be believed.
		{"issued", good, Issued, func(t *testing.T, s *scene) {}},
		{"granted with mods", good, Issued, func(t *testing.T, s *scene) {
			s.make = func(s *scene) ([]byte, error) { return s.reply.Issued(nil, s.cert, true, s.ca.cert) }
		}},
		{"signed by the CA itself", good, Issued, func(t *testing.T, s *scene) { s.signedBy(s.ca) }},
		{"signer known, not sent", good, Issued, func(t *testing.T, s *scene) {
			s.expect.Intermediates = append(s.chain(), s.responder.cert)
			s.edit = func(m *Message) { m.extraCerts = nil }
		}},
		{"no messageTime", good, Issued, func(t *testing.T, s *scene) { s.edit = func(m *Message) { m.Header.Time = time.Time{} } }},
		{"rspInfo and publicationInfo", good, Issued, func(t *testing.T, s *scene) {
			s.edit = certRep(func(c *certRepMessage) { c.rspInfo, c.publication = []byte{4, 1, 0}, []byte{2, 1, 0} })
		}},
		{"waiting", good, Waiting, func(t *testing.T, s *scene) {
			s.make = func(s *scene) ([]byte, error) { return s.reply.Waiting(nil) }
		}},
		{"rejected", good, Rejected, func(t *testing.T, s *scene) {
			s.make = func(s *scene) ([]byte, error) { return s.reply.Rejected(nil, FailBadPOP) }
		}},
		{"rejected, request unreadable", good, Rejected, func(t *testing.T, s *scene) {
			s.make = func(s *scene) ([]byte, error) { return s.reply.Rejected(nil, FailBadPOP) }
			s.edit = certRep(func(c *certRepMessage) { c.id = -1 })
		}},
		{"protected error", good, Rejected, func(t *testing.T, s *scene) {
			s.make = func(s *scene) ([]byte, error) { return s.reply.Error(nil, FailBadTime) }
		}},
		{"unprotected error", good, Hint, func(t *testing.T, s *scene) {
			s.reply.Unprotected = true
			s.make = func(s *scene) ([]byte, error) { return s.reply.Error(nil, FailBadTime) }
		}},
		{"error that says waiting", good, Waiting, func(t *testing.T, s *scene) {
			s.make = func(s *scene) ([]byte, error) {
				return s.reply.seal(nil, BodyError, errorContent{status: StatusInfo{Status: StatusWaiting}})
			}
		}},
		{"pollRep", good, Waiting, func(t *testing.T, s *scene) {
			s.expect.Sent = SentPollReq
			s.make = func(s *scene) ([]byte, error) { return s.reply.PollRep(nil, time.Hour) }
		}},
		{"kup after pollReq", good, Issued, func(t *testing.T, s *scene) { s.expect.Sent = SentPollReq }},
		{"pkiConf", good, Confirmed, func(t *testing.T, s *scene) {
			s.expect.Sent = SentCertConf
			s.make = func(s *scene) ([]byte, error) { return s.reply.PKIConf(nil) }
		}},

		// On an unproven clock the CA's own signed time counts, down to what is proven.
		{"unproven clock in 1970", good, Issued, func(t *testing.T, s *scene) { s.expect.Time, s.expect.TimeUnproven = time.Unix(0, 0), true }},
		{"unproven clock in ten years", good, Issued, func(t *testing.T, s *scene) {
			s.expect.Time, s.expect.TimeUnproven = s.now.AddDate(10, 0, 0), true
		}},
		{"proven clock in 1970", RuleSigner, 0, func(t *testing.T, s *scene) { s.expect.Time = time.Unix(0, 0) }},
		{"unproven clock in 1970, no messageTime", RuleSigner, 0, func(t *testing.T, s *scene) {
			s.expect.Time, s.expect.TimeUnproven = time.Unix(0, 0), true
			s.edit = func(m *Message) { m.Header.Time = time.Time{} }
		}},
		{"unproven clock, messageTime before the signer's first day", RuleSigner, 0, func(t *testing.T, s *scene) {
			s.expect.TimeUnproven = true
			s.edit = func(m *Message) { m.Header.Time = time.Unix(0, 0) }
		}},
		{"unproven clock, messageTime early, but proven until lately", good, Issued, func(t *testing.T, s *scene) {
			s.expect.Time, s.expect.TimeUnproven, s.expect.Earliest = time.Unix(0, 0), true, s.now
			s.edit = func(m *Message) { m.Header.Time = time.Unix(0, 0) }
		}},
		{"unproven clock, signer ended before the last proven time", RuleSigner, 0, func(t *testing.T, s *scene) {
			s.expect.Time, s.expect.TimeUnproven, s.expect.Earliest = time.Unix(0, 0), true, s.now
			tmpl := s.eeTemplate("CMP", x509.KeyUsageDigitalSignature, oidCMCCA)
			tmpl.NotAfter = s.now.Add(-time.Second)
			s.signedBy(issue(t, &s.ca, s.responder.key, tmpl))
			s.edit = func(m *Message) { m.Header.Time = s.now.Add(-time.Hour) }
		}},
		{"unproven clock, certificate ended by the CA's time", RuleValidity, 0, func(t *testing.T, s *scene) {
			s.expect.Time, s.expect.TimeUnproven = s.now.AddDate(-1, 0, 0), true
			s.reissue(t, seededKey("new"), s.now.Add(-time.Hour), s.now.Add(-time.Second))
		}},

		// Version and protection.
		{"pvno 3", RuleVersion, 0, func(t *testing.T, s *scene) { s.edit = func(m *Message) { m.Header.Version = 3 } }},
		{"pvno 1", RuleVersion, 0, func(t *testing.T, s *scene) { s.edit = func(m *Message) { m.Header.Version = 1 } }},
		{"unprotected kup", RuleProtection, 0, func(t *testing.T, s *scene) { s.reply.Unprotected = true }},
		{"unprotected pkiConf", RuleProtection, 0, func(t *testing.T, s *scene) {
			s.expect.Sent, s.reply.Unprotected = SentCertConf, true
			s.make = func(s *scene) ([]byte, error) { return s.reply.PKIConf(nil) }
		}},
		{"signed by another key", RuleProtection, 0, func(t *testing.T, s *scene) {
			s.make = func(s *scene) ([]byte, error) {
				der, err := s.reply.Issued(nil, s.cert, false)
				m := mustParse(t, der)
				return resign(t, m, seededKey("mallory")), err
			}
		}},
		{"sender is not the signer", RuleProtection, 0, func(t *testing.T, s *scene) {
			s.edit = func(m *Message) { m.Header.Sender = s.ca.cert.RawSubject }
		}},
		{"senderKID is not the signer's", RuleProtection, 0, func(t *testing.T, s *scene) {
			s.edit = func(m *Message) { m.Header.SenderKID = fill(0) }
		}},
		{"no certificate of the signer", RuleProtection, 0, func(t *testing.T, s *scene) {
			s.expect.Intermediates = s.chain()
			s.edit = func(m *Message) { m.extraCerts = nil }
		}},
		{"algorithm of another key type", RuleAlgorithm, 0, func(t *testing.T, s *scene) {
			s.edit = func(m *Message) { m.Header.ProtectionAlg, _ = rsaSHA256.der() }
		}},
		{"sha1", RuleAlgorithm, 0, func(t *testing.T, s *scene) {
			s.edit = func(m *Message) {
				m.Header.ProtectionAlg, _ = signatureAlgorithm{oid: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}}.der()
			}
		}},
		{"ecdsa with parameters", RuleAlgorithm, 0, func(t *testing.T, s *scene) {
			s.edit = func(m *Message) {
				m.Header.ProtectionAlg, _ = signatureAlgorithm{oid: ecdsaSHA256.oid, rsa: true}.der()
			}
		}},

		// Signer.
		{"signed by a citizen", RuleSigner, 0, func(t *testing.T, s *scene) { s.signedBy(s.citizen) }},
		{"signed by a kiosk", RuleSigner, 0, func(t *testing.T, s *scene) { s.signedBy(s.kiosk) }},
		{"signer of a foreign CA", RuleSigner, 0, func(t *testing.T, s *scene) {
			foreign := issue(t, nil, seededKey("foreign"), s.caTemplate("Issuing CA"))
			s.signedBy(issue(t, &foreign, s.responder.key, s.eeTemplate("CMP", x509.KeyUsageDigitalSignature, oidCMCCA)))
		}},
		{"signer expired", RuleSigner, 0, func(t *testing.T, s *scene) {
			tmpl := s.eeTemplate("CMP", x509.KeyUsageDigitalSignature, oidCMCCA)
			tmpl.NotAfter = s.now.Add(-time.Second)
			s.signedBy(issue(t, &s.ca, s.responder.key, tmpl))
		}},
		{"signer ends this second", good, Issued, func(t *testing.T, s *scene) {
			tmpl := s.eeTemplate("CMP", x509.KeyUsageDigitalSignature, oidCMCCA)
			tmpl.NotAfter = s.now
			s.signedBy(issue(t, &s.ca, s.responder.key, tmpl))
		}},
		{"signer refused by policy", RuleSigner, 0, func(t *testing.T, s *scene) { s.expect.Signers = RASigner }},
		{"no anchors", RuleSigner, 0, func(t *testing.T, s *scene) { s.expect.Anchors = nil }},
		{"no time", RuleSigner, 0, func(t *testing.T, s *scene) { s.expect.Time = time.Time{} }},
		{"signer without digitalSignature", RuleKeyUsage, 0, func(t *testing.T, s *scene) {
			p := issue(t, &s.ca, s.responder.key, s.eeTemplate("CMP", x509.KeyUsageContentCommitment, oidCMCCA))
			s.edit = func(m *Message) { m.extraCerts[0] = p.cert.Raw }
		}},
		{"signer with P-521", RuleAlgorithm, 0, func(t *testing.T, s *scene) {
			k, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
			p := issue(t, &s.ca, k, s.eeTemplate("CMP", x509.KeyUsageDigitalSignature, oidCMCCA))
			s.edit = func(m *Message) { m.extraCerts[0], m.Header.SenderKID = p.cert.Raw, p.cert.SubjectKeyId }
		}},

		// Header and body.
		{"another transaction", RuleTID, 0, func(t *testing.T, s *scene) { s.reply.TransactionID = fill('X') }},
		{"no transactionID", RuleTID, 0, func(t *testing.T, s *scene) { s.edit = func(m *Message) { m.Header.TransactionID = nil } }},
		{"we know no transactionID", RuleTID, 0, func(t *testing.T, s *scene) {
			s.expect.TransactionID = nil
			s.edit = func(m *Message) { m.Header.TransactionID = nil }
		}},
		{"another recipNonce", RuleNonce, 0, func(t *testing.T, s *scene) { s.reply.RecipNonce = fill('X') }},
		{"no recipNonce", RuleNonce, 0, func(t *testing.T, s *scene) { s.edit = func(m *Message) { m.Header.RecipNonce = nil } }},
		{"error for another transaction", RuleTID, 0, func(t *testing.T, s *scene) {
			s.reply.TransactionID = fill('X')
			s.make = func(s *scene) ([]byte, error) { return s.reply.Error(nil, 0) }
		}},
		{"ip to a kur", RuleBody, 0, func(t *testing.T, s *scene) { s.reply.Body = BodyIP }},
		{"cp to a kur", RuleBody, 0, func(t *testing.T, s *scene) { s.reply.Body = BodyCP }},
		{"kup to an ir", RuleBody, 0, func(t *testing.T, s *scene) { s.expect.OldCert = nil }},
		{"kup to a certConf", RuleBody, 0, func(t *testing.T, s *scene) { s.expect.Sent = SentCertConf }},
		{"pollRep to a kur", RuleBody, 0, func(t *testing.T, s *scene) {
			s.make = func(s *scene) ([]byte, error) { return s.reply.PollRep(nil, time.Second) }
		}},
		{"pkiConf to a kur", RuleBody, 0, func(t *testing.T, s *scene) {
			s.make = func(s *scene) ([]byte, error) { return s.reply.PKIConf(nil) }
		}},
		{"kur as answer", RuleBody, 0, func(t *testing.T, s *scene) {
			s.make = func(s *scene) ([]byte, error) { return s.reply.seal(nil, BodyKUR, s.to.body) }
		}},
		{"certReqId 1", RuleReqID, 0, func(t *testing.T, s *scene) { s.edit = certRep(func(c *certRepMessage) { c.id = 1 }) }},
		{"certReqId -1 with a certificate", RuleReqID, 0, func(t *testing.T, s *scene) { s.edit = certRep(func(c *certRepMessage) { c.id = -1 }) }},

		// Status.
		{"accepted without a certificate", RuleStatus, 0, func(t *testing.T, s *scene) { s.edit = certRep(func(c *certRepMessage) { c.cert = nil }) }},
		{"rejected with a certificate", RuleStatus, 0, func(t *testing.T, s *scene) {
			s.edit = certRep(func(c *certRepMessage) { c.status.Status = StatusRejection })
		}},
		{"waiting with a certificate", RuleStatus, 0, func(t *testing.T, s *scene) {
			s.edit = certRep(func(c *certRepMessage) { c.status.Status = StatusWaiting })
		}},
		{"revocationWarning", RuleStatus, 0, func(t *testing.T, s *scene) { s.edit = certRep(func(c *certRepMessage) { c.status.Status = 4 }) }},
		{"error that says accepted", RuleStatus, 0, func(t *testing.T, s *scene) {
			s.make = func(s *scene) ([]byte, error) { return s.reply.seal(nil, BodyError, errorContent{}) }
		}},

		// Certificate.
		{"no certificate but a sequence", RuleCert, 0, func(t *testing.T, s *scene) {
			s.edit = certRep(func(c *certRepMessage) { c.cert = seq([]byte{5, 0}) })
		}},
		{"a CA certificate", RuleCert, 0, func(t *testing.T, s *scene) {
			tmpl := citizenTemplate(t, "رضایی", s.now, s.now.Add(year))
			tmpl.IsCA = true
			s.cert = issue(t, &s.ca, newKey, tmpl).cert
		}},
		{"another key", RuleKey, 0, func(t *testing.T, s *scene) { s.reissue(t, seededKey("other"), s.now, s.now.Add(year)) }},
		{"the old key", RuleKey, 0, func(t *testing.T, s *scene) { s.reissue(t, s.citizen.key, s.now, s.now.Add(year)) }},
		{"the old key expected but not allowed", RuleKey, 0, func(t *testing.T, s *scene) {
			s.expect.PublicKey = s.citizen.cert.RawSubjectPublicKeyInfo
			s.reissue(t, s.citizen.key, s.now, s.now.Add(year))
		}},
		{"the old key allowed", good, Issued, func(t *testing.T, s *scene) {
			s.expect.PublicKey, s.expect.SameKey = s.citizen.cert.RawSubjectPublicKeyInfo, true
			s.reissue(t, s.citizen.key, s.now, s.now.Add(year))
		}},
		{"another subject", RuleSubject, 0, func(t *testing.T, s *scene) {
			s.cert = issue(t, &s.ca, newKey, citizenTemplate(t, "رضائی", s.now, s.now.Add(year))).cert
		}},
		{"the subject in another string type", RuleSubject, 0, func(t *testing.T, s *scene) {
			tmpl := citizenTemplate(t, "رضایی", s.now, s.now.Add(year))
			tmpl.RawSubject = bytes.Replace(tmpl.RawSubject, []byte{asn1.TagPrintableString, 2, 'I', 'R'}, []byte{asn1.TagUTF8String, 2, 'I', 'R'}, 1)
			s.cert = issue(t, &s.ca, newKey, tmpl).cert
		}},
		{"not yet valid", RuleValidity, 0, func(t *testing.T, s *scene) { s.reissue(t, newKey, s.now.Add(time.Second), s.now.Add(year)) }},
		{"not yet valid, within skew", good, Issued, func(t *testing.T, s *scene) {
			s.expect.Skew = 5 * time.Minute
			s.reissue(t, newKey, s.now.Add(5*time.Minute), s.now.Add(year))
		}},
		{"not yet valid, past skew", RuleValidity, 0, func(t *testing.T, s *scene) {
			s.expect.Skew = 5 * time.Minute
			s.reissue(t, newKey, s.now.Add(5*time.Minute+time.Second), s.now.Add(year))
		}},
		{"already over", RuleValidity, 0, func(t *testing.T, s *scene) {
			s.expect.Time = s.now.Add(30 * day) // the old one is over too
			s.reissue(t, newKey, s.now, s.now.Add(30*day-time.Second))
		}},
		{"over this second", good, Issued, func(t *testing.T, s *scene) {
			s.expect.Time = s.now.Add(30 * day)
			s.reissue(t, newKey, s.now, s.now.Add(30*day))
		}},
		{"ends with the old one", RuleValidity, 0, func(t *testing.T, s *scene) { s.reissue(t, newKey, s.now, s.citizen.cert.NotAfter) }},
		{"ends a second after the old one", good, Issued, func(t *testing.T, s *scene) {
			s.reissue(t, newKey, s.now, s.citizen.cert.NotAfter.Add(time.Second))
		}},
		{"issued by a foreign CA of the same name", RuleChain, 0, func(t *testing.T, s *scene) {
			foreign := issue(t, nil, seededKey("foreign"), s.caTemplate("Issuing CA"))
			s.cert = issue(t, &foreign, newKey, citizenTemplate(t, "رضایی", s.now, s.now.Add(year))).cert
		}},
		{"issued by a CA known only from caPubs", RuleChain, 0, func(t *testing.T, s *scene) {
			foreign := issue(t, nil, seededKey("foreign"), s.caTemplate("Foreign"))
			s.cert = issue(t, &foreign, newKey, citizenTemplate(t, "رضایی", s.now, s.now.Add(year))).cert
			s.make = func(s *scene) ([]byte, error) { return s.reply.Issued(nil, s.cert, false, foreign.cert) }
		}},
		{"confirmWaitTime is no time", RuleSyntax, 0, func(t *testing.T, s *scene) {
			s.edit = func(m *Message) { m.Header.addInfo(oidConfirmWaitTime, []byte{5, 0}) }
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := newScene(t)
			c.change(t, s)
			a, err := s.expect.Check(s.der(t))
			if ruleOf(err) != c.rule || (err == nil) != (c.rule == good) || a.Kind != c.kind {
				t.Fatalf("%v, %v; want %v, rule %q", a.Kind, err, c.kind, c.rule)
			}
			if err != nil && (a.Cert != nil || a.Signer != nil || a.Text != nil) {
				t.Errorf("an answer beside the error: %+v", a)
			}
			if (a.Cert != nil) != (a.Kind == Issued) || (a.Signer == nil) != (err != nil || a.Kind == Hint) {
				t.Errorf("answer %+v", a)
			}
			if err != nil && !strings.Contains(err.Error(), string(c.rule)) {
				t.Errorf("error does not name its rule: %v", err)
			}
			for _, personal := range []string{"مریم", "0012345679"} {
				if err != nil && strings.Contains(err.Error(), personal) {
					t.Errorf("error holds %q: %v", personal, err)
				}
			}
		})
	}
}

// TestCheckFields: what the answer says arrives, cleaned.
func TestCheckFields(t *testing.T) {
	s := newScene(t)
	s.reply.ConfirmWait = now.Add(day)
	s.reply.GrantImplicit = false
	a, err := s.expect.Check(s.der(t))
	if err != nil || a.ImplicitConfirmed || !a.ConfirmWait.Equal(now.Add(day)) || !bytes.Equal(a.SenderNonce, fill('R')) || a.WithMods() {
		t.Errorf("%+v, %v", a, err)
	}
	s.make = func(s *scene) ([]byte, error) {
		return s.reply.Rejected(nil, FailBadPOP|FailBadTime, " a\x1b[2Jb\u202e ", "\u200f", "می\u200cشود")
	}
	if a, err = s.expect.Check(s.der(t)); err != nil || strings.Join(a.Text, "|") != "a[2Jb|می\u200cشود" || a.FailInfo.String() != "badTime,badPOP" {
		t.Errorf("%q, %v", a.Text, err)
	}
	for fail, duplicate := range map[FailInfo]bool{FailTransactionIDInUse: true, FailBadPOP: false} {
		s.make = func(s *scene) ([]byte, error) { return s.reply.Error(nil, fail) }
		if a, err = s.expect.Check(s.der(t)); err != nil || a.Duplicate() != duplicate {
			t.Errorf("%v: %v, %v", fail, a.Duplicate(), err)
		}
	}
	s.expect.Sent = SentPollReq
	s.make = func(s *scene) ([]byte, error) { return s.reply.PollRep(nil, 1<<62, "soon") }
	if a, err = s.expect.Check(s.der(t)); err != nil || a.CheckAfter != MaxCheckAfter || a.Text[0] != "soon" {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestCheckGarbage: what arrives instead of an answer.
func TestCheckGarbage(t *testing.T) {
	s := newScene(t)
	good := s.der(t)
	cases := map[string][]byte{
		"nothing":     nil,
		"html":        []byte("<!DOCTYPE html><html><body>Welcome</body></html>"),
		"10 MB":       make([]byte, 10<<20),
		"two answers": append(bytes.Clone(good), good...),
		"zeros after": append(bytes.Clone(good), 0),
	}
	for n := range good {
		cases["cut"] = good[:n]
		for what, der := range cases {
			if a, err := s.expect.Check(der); ruleOf(err) != RuleSyntax || a.Kind != 0 || a.Cert != nil {
				t.Fatalf("%s (%d): %v, %v", what, n, a, err)
			}
		}
		cases = map[string][]byte{}
	}
}

// TestCheckFlips: no flipped bit goes unnoticed. One bit of each byte, as each
// costs a signature.
func TestCheckFlips(t *testing.T) {
	s := newScene(t)
	good := s.der(t)
	for n := range good {
		der := bytes.Clone(good)
		der[n] ^= 1 << (n % 8)
		if a, err := s.expect.Check(der); err == nil {
			t.Fatalf("bit %d of byte %d flipped: %v", n%8, n, a.Kind)
		}
	}
}
