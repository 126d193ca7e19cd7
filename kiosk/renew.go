package kiosk

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"mohr.internal/display"
	"mohr.internal/kiosk/check"
	"mohr.internal/pkcs11"
)

// ceremony is one citizen at the counter. It reads from top to bottom; every
// question is a call that returns when a person has answered, and every error is
// a Refusal that ends it here. See DESIGN of the flow in this package's comment.
func (k *Kiosk) ceremony(station context.Context, device Device) error {
	ctx, release := k.presence.bind(station, device.ID, RuleTokenRemoved)
	defer release()

	// 1. Insert: what is on the token, without a PIN.
	if err := k.stage.show(working("reading", 1, 2)); err != nil {
		return err
	}
	c, err := k.readToken(ctx, device)
	if err != nil {
		return k.turnAway(k.removedOr(ctx, err))
	}
	defer c.session.Close()

	// 2. Check: whether there is unfinished business, certificate, rules.
	if err := k.Ledger.cramped(); err != nil {
		return err
	}
	if id, ok := k.unfinished(c); ok {
		return k.settle(station, ctx, c, id) // 10 and 11, on return: never a second request for one certificate
	}
	if err := k.Ledger.full(); err != nil {
		return err // not even that is journaled: what is left is for those who were begun with
	}
	id, found, err := k.elsewhere(ctx, c)
	if err != nil {
		return k.turnAway(k.removedOr(ctx, err))
	}
	if found {
		return k.finish(station, ctx, c, id) // 11, of a renewal at another kiosk
	}
	if err := k.checkToken(ctx, c); err != nil {
		return k.turnAway(k.removedOr(ctx, err))
	}
	if err := k.greet(ctx, c); err != nil {
		return k.turnAway(k.removedOr(ctx, err))
	}
	if id, err = k.begin(c); err != nil {
		return err
	}
	stored, err := k.request(ctx, c, id)
	if err != nil && !stored {
		return k.end(id, k.removedOr(ctx, err))
	}
	if err != nil {
		return err
	}

	// 9, 10, 11. Receipt, delivery, and the new certificate if it comes at once.
	return k.settle(station, ctx, c, id)
}

// request takes a checked token to a stored request: steps 3 to 8. stored says
// that the journal holds the request, so that it will be delivered whatever err is.
func (k *Kiosk) request(ctx context.Context, c *citizen, id RenewalID) (stored bool, err error) {
	// 3. Identity, by the officer.
	officer, ctx, release, err := k.signIn(ctx, c, id)
	if err != nil {
		return false, err
	}
	defer release()
	defer func() { err = k.removedOr(ctx, err) }() // either token may have been pulled
	evidence, err := k.verifyIdentity(ctx, c, officer, id)
	if err != nil {
		return false, err
	}

	// 4. Show what will be signed, and hold to agree.
	algorithm, err := k.newKeyAlgorithm(c.token)
	if err != nil {
		return false, err
	}
	if err := k.review(ctx, c, officer, id, algorithm); err != nil {
		return false, err
	}

	// 5. PIN.
	if err := k.loginCitizen(ctx, c, id); err != nil {
		return false, err
	}

	// 6. Re-key: a new key beside the old one.
	if err := k.stage.show(working("key-making", 1, 3)); err != nil {
		return false, err
	}
	newKey, err := k.makeKey(ctx, c, id, algorithm)
	if err != nil {
		return false, err
	}

	// 7. Sign, and verify what was signed.
	if err := k.stage.show(working("signing", 2, 3)); err != nil {
		return false, err
	}
	message, err := k.sign(ctx, c, officer, id, newKey, evidence)
	if err != nil {
		return false, err
	}

	// 8. Store: after this nothing can take the request away.
	if err := k.stage.show(working("storing", 3, 3)); err != nil {
		return false, err
	}
	if err := k.Ledger.advance(id, RequestSigned, func(r *Record) { r.Request = message }); err != nil {
		return false, err
	}
	return true, k.store(id, message)
}

// greet shows whose certificate it is and, if the rules say that this is a later
// renewal, that it could be done from home.
func (k *Kiosk) greet(ctx context.Context, c *citizen) error {
	if err := k.goOn(ctx, tokenPage(c.holder)); err != nil {
		return err
	}
	if len(c.warnings) > warningsBeside {
		for part := range slices.Chunk(c.warnings, warningsAlone) {
			if err := k.goOn(ctx, noticePage(part)); err != nil {
				return err
			}
		}
	}
	if err := k.askElsewhere(ctx, c); err != nil {
		return err
	}
	if c.decision.First {
		return nil
	}
	return k.goOn(ctx, laterPage)
}

// goOn asks a page whose only other answer is to stop.
func (k *Kiosk) goOn(ctx context.Context, p page) error {
	choice, err := k.stage.ask(ctx, p)
	if err != nil {
		return err
	}
	if choice != choiceOK {
		return &Refusal{Rule: RuleCancelled}
	}
	return nil
}

// begin gives the renewal its name and writes its first state.
func (k *Kiosk) begin(c *citizen) (RenewalID, error) {
	var id RenewalID
	if _, err := io.ReadFull(k.Rand, id[:]); err != nil {
		return id, err
	}
	return id, k.Ledger.advance(id, TokenRead, func(r *Record) {
		r.OldCert, r.Ends, r.Notes, r.Signal = c.oldHash(), c.ends.Unix(), c.warnings, c.decision.Signal
	})
}

// review shows the request's content, taken from the bytes that will be signed,
// and waits for the holder to hold the button.
func (k *Kiosk) review(ctx context.Context, c *citizen, o *officer, id RenewalID, alg pkcs11.KeyAlgorithm) error {
	rows, err := check.SubjectFields(c.cert.RawSubject)
	if err != nil {
		return &Refusal{Rule: RuleShown, Err: err}
	}
	pages := subjectParts(rows)
	for i, part := range pages {
		if err := k.goOn(ctx, subjectPage(part, i+1, len(pages))); err != nil {
			return err
		}
	}
	key := alg.String()
	if alg == sameKey {
		key = "="
	}
	if err := k.goOn(ctx, signPage(c.holder, key, o.name)); err != nil {
		return err
	}
	return k.Ledger.advance(id, OfficerApproved, func(r *Record) { r.Officer = o.hash() })
}

// end closes a renewal that did not come as far as a stored request.
func (k *Kiosk) end(id RenewalID, err error) error {
	to := Refused
	switch ruleOf(err) {
	case RuleCancelled, RuleIdle, RuleStopped, RuleTokenRemoved, RuleOfficerRemoved, RuleTokenUnreadable, RuleInternal:
		to = Abandoned
	}
	if k.Ledger.Failed() != nil {
		return err // nothing can be written
	}
	if jerr := k.Ledger.advance(id, to, func(r *Record) { r.Rule = ruleOf(err) }); jerr != nil {
		return errors.Join(err, jerr)
	}
	return err
}

// removedOr prefers the pulled token as the reason: a worker whose token was
// pulled reports its loss in many ways, and sometimes before the port does.
func (k *Kiosk) removedOr(ctx context.Context, err error) error {
	if !isLoss(err) && !errors.Is(err, context.Canceled) {
		return err
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(removalSettles):
		return err
	}
}

// removalSettles is how long the port may lag behind the module in noticing that
// a token is gone.
const removalSettles = 700 * time.Millisecond

// settle shows the receipt, waits for the CA while the token is in, and loads the
// certificate if it comes.
func (k *Kiosk) settle(station, ctx context.Context, c *citizen, id RenewalID) error {
	if n, _ := k.Ledger.Renewal(id); n.Receipt == "" && n.State == Issued { // found in the fleet, on an earlier visit
		return k.finish(station, ctx, c, id)
	}
	issued, err := k.deliver(station, c, id)
	if err != nil || !issued {
		return err
	}
	return k.finish(station, ctx, c, id)
}

// finish loads an issued certificate.
func (k *Kiosk) finish(station, ctx context.Context, c *citizen, id RenewalID) error {
	if !c.loggedIn {
		if err := k.pickUp(ctx, c, id); err != nil {
			return k.stopped(id, k.removedOr(ctx, err))
		}
	}
	if err := k.stage.show(working("loading", 1, 1)); err != nil {
		return err
	}
	if err := k.load(ctx, c, id); err != nil {
		err = k.removedOr(ctx, err)
		if ruleOf(err) == RuleTokenRemoved {
			err = &Refusal{Rule: RuleLoadStopped, Err: err}
		}
		return k.stopped(id, err)
	}
	n, _ := k.Ledger.Renewal(id)
	k.tell(station, c.device, receiptPage(n, n.Tracking(), "receipt.accepted", display.TokenFree))
	return nil
}

// pickUp asks a returning holder for the PIN.
func (k *Kiosk) pickUp(ctx context.Context, c *citizen, id RenewalID) error {
	n, _ := k.Ledger.Renewal(id)
	cert, err := check.ParseCertificate(n.Certificate)
	if err != nil {
		return err
	}
	if err := k.goOn(ctx, pickupPage(c.holder, cert.NotAfter, n.Receipt == "")); err != nil {
		return err
	}
	return k.loginCitizen(ctx, c, id)
}

func (k *Kiosk) loginCitizen(ctx context.Context, c *citizen, id RenewalID) error {
	if err := k.login(ctx, id, c.session, c.token, "pin", c.name); err != nil {
		return err
	}
	c.loggedIn = true
	return nil
}

// stopped journals that a pick-up ended early; the renewal stays as it was.
func (k *Kiosk) stopped(id RenewalID, err error) error {
	if jerr := k.Ledger.remark(id, EventStopped, func(r *Record) { r.Rule = ruleOf(err) }); jerr != nil {
		return errors.Join(err, jerr)
	}
	return err
}
