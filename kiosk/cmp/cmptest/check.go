package cmptest

import (
	"bytes"
	"crypto/x509"
	"time"

	"mohr.internal/kiosk/cmp"
)

// request is a certificate request that has passed every check.
type request struct {
	msg       *cmp.Message      // ir, cr or kur
	ask       *cmp.CertRequest  // what it asks for
	subject   []byte            // raw Name to certify
	signer    *x509.Certificate // who protected msg, and must protect pollReq and certConf
	old       *x509.Certificate // the certificate renewed, nil for ir and cr
	kiosk     *x509.Certificate // who nested it, or nil
	officer   *x509.Certificate // who attested it, or nil
	statement *cmp.Statement
}

// examine checks a certificate request, nested or not.
func (ca *CA) examine(msg *cmp.Message) (*request, error) {
	in := &request{msg: msg}
	if msg.Kind != cmp.BodyNested {
		if !ca.opts.Unnested {
			return nil, refuse(RuleUnnested, "%v without a kiosk and an officer", msg.Kind)
		}
		return in, ca.examineInner(in, ca.opts.Window)
	}
	inner, err := msg.Inner()
	if err != nil {
		return nil, err
	}
	in.msg = inner
	window := ca.opts.NestedWindow
	if ca.claimsNoTime(msg) {
		window = anyTime
	}
	if in.kiosk, err = ca.signerOf(msg, window); err != nil {
		return nil, err
	}
	if err := cmp.RASigner(in.kiosk); err != nil {
		return nil, err
	}
	if err := ca.examineInner(in, window); err != nil {
		return nil, err
	}
	return in, ca.examineAttestation(in, msg)
}

// anyTime is the window of a message from a kiosk that says it does not know the time.
const anyTime = 0

// claimsNoTime says whether an attestation has an unproven clock. A messageTime is then
// no reason to refuse: it is the kiosk's honest guess, and the order of its receipts is
// known. Whether the attestation counts is examined later.
func (ca *CA) claimsNoTime(nested *cmp.Message) bool {
	p := ca.opts.PKI
	s, _, err := cmp.VerifyAttestation(nested.Attestation(), cmp.Officers{
		Anchors: p.Roots(), Intermediates: []*x509.Certificate{p.Issuing}, Allow: p.allowOfficer, AnyTime: true,
	}, ca.opts.Now())
	return err == nil && s.ClockQuality == clockUnproven
}

// clockUnproven is the word of a kiosk that has not compared its clock with anything.
const clockUnproven = "unproven"

// signerOf verifies version, identifiers, messageTime and protection, and that
// the signer's certificate is ours, valid and not revoked.
func (ca *CA) signerOf(m *cmp.Message, window time.Duration) (*x509.Certificate, error) {
	if m.Header.Version != 2 {
		return nil, refuse(cmp.RuleVersion, "pvno %d, not 2", m.Header.Version)
	}
	if n := len(m.Header.TransactionID); n < 16 {
		return nil, refuse(cmp.RuleTID, "transactionID of %d bytes, fewer than 16", n)
	}
	if n := len(m.Header.SenderNonce); n < 16 {
		return nil, refuse(cmp.RuleNonce, "senderNonce of %d bytes, fewer than 16", n)
	}
	now := ca.opts.Now()
	switch t := m.Header.Time; {
	case window == anyTime:
	case t.IsZero():
		return nil, refuse(RuleTime, "%v without messageTime", m.Kind)
	case t.Before(now.Add(-window)):
		return nil, refuse(RuleTime, "%v of %s is older than %s", m.Kind, t.Format(time.RFC3339), window)
	case t.After(now.Add(ca.opts.Skew)):
		return nil, refuse(RuleTime, "%v of %s is from the future", m.Kind, t.Format(time.RFC3339))
	}
	signer, err := m.ProtectionCert()
	if err != nil {
		return nil, err
	}
	if err := m.VerifyProtection(signer); err != nil {
		return nil, err
	}
	return signer, ca.trust(signer, now)
}

// trust checks chain, dates and revocation of a signer's certificate.
func (ca *CA) trust(cert *x509.Certificate, at time.Time) error {
	if at.Before(cert.NotBefore) || at.After(cert.NotAfter) {
		return refuse(RuleExpired, "certificate %x is valid from %s to %s, not at %s", cert.SerialNumber,
			cert.NotBefore.Format(time.RFC3339), cert.NotAfter.Format(time.RFC3339), at.UTC().Format(time.RFC3339))
	}
	if _, err := cert.Verify(x509.VerifyOptions{
		Roots: ca.opts.PKI.Roots(), Intermediates: ca.opts.PKI.Intermediates(), CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}); err != nil {
		return &cmp.CheckError{Rule: RuleIssuer, Detail: "certificate not issued by this ca", Err: err}
	}
	if ca.opts.PKI.Revoked(cert) {
		return refuse(RuleRevoked, "certificate %x is revoked", cert.SerialNumber)
	}
	return nil
}

// examineInner checks the requester's own message.
func (ca *CA) examineInner(in *request, window time.Duration) (err error) {
	if in.signer, err = ca.signerOf(in.msg, window); err != nil {
		return err
	}
	if in.ask, err = in.msg.Request(); err != nil {
		return err
	}
	if in.ask.ID != 0 {
		return refuse(cmp.RuleReqID, "certReqId %d, not 0", in.ask.ID)
	}
	if err := in.ask.VerifyPOP(); err != nil {
		return err
	}
	if issuer := in.ask.Issuer; len(issuer) > 0 && !bytes.Equal(issuer, ca.opts.PKI.Issuing.RawSubject) {
		return refuse(RuleTemplate, "template names another issuer")
	}
	in.subject = in.ask.Subject
	if in.ask.IsKUR() {
		return ca.examineUpdate(in)
	}
	if in.ask.OldCert != nil {
		return refuse(cmp.RuleOldCert, "oldCertID in a %v", in.msg.Kind)
	}
	if len(in.subject) <= 2 {
		return refuse(cmp.RuleSubject, "template without a subject")
	}
	// Only a registration authority may ask in somebody else's name (RFC 9483, 5.3.1).
	if cmp.RASigner(in.signer) != nil && !bytes.Equal(in.subject, in.signer.RawSubject) {
		return refuse(cmp.RuleSubject, "certificate %x may not ask for another subject", in.signer.SerialNumber)
	}
	return nil
}

// examineUpdate checks what makes a kur: the old certificate protects it, is
// named in it, and keeps its subject (RFC 9810, 5.3.5).
func (ca *CA) examineUpdate(in *request) error {
	if in.ask.OldCert == nil {
		return refuse(cmp.RuleOldCert, "kur without oldCertID")
	}
	if !in.ask.OldCert.Names(in.signer) {
		return refuse(cmp.RuleOldCert, "oldCertID %x is not certificate %x, which protects the kur", in.ask.OldCert.Serial, in.signer.SerialNumber)
	}
	in.old = in.signer
	if in.subject == nil {
		in.subject = in.old.RawSubject
	}
	if !bytes.Equal(in.subject, in.old.RawSubject) {
		return refuse(cmp.RuleSubject, "subject is not that of the old certificate")
	}
	if ca.opts.RefuseSameKey && bytes.Equal(in.ask.PublicKey, in.old.RawSubjectPublicKeyInfo) {
		return refuse(RuleSameKey, "certificate %x asks for its own key again", in.old.SerialNumber)
	}
	return nil
}

// examineAttestation checks that an officer of ours attested exactly this
// message. The officer's certificate must have been good when the kiosk nested
// it, and not be revoked since.
func (ca *CA) examineAttestation(in *request, nested *cmp.Message) error {
	signed := nested.Attestation()
	if len(signed) == 0 {
		return refuse(cmp.RuleAttest, "nested without an officer's attestation")
	}
	p := ca.opts.PKI
	now := ca.opts.Now()
	noTime, at := ca.claimsNoTime(nested), nested.Time()
	if noTime {
		at = now
	}
	statement, officer, err := cmp.VerifyAttestation(signed, cmp.Officers{
		Anchors: p.Roots(), Intermediates: []*x509.Certificate{p.Issuing}, Allow: p.allowOfficer,
	}, at)
	if err != nil {
		return err
	}
	if err := statement.CheckRequest(in.msg); err != nil {
		return err
	}
	if t := statement.Time; !noTime && (t.Before(now.Add(-ca.opts.NestedWindow)) || t.After(now.Add(ca.opts.Skew))) {
		return refuse(cmp.RuleAttest, "attestation of %s is too old or from the future", t.Format(time.RFC3339))
	}
	in.officer, in.statement = officer, &statement
	return nil
}

// allowOfficer says whose attestations count.
func (p *PKI) allowOfficer(cert *x509.Certificate) error {
	if !p.IsOfficer(cert) {
		return refuse(cmp.RuleOfficer, "certificate %x is no officer's", cert.SerialNumber)
	}
	if p.Revoked(cert) {
		return refuse(cmp.RuleOfficer, "certificate %x of an officer is revoked", cert.SerialNumber)
	}
	return nil
}
