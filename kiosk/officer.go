package kiosk

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"

	"mohr.internal/kiosk/check"
	"mohr.internal/kiosk/profile"
	"mohr.internal/kiosk/words"
	"mohr.internal/pkcs11"
)

// officer is a signed-in Registration Officer, whose token stays in until the
// attestation is made.
type officer struct {
	device  Device
	session *pkcs11.Session
	token   pkcs11.Token
	cert    *x509.Certificate
	entry   profile.Officer
	signer  crypto.Signer
}

func (o *officer) hash() []byte {
	sum := sha256.Sum256(o.cert.Raw)
	return sum[:]
}

// name is what to call the officer on a screen.
func (o *officer) name(b *words.Book) string { return in(o.entry.Name, b) }

// signIn waits for an officer's token, finds the officer in the profile, and has
// the token sign a fresh challenge. The returned context ends when that token is
// pulled; release ends the session.
func (k *Kiosk) signIn(ctx context.Context, c *citizen, id RenewalID) (o *officer, bound context.Context, release func(), err error) {
	device, err := k.awaitOfficer(ctx)
	if err != nil {
		return nil, ctx, nil, err
	}
	if err := k.stage.show(working("officer-reading", 1, 1)); err != nil {
		return nil, ctx, nil, err
	}
	bound, unbind := k.presence.bind(ctx, device.ID, RuleOfficerRemoved)
	o = &officer{device: device}
	release = func() {
		unbind()
		if o.session != nil {
			o.session.Close()
		}
	}
	if err := k.openOfficer(bound, c, id, o); err != nil {
		err = k.removedOr(bound, err)
		release()
		return nil, ctx, nil, err
	}
	return o, bound, release, nil
}

// awaitOfficer asks for the officer's token until it is there.
func (k *Kiosk) awaitOfficer(ctx context.Context) (Device, error) {
	for {
		found, changed := k.presence.look(RoleOfficer)
		if len(found) > 0 {
			return found[0], nil
		}
		choice, _, err := k.stage.await(ctx, officerInsertPage, changed, k.Idle)
		if err != nil {
			return Device{}, err
		}
		if choice == choiceCancel {
			return Device{}, &Refusal{Rule: RuleCancelled}
		}
	}
}

func (k *Kiosk) openOfficer(ctx context.Context, c *citizen, id RenewalID, o *officer) (err error) {
	if o.session, err = k.open(ctx, o.device); err != nil {
		return err
	}
	if o.token, err = onlyToken(ctx, o.session); err != nil {
		return err
	}
	if o.token.Name() == c.token.Name() {
		return refuse(check.OfficerIsHolder, "same token in both ports")
	}
	objects, err := o.session.Objects(ctx)
	if err != nil {
		return err
	}
	if err := k.findOfficer(objects, c, o); err != nil {
		return err
	}
	if o.signer, err = o.session.Signer(ctx, o.cert.RawSubjectPublicKeyInfo); err != nil {
		return err
	}
	if err := k.login(ctx, id, o.session, o.token, "officer-pin", o.name); err != nil {
		return err
	}
	return k.challenge(ctx, o.session, o.cert)
}

// findOfficer takes the certificate that the profile lists. If there is none, the
// reason is that of the last one looked at.
func (k *Kiosk) findOfficer(objects []pkcs11.Object, c *citizen, o *officer) error {
	err := error(refuse(check.OfficerUnknown, "no certificate on the officer's token"))
	for _, object := range objects {
		if object.CertificateDER == nil {
			continue
		}
		cert, perr := check.ParseCertificate(object.CertificateDER)
		if perr != nil || cert.IsCA {
			continue
		}
		entry, findings := check.Officer(k.Profile, cert, k.Office, c.Holder, k.CRLs(), k.checkClock())
		if ferr := findings.Err(); ferr != nil {
			var one *check.Refusal
			if errors.As(err, &one) && one.Rule != check.OfficerUnknown {
				continue // keep the more telling reason
			}
			err = ferr
			continue
		}
		o.cert, o.entry = cert, entry
		return nil
	}
	return err
}

// stillThere proves just before the attestation that the officer's token is the
// one that signed in.
func (k *Kiosk) stillThere(ctx context.Context, o *officer) error {
	if !k.presence.here(o.device.ID) {
		return &Refusal{Rule: RuleOfficerRemoved}
	}
	return k.challenge(ctx, o.session, o.cert)
}
