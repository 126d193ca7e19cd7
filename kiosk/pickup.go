package kiosk

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"mohr.internal/kiosk/check"
	"mohr.internal/kiosk/cmp"
	"mohr.internal/pkcs11"
)

// Fleet finds what other kiosks got for the keys of a token.
type Fleet interface {
	// Find asks for the pick-up of a public key (SubjectPublicKeyInfo); ok is false if
	// there is none. ErrPickup means that what there is cannot be one, any other error
	// that nobody can tell now.
	Find(ctx context.Context, spki []byte) (p Pickup, ok bool, err error)
}

// Pickup is a certificate that another kiosk asked for and got.
type Pickup struct {
	Renewal     RenewalID
	Request     []byte // nested PKIMessage, as the other kiosk stored it
	Certificate []byte
	Chain       [][]byte
	Answer      []byte // the CA's, where a certConf is owed to it
}

// ErrPickup is a pick-up that does not open or does not parse.
var ErrPickup = errors.New("kiosk: no pick-up for this key")

// Limits of asking the fleet. The holder waits meanwhile.
const (
	fleetWait = 5 * time.Second // for all keys together
	fleetKeys = 4               // the newest are the last
)

// elsewhere asks the fleet for the certificate of a key that another kiosk made on
// this token. What is found and right becomes a renewal of this kiosk, which is at
// Issued from the start. What is not found may come yet: then c.unsure is the rule
// that says so, and the holder is asked (see greet).
func (k *Kiosk) elsewhere(ctx context.Context, c *citizen) (id RenewalID, found bool, err error) {
	if k.Fleet == nil {
		return id, false, nil
	}
	choice := check.Choose(k.Profile, checkObjects(c.objects), false, k.checkClock())
	keys, made := k.strangeKeys(c, choice)
	if len(keys) == 0 {
		return id, false, nil
	}
	if err := k.stage.show(working("fleet-asking", 1, 1)); err != nil {
		return id, false, err
	}
	asking, cancel := context.WithTimeout(ctx, fleetWait)
	defer cancel()
	for i, spki := range keys {
		p, ok, err := k.Fleet.Find(asking, spki)
		switch {
		case ctx.Err() != nil:
			return id, false, context.Cause(ctx)
		case errors.Is(err, ErrPickup):
			return id, false, &Refusal{Rule: RuleFleetAnswer, Err: err}
		case err != nil:
			k.Log.Info("the fleet cannot be asked", "err", err)
			if i < made {
				c.unsure = RuleFleetUnknown
			}
		case ok:
			if id, found, err = k.pickedUp(c, choice, spki, p); err != nil || found {
				return id, found, err
			}
		case i < made && c.unsure == "":
			c.unsure = RuleFleetPending
		}
	}
	return id, false, nil
}

// askElsewhere asks the holder what the fleet could not tell: whether a certificate is
// on its way for a key that somebody made on this token. Nobody is asked for a
// second one by mistake, and nobody waits for ever for one that never was asked for.
func (k *Kiosk) askElsewhere(ctx context.Context, c *citizen) error {
	if c.unsure == "" {
		return nil
	}
	choice, err := k.stage.ask(ctx, elsewherePage(c.unsure))
	switch {
	case err != nil:
		return err
	case choice == choiceCancel:
		return &Refusal{Rule: RuleCancelled}
	case choice == choiceYes:
		return &Refusal{Rule: c.unsure}
	}
	c.warnings = append(c.warnings, c.unsure)
	return nil
}

// strangeKeys are the keys of a token for which another kiosk may have a certificate:
// first the pairs without one that this kiosk did not make, made in number; then, if
// the token makes no new key, the certificates' own.
func (k *Kiosk) strangeKeys(c *citizen, choice check.Choice) (keys [][]byte, made int) {
	if len(choice.Holders) == 0 {
		return nil, 0
	}
	for _, i := range choice.KeyOnly {
		if o := c.objects[i]; o.PublicKeyDER != nil && !k.Ledger.hasKey(o.ID, o.PublicKeyDER) {
			keys = append(keys, o.PublicKeyDER)
		}
	}
	keys = keys[max(0, len(keys)-fleetKeys):]
	made = len(keys)
	if alg, err := k.newKeyAlgorithm(c.token); err == nil && alg == sameKey {
		for _, cert := range choice.Holders[max(0, len(choice.Holders)-fleetKeys):] {
			keys = append(keys, cert.RawSubjectPublicKeyInfo)
		}
	}
	return keys, made
}

// hasKey says whether a pair was announced or made by a renewal of this journal.
func (l *Ledger) hasKey(id, spki []byte) bool {
	key := pkcs11.KeyIDOf(spki)
	return len(l.All(func(n Renewal) bool {
		return n.KeyID != nil && bytes.Equal(n.KeyID, id) || bytes.Equal(n.NewKey, key[:])
	})) > 0
}

// pickedUp holds a pick-up to all that an answer of the CA is held to, and journals
// it. taken is false without an error where it is of no use any more: on the token
// already or older than what is there, run out, or revoked.
func (k *Kiosk) pickedUp(c *citizen, choice check.Choice, spki []byte, p Pickup) (id RenewalID, taken bool, err error) {
	cert, err := check.ParseCertificate(p.Certificate)
	if err != nil {
		return id, false, &Refusal{Rule: RuleFleetAnswer, Err: err}
	}
	if slices.ContainsFunc(choice.Holders, func(h *x509.Certificate) bool {
		return bytes.Equal(h.RawSubject, cert.RawSubject) && !cert.NotAfter.After(h.NotAfter)
	}) {
		k.Log.Info("the fleet's certificate is no newer than the token's")
		return id, false, nil
	}
	result := check.Certificate(check.Input{
		Profile: k.Profile, Leaf: cert, Extra: choice.CAs, Holders: choice.Holders, CRLs: k.CRLs(), Clock: k.checkClock(),
	})
	if result.Has(check.CertExpired) || result.Has(check.CertRevoked) {
		k.Log.Info("the fleet's certificate is of no use any more", "findings", result.Only(check.Refuse))
		return id, false, nil
	}
	for _, f := range result.Only(check.Refuse) {
		if f.Rule != check.WindowEarly { // it is new
			return id, false, refuse(RuleFleetAnswer, "%v", f)
		}
	}
	old, chain, confirmed, err := k.checkPickup(p, spki, choice.Holders)
	if err != nil {
		return id, false, &Refusal{Rule: RuleFleetAnswer, Err: err}
	}
	if n, known := k.Ledger.Renewal(p.Renewal); known {
		return id, false, refuse(RuleFleetAnswer, "renewal %v is %v here", n.ID, n.State)
	}
	k.hold(c, choice, old)
	return p.Renewal, true, k.Ledger.advance(p.Renewal, Issued, func(r *Record) {
		key := pkcs11.KeyIDOf(spki)
		r.OldCert, r.NewKey, r.Request, r.Certificate, r.Confirmed = c.oldHash(), key[:], p.Request, p.Certificate, confirmed
		for _, ca := range chain {
			r.Chain = append(r.Chain, ca.Raw)
		}
		if !confirmed {
			r.Answer = p.Answer
		}
	})
}

// checkPickup ties a certificate to the token: the request was signed by the key of a
// certificate that is on it and by the key in question, and accepted by a kiosk of
// this CA; the certificate is the CA's for just that.
func (k *Kiosk) checkPickup(p Pickup, spki []byte, holders []*x509.Certificate) (old *x509.Certificate, chain []*x509.Certificate, confirmed bool, err error) {
	nested, err := cmp.Parse(p.Request)
	if err != nil {
		return nil, nil, false, err
	}
	if p.Renewal.Zero() || !bytes.Equal(nested.TransactionID(), p.Renewal[:]) {
		return nil, nil, false, fmt.Errorf("renewal %v, transaction %x", p.Renewal, nested.TransactionID())
	}
	if err := k.checkRA(nested); err != nil {
		return nil, nil, false, err
	}
	inner, err := nested.Inner()
	if err != nil {
		return nil, nil, false, err
	}
	old, req, err := inner.CheckRequest()
	if err != nil {
		return nil, nil, false, err
	}
	if !slices.ContainsFunc(holders, old.Equal) || !bytes.Equal(req.PublicKey, spki) {
		return nil, nil, false, errors.New("request for another certificate or key")
	}
	e, err := nested.Expect()
	if err != nil {
		return nil, nil, false, err
	}
	k.Outbox.believe(&e)
	cert, chain, err := e.Certificate(p.Certificate, p.Chain)
	if err != nil || p.Answer == nil {
		return old, chain, true, err
	}
	m, err := cmp.Parse(p.Answer)
	if err != nil {
		return nil, nil, false, err
	}
	e.Nonce = m.RecipNonce() // of the request, or of a poll that is not known here
	answer, err := e.Check(p.Answer)
	if err != nil {
		return nil, nil, false, err
	}
	if answer.Kind != cmp.Issued || !answer.Cert.Equal(cert) {
		return nil, nil, false, fmt.Errorf("an answer of kind %v, or with another certificate", answer.Kind)
	}
	return old, chain, answer.ImplicitConfirmed, nil
}

// checkRA verifies the other kiosk's signature, at the time when it was made.
func (k *Kiosk) checkRA(nested *cmp.Message) error {
	ra, err := nested.ProtectionCert()
	if err != nil {
		return err
	}
	between := x509.NewCertPool()
	for _, ca := range k.Profile.Intermediates() {
		between.AddCert(ca)
	}
	_, err = ra.Verify(x509.VerifyOptions{
		Roots: k.Profile.Pool(), Intermediates: between, CurrentTime: nested.Time(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return errors.Join(nested.VerifyProtection(ra), cmp.RASigner(ra), err)
}

// leave notes that a token has come back with the certificate that waits for it here,
// though this kiosk never began to write it: another one did. Where a certConf is
// owed the renewal is finished here all the same: a second one does no harm.
func (k *Kiosk) leave(n Renewal, holders []*x509.Certificate) bool {
	if n.State != Issued || n.loading || !n.Confirmed || !slices.ContainsFunc(holders, func(h *x509.Certificate) bool { return bytes.Equal(h.Raw, n.Certificate) }) {
		return false
	}
	if err := k.Ledger.note(n.ID, EventElsewhere, nil); err != nil {
		k.Log.Error("cannot journal that another kiosk served", "renewal", n.ID, "err", err) // and Run ends
	}
	return true
}
