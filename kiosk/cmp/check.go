package cmp

import (
	"bytes"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// Check decides whether an answer may be believed and what it says. On error
// the Answer is zero and nothing in the message may be acted on. An error with
// status rejection is an Answer, not a Go error.
func (e Expect) Check(der []byte) (Answer, error) {
	m, err := Parse(der)
	if err != nil {
		return Answer{}, err
	}
	if m.Header.Version != version2 {
		return Answer{}, broken(RuleVersion, "pvno %d, not 2", m.Header.Version)
	}
	if !m.Protected() {
		return hint(m)
	}
	e.Time = e.at(m.Header.Time)
	signer, err := e.checkProtection(m)
	if err != nil {
		return Answer{}, err
	}
	if !bytes.Equal(m.Header.TransactionID, e.TransactionID) || len(e.TransactionID) == 0 {
		return Answer{}, broken(RuleTID, "transactionID %x, not %x", m.Header.TransactionID, e.TransactionID)
	}
	if !bytes.Equal(m.Header.RecipNonce, e.Nonce) || len(e.Nonce) == 0 {
		return Answer{}, broken(RuleNonce, "recipNonce %x is not our senderNonce %x", m.Header.RecipNonce, e.Nonce)
	}
	a := Answer{Signer: signer, SenderNonce: m.SenderNonce(), Time: m.Header.Time}
	switch b := m.body.(type) {
	case certRepMessage:
		return e.checkCertRep(a, m, b)
	case errorContent:
		return checkError(a, b)
	case pollRep:
		if e.Sent != SentPollReq {
			break
		}
		a.Kind, a.CertReqID, a.CheckAfter = Waiting, b.id, checkAfter(b.after)
		a.StatusInfo = StatusInfo{Status: StatusWaiting, Text: cleanText(b.reason)}
		return a, nil
	case pkiConf:
		if e.Sent != SentCertConf {
			break
		}
		a.Kind = Confirmed
		return a, nil
	}
	return Answer{}, broken(RuleBody, "%v is no answer to what was sent", m.Kind)
}

// at is the time to judge an answer by. On an unproven clock it is what the CA
// says: a replay is told by the nonce, and an old answer by a signer whose
// certificate has ended since is held off by Earliest only. Without a messageTime
// nothing is left but the clock.
func (e Expect) at(said time.Time) time.Time {
	if !e.TimeUnproven || said.IsZero() {
		return e.Time
	}
	if said.Before(e.Earliest) {
		return e.Earliest
	}
	return said
}

// hint reads an unprotected message: only an error, and only as a hint.
func hint(m *Message) (Answer, error) {
	b, ok := m.body.(errorContent)
	if !ok {
		return Answer{}, broken(RuleProtection, "%v is not protected", m.Kind)
	}
	b.status.Text = cleanText(slices.Concat(b.status.Text, b.details))
	return Answer{Kind: Hint, StatusInfo: b.status}, nil
}

// checkProtection finds the certificate that protected the message, among
// those sent along and those known, and holds it to chain and policy. If none
// passes, the error is about the first that fits the sender's name.
func (e Expect) checkProtection(m *Message) (*x509.Certificate, error) {
	sent := m.ExtraCerts()
	var first error
	for _, c := range slices.Concat(sent, e.Intermediates) {
		if !m.namesSender(c) {
			continue
		}
		err := e.checkSigner(m, c, sent)
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		return nil, broken(RuleProtection, "no certificate for the sender of %v", m.Kind)
	}
	return nil, first
}

func (e Expect) checkSigner(m *Message, c *x509.Certificate, sent []*x509.Certificate) error {
	if err := m.VerifyProtection(c); err != nil {
		return err
	}
	if _, err := verifyChain(c, e.Anchors, slices.Concat(sent, e.Intermediates), e.Time); err != nil {
		return brokenBy(RuleSigner, err, "signer %x of the answer", c.SerialNumber)
	}
	policy := e.Signers
	if policy == nil {
		policy = CASigner
	}
	if err := policy(c); err != nil {
		return brokenBy(RuleSigner, err, "signer %x of the answer", c.SerialNumber)
	}
	return nil
}

func checkError(a Answer, b errorContent) (Answer, error) {
	a.StatusInfo = b.status
	a.Text = cleanText(slices.Concat(b.status.Text, b.details))
	switch b.status.Status {
	case StatusRejection:
		a.Kind = Rejected
	case StatusWaiting: // delayed delivery of any answer (RFC 9483, 4.4)
		a.Kind, a.CertReqID = Waiting, -1
	default:
		return Answer{}, broken(RuleStatus, "error with status %v", b.status.Status)
	}
	return a, nil
}

func (e Expect) checkCertRep(a Answer, m *Message, b certRepMessage) (Answer, error) {
	want := BodyKUP
	if e.OldCert == nil {
		want = BodyIP
	}
	if e.Sent == SentCertConf || m.Kind != want {
		return Answer{}, broken(RuleBody, "%v is no answer to what was sent", m.Kind)
	}
	// -1 is only for a request that could not be read (RFC 9483, 4.1).
	if b.id != 0 && !(b.id == -1 && b.status.Status == StatusRejection) {
		return Answer{}, broken(RuleReqID, "certReqId %d, not 0", b.id)
	}
	a.StatusInfo, a.CertReqID = b.status, b.id
	a.Text = cleanText(b.status.Text)
	switch s := b.status.Status; {
	case (s == StatusAccepted || s == StatusGrantedWithMods) && b.cert != nil:
		a.Kind = Issued
	case s == StatusRejection && b.cert == nil:
		a.Kind = Rejected
		return a, nil
	case s == StatusWaiting && b.cert == nil:
		a.Kind = Waiting
		return a, nil
	default:
		return Answer{}, broken(RuleStatus, "%v with status %v, certificate present: %t", m.Kind, s, b.cert != nil)
	}
	var err error
	if a.Cert, a.Chain, err = e.checkCert(b.cert, slices.Concat(m.ExtraCerts(), parseCerts(b.caPubs))); err != nil {
		return Answer{}, err
	}
	a.ImplicitConfirmed = m.ImplicitConfirm()
	if a.ConfirmWait, err = m.confirmWait(); err != nil {
		return Answer{}, err
	}
	return a, nil
}

// Certificate holds a certificate that came without the CA's answer to all that it
// would be held to in one. chain may help to build a path and is not trusted. On an
// unproven clock it is judged by its own first day.
func (e Expect) Certificate(der []byte, chain [][]byte) (*x509.Certificate, []*x509.Certificate, error) {
	if c, err := x509.ParseCertificate(der); err == nil {
		e.Time = e.at(c.NotBefore)
	}
	return e.checkCert(der, parseCerts(chain))
}

// checkCert holds an issued certificate to what was asked for.
func (e Expect) checkCert(der []byte, sent []*x509.Certificate) (*x509.Certificate, []*x509.Certificate, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, brokenBy(RuleCert, err, "issued certificate")
	}
	if c.IsCA {
		return nil, nil, broken(RuleCert, "issued certificate %x is a CA", c.SerialNumber)
	}
	if !bytes.Equal(c.RawSubjectPublicKeyInfo, e.PublicKey) {
		return nil, nil, broken(RuleKey, "answer for another public key")
	}
	if e.OldCert != nil && !e.SameKey && bytes.Equal(c.RawSubjectPublicKeyInfo, e.OldCert.RawSubjectPublicKeyInfo) {
		return nil, nil, broken(RuleKey, "answer for the old public key")
	}
	if !bytes.Equal(c.RawSubject, e.Subject) {
		return nil, nil, broken(RuleSubject, "subject of certificate %x is not the one asked for", c.SerialNumber) // no name: it goes to the log
	}
	if e.Time.IsZero() || c.NotAfter.Before(e.Time) || c.NotBefore.After(e.Time.Add(e.Skew)) {
		return nil, nil, broken(RuleValidity, "certificate valid from %s to %s, now %s",
			c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339), e.Time.UTC().Format(time.RFC3339))
	}
	if e.OldCert != nil && !c.NotAfter.After(e.OldCert.NotAfter) {
		return nil, nil, broken(RuleValidity, "new certificate ends %s, no later than the old one", c.NotAfter.UTC().Format(time.RFC3339))
	}
	at := e.Time
	if at.Before(c.NotBefore) {
		at = c.NotBefore // within Skew
	}
	chain, err := verifyChain(c, e.Anchors, slices.Concat(sent, e.Intermediates), at)
	if err != nil {
		return nil, nil, brokenBy(RuleChain, err, "issued certificate %x", c.SerialNumber)
	}
	return c, chain, nil
}

// confirmWait reads id-it-confirmWaitTime (RFC 9810, 5.1.1.2).
func (m *Message) confirmWait() (t time.Time, err error) {
	v, ok := m.Header.info(oidConfirmWaitTime)
	if !ok {
		return t, nil
	}
	s := cryptobyte.String(v)
	if !readTime(&s, &t) || !s.Empty() {
		return time.Time{}, broken(RuleSyntax, "malformed confirmWaitTime %x", v)
	}
	return t, nil
}

func checkAfter(seconds int64) time.Duration {
	if seconds > int64(MaxCheckAfter/time.Second) {
		return MaxCheckAfter
	}
	return time.Duration(seconds) * time.Second
}

// cleanText makes foreign text fit for a log and a screen: no control or
// formatting characters, which could turn the direction of what follows.
func cleanText(lines []string) []string {
	var out []string
	for _, l := range lines {
		l = strings.TrimSpace(strings.Map(func(r rune) rune {
			if !printable(r) {
				return -1
			}
			return r
		}, l))
		if l != "" {
			out = append(out, l)
		}
	}
	return out
}
