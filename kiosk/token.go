package kiosk

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"mohr.internal/kiosk/check"
	"mohr.internal/kiosk/persian"
	"mohr.internal/kiosk/words"
	"mohr.internal/pkcs11"
)

// citizen is the holder's token, open and checked.
type citizen struct {
	device  Device
	session *pkcs11.Session
	token   pkcs11.Token
	objects []pkcs11.Object
	holder

	unsure   string // rule: a certificate may wait elsewhere, or come yet
	loggedIn bool   // the holder has entered the PIN in this session
}

// holder is what the certificate says of its holder.
type holder struct {
	check.Holder
	cert       *x509.Certificate
	chain      []*x509.Certificate // issuer to anchor
	ends       time.Time
	daysLeft   int // -1: the clock shows a day outside the certificate's life, so nobody knows
	latestSync time.Time
	tries      int      // PIN tries left, -1 unknown
	warnings   []string // rule IDs
	decision   check.Decision
}

// naming is somebody's name in the language of a page.
type naming func(b *words.Book) string

// name is what to call the holder on a screen.
func (h holder) name(b *words.Book) string {
	if b.Lang == "fa" {
		return persian.Show(h.Name())
	}
	return persian.Show(h.CommonName)
}

// oldHash is how the journal names the old certificate.
func (h holder) oldHash() []byte {
	sum := sha256.Sum256(h.cert.Raw)
	return sum[:]
}

// spki is the old public key.
func (h holder) spki() []byte { return h.cert.RawSubjectPublicKeyInfo }

// open starts a session with a device.
func (k *Kiosk) open(ctx context.Context, device Device) (*pkcs11.Session, error) {
	if !device.Supported {
		rule := device.Reason
		if rule == "" {
			rule = RuleTokenUnsupported
		}
		return nil, &Refusal{Rule: rule, Device: &device, Err: fmt.Errorf("device %s %s (%s)", device.ID, device.USB, device.Model)}
	}
	session, err := k.Tokens.Open(ctx, device.ID)
	if err != nil {
		return nil, &Refusal{Rule: RuleTokenUnreadable, Err: fmt.Errorf("%w: %w", pkcs11.ErrRemoved, err)}
	}
	return session, nil
}

// readToken opens the device and reads what needs no PIN.
func (k *Kiosk) readToken(ctx context.Context, device Device) (*citizen, error) {
	session, err := k.open(ctx, device)
	if err != nil {
		return nil, err
	}
	c := &citizen{device: device, session: session}
	if c.token, err = onlyToken(ctx, session); err == nil {
		c.objects, err = session.Objects(ctx)
	}
	if found, _ := k.presence.look(RoleCitizen); err == nil && len(found) > 1 { // another one meanwhile
		err = refuse(RuleTokenTwo, "%d citizen tokens", len(found))
	}
	if err != nil {
		session.Close()
		return nil, err
	}
	return c, nil
}

func onlyToken(ctx context.Context, s *pkcs11.Session) (pkcs11.Token, error) {
	tokens, err := s.Tokens(ctx)
	if err != nil {
		return pkcs11.Token{}, err
	}
	switch len(tokens) {
	case 0: // or pulled since
		return pkcs11.Token{}, &Refusal{Rule: RuleTokenBlank, Err: pkcs11.ErrNoToken}
	case 1:
		return tokens[0], nil
	}
	return pkcs11.Token{}, refuse(RuleTokenTwo, "%d tokens behind one device", len(tokens))
}

// checkToken finds the holder's signing certificate and holds it against the
// profile. Refusals end the ceremony; warnings go on the screen.
func (k *Kiosk) checkToken(ctx context.Context, c *citizen) error {
	choice := check.Choose(k.Profile, checkObjects(c.objects), false, k.checkClock())
	if err := choice.Err(); err != nil {
		return err
	}
	leaf, err := k.whichOf(ctx, choice.Candidates)
	if err != nil {
		return err
	}
	result := k.hold(c, choice, leaf)
	if err := result.Err(); err != nil {
		return err
	}
	for _, f := range append(choice.Only(check.Warn), result.Only(check.Warn)...) {
		c.warnings = append(c.warnings, f.Rule)
	}
	if k.Ledger.rejected(c.oldHash()) {
		c.warnings = append(c.warnings, RuleCARejected) // the holder may not have heard
	}
	return nil
}

// whichOf has the holder choose where the token has certificates of several subjects,
// such as a person's and an organisation's stamp.
func (k *Kiosk) whichOf(ctx context.Context, found []check.Candidate) (*x509.Certificate, error) {
	if len(found) == 1 {
		return found[0].Certificate, nil
	}
	if len(found) > mostToChoose {
		return nil, refuse(check.TokenChoose, "%d certificates to choose from", len(found))
	}
	choice, err := k.stage.ask(ctx, choosePage(found))
	if err != nil {
		return nil, err
	}
	for i, one := range found {
		if choice == certificateChoice(i) {
			return one.Certificate, nil
		}
	}
	return nil, &Refusal{Rule: RuleCancelled}
}

// hold reads the holder from one of the token's certificates.
func (k *Kiosk) hold(c *citizen, choice check.Choice, leaf *x509.Certificate) check.Result {
	result := check.Certificate(check.Input{
		Profile: k.Profile, Leaf: leaf, Extra: choice.CAs, Holders: choice.Holders, CRLs: k.CRLs(), Clock: k.checkClock(),
	})
	c.holder = holder{
		Holder: result.Holder, cert: leaf, ends: leaf.NotAfter, daysLeft: result.DaysLeft,
		latestSync: result.LatestSync, tries: c.token.PIN.TriesLeft, decision: result.Decision,
	}
	if life := leaf.NotAfter.Sub(leaf.NotBefore); c.daysLeft < 0 || c.daysLeft > int(life.Hours()/24)+1 {
		c.daysLeft = -1
	}
	if len(result.Chain) > 0 {
		c.chain = result.Chain[1:]
	}
	return result
}

// unfinished finds the renewal with a request that this token has come back for,
// if any. It goes by every certificate on the token: the new one may be there
// already. No rule is asked: what was stored or issued is finished, even if the
// old certificate has run out since.
func (k *Kiosk) unfinished(c *citizen) (RenewalID, bool) {
	choice := check.Choose(k.Profile, checkObjects(c.objects), false, k.checkClock())
	var id RenewalID
	for _, cert := range choice.Holders {
		n, ok := k.Ledger.openFor(cert.Raw)
		if ok && k.leave(n, choice.Holders) {
			continue
		}
		if !ok || c.cert != nil && bytes.Equal(n.Certificate, cert.Raw) {
			continue // the old certificate goes before the new one
		}
		k.hold(c, choice, cert)
		id = n.ID
	}
	return id, c.cert != nil
}

// checkObjects brings the token's objects into the form the checks take. Before the
// PIN a private key is hidden, and a public key alone stands for the pair.
func checkObjects(objects []pkcs11.Object) []check.Object {
	var out []check.Object
	for _, o := range objects {
		out = append(out, check.Object{
			ID: o.ID, Label: o.Label, CertificateDER: o.CertificateDER, PublicKeyDER: o.PublicKeyDER,
			HasPrivate: o.HasPrivate || o.HasPublic && o.CertificateDER == nil,
		})
	}
	return out
}

func (k *Kiosk) checkClock() check.Clock {
	return check.Clock{Now: k.Clock.Now(), Proven: k.Clock.Quality() == ClockTrusted}
}

// sameToken proves that the token in the port is the one that was checked: same
// insertion, same certificate on it, and a fresh challenge signed by its key.
// The PIN must have been entered.
func (k *Kiosk) sameToken(ctx context.Context, c *citizen) error {
	found, _ := k.presence.look(RoleCitizen)
	if len(found) > 1 {
		return refuse(RuleTokenTwo, "%d citizen tokens", len(found))
	}
	if len(found) == 0 || found[0].ID != c.device.ID {
		return refuse(RuleTokenSwapped, "device %s is not the one in the port", c.device.ID)
	}
	ders, err := c.session.ReadCertificate(ctx, pkcs11.KeyIDOf(c.spki()))
	if err != nil {
		return err
	}
	for _, der := range ders {
		if bytes.Equal(der, c.cert.Raw) {
			return k.challenge(ctx, c.session, c.cert)
		}
	}
	return refuse(RuleTokenSwapped, "the checked certificate is not on the token")
}

// challenge has the token sign fresh randomness and verifies it with the certificate.
func (k *Kiosk) challenge(ctx context.Context, s *pkcs11.Session, cert *x509.Certificate) error {
	nonce := make([]byte, 32)
	if _, err := io.ReadFull(k.Rand, nonce); err != nil {
		return err
	}
	digest := sha256.Sum256(append([]byte("mohr token challenge\x00"), nonce...))
	sig, err := s.Sign(ctx, pkcs11.KeyIDOf(cert.RawSubjectPublicKeyInfo), crypto.SHA256, digest[:])
	if err != nil {
		if errors.Is(err, pkcs11.ErrKeyNotFound) {
			return &Refusal{Rule: RuleTokenSwapped, Err: err}
		}
		return err
	}
	if err := pkcs11.VerifySignature(cert.PublicKey, crypto.SHA256, digest[:], sig); err != nil {
		return &Refusal{Rule: RuleTokenProof, Err: err}
	}
	return nil
}
