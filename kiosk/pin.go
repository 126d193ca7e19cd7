package kiosk

import (
	"context"
	"errors"

	"mohr.internal/kiosk/check"
	"mohr.internal/pkcs11"
)

// maxPIN bounds what can be typed: no known token takes more.
const maxPIN = 32

// maxEntries is how many wrong PINs one visit takes, on tokens that take more or do
// not tell: whoever has to guess does not know the PIN.
const maxEntries = 10

// login asks for a PIN until it is right, a person gives up, or a rule says stop.
// One entry is at most one try; the try is in the journal before the PIN is sent
// and its result after, so a try without a result means that nobody knows.
func (k *Kiosk) login(ctx context.Context, id RenewalID, session *pkcs11.Session, token pkcs11.Token, pageID string, name naming) error {
	before := ""
	for entry := 1; ; {
		state, err := session.LoginState(ctx)
		if err != nil {
			return err
		}
		if state.LoggedIn {
			return pkcs11.ErrAlreadyLoggedIn // nobody typed anything: never use such a session
		}
		if err := k.mayTry(ctx, state.PIN); err != nil {
			return err
		}
		pin, err := k.stage.digits(ctx, maxPIN, pinPage(pageID, name, state.PIN.TriesLeft, before))
		if err != nil {
			return err
		}
		if len(pin) < token.MinPIN || token.MaxPIN > 0 && len(pin) > token.MaxPIN {
			pkcs11.Wipe(pin)
			before = RulePINLength // not sent: it could only fail
			continue
		}
		err = k.try(ctx, id, session, pin)
		var refused *pkcs11.PINError
		if errors.As(err, &refused) && refused.Reason == pkcs11.PINWrong && entry < maxEntries {
			entry++
			before = RulePINWrong
			continue
		}
		return err
	}
}

// mayTry applies the PIN policy before anybody types: locked and last try are
// refused, with few tries left both people have to agree, anew for each entry.
func (k *Kiosk) mayTry(ctx context.Context, s pkcs11.PINState) error {
	state := check.PINState(s)
	err := check.PIN(k.Profile, state, check.Consent{}).Err()
	if ruleOf(err) != check.PINLow {
		return err
	}
	choice, err := k.stage.ask(ctx, pinLowPage)
	if err != nil {
		return err
	}
	if choice == choiceCancel {
		return &Refusal{Rule: RuleCancelled}
	}
	both := choice == choiceYes
	return check.PIN(k.Profile, state, check.Consent{Holder: both, Officer: both}).Err()
}

// try sends one PIN once. PIN_TRY is durable before, PIN_RESULT after.
func (k *Kiosk) try(ctx context.Context, id RenewalID, session *pkcs11.Session, pin []byte) error {
	defer pkcs11.Wipe(pin)
	if err := k.Ledger.note(id, EventPINTry, nil); err != nil {
		return err
	}
	state, err := session.Login(ctx, pin)
	if jerr := k.Ledger.note(id, EventPINResult, func(r *Record) {
		r.Rule, r.Tries = ruleOf(err), &state.TriesLeft
	}); jerr != nil {
		return jerr // whatever the token said: nobody is asked for a PIN again
	}
	return err
}

// pinRule is the rule for a token's definite no.
func pinRule(e *pkcs11.PINError) string {
	switch e.Reason {
	case pkcs11.PINWrong:
		return RulePINWrong
	case pkcs11.PINLocked:
		return check.PINLocked
	case pkcs11.PINLength, pkcs11.PINInvalid:
		return RulePINLength
	}
	return check.PINChange // expired or never set
}
