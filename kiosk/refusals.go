package kiosk

import (
	"context"
	"errors"
	"fmt"

	"mohr.internal/kiosk/check"
	"mohr.internal/pkcs11"
)

// The ceremony's own rules. Rules about certificates and profiles are in
// kiosk/check, about CMP messages in kiosk/cmp. The same ID stands in the code,
// the journal, the log, the test and, small, on the screen; what a person reads
// about it is in kiosk/words under "why.ID" and "next.ID".
const (
	RuleCancelled   = "CANCELLED"    // a person pressed cancel
	RuleIdle        = "IDLE"         // nobody answered
	RuleStopped     = "STOPPED"      // the program is ending
	RuleRestart     = "RESTART"      // found unfinished at start
	RuleInternal    = "INTERNAL"     // a defect or a part that failed in a way nobody foresaw
	RuleStoreFailed = "STORE-FAILED" // the journal cannot be written or read back
	RuleStoreFull   = "STORE-FULL"   // no room for another renewal

	RuleTokenRemoved     = "TOKEN-REMOVED"     // pulled before the request was stored
	RuleTokenUnreadable  = "TOKEN-NO-ANSWER"   // the module or the token does not answer
	RuleTokenBlank       = "TOKEN-BLANK"       // no token, or one never initialised, behind the device
	RuleTokenTwo         = "TOKEN-TWO"         // more than one citizen's token is in
	RuleTokensAway       = "TOKENS-AWAY"       // the token program cannot be reached
	RuleTokenSwapped     = "TOKEN-SWAPPED"     // not the token that was checked
	RuleTokenFull        = "TOKEN-FULL"        // no space for another key or certificate
	RuleTokenUnsupported = "TOKEN-UNSUPPORTED" // no module drives it
	RuleTokenProof       = "TOKEN-PROOF"       // the token's signature does not verify

	RuleFleetFork    = "FLEET-FORK"    // the centre's log of this kiosk is not this journal
	RuleFleetClone   = "FLEET-CLONE"   // and that log still grows
	RuleFleetOffline = "FLEET-OFFLINE" // the centre cannot be asked how far it is
	RuleFleetUnknown = "FLEET-UNKNOWN" // the fleet cannot be asked for a certificate
	RuleFleetPending = "FLEET-PENDING" // the fleet has none yet for a key that another kiosk made
	RuleFleetAnswer  = "FLEET-ANSWER"  // what the fleet has for a key fails a check

	RulePINWrong   = "PIN-WRONG"
	RulePINLength  = "PIN-LENGTH"
	RulePINOutcome = "PIN-OUTCOME" // nobody can say whether the try counted

	RuleOfficerRemoved = "OFFICER-REMOVED" // pulled before the attestation was made

	RuleIdentity = "IDENTITY" // something about document, number or face did not match; neutral on purpose
	RuleTerms    = "TERMS"    // not accepted

	RuleShown      = "SHOWN"       // the request is not what was shown
	RuleOwnMessage = "OWN-MESSAGE" // our own request does not verify

	RuleCARejected  = "CA-REJECTED"
	RuleCAAnswer    = "CA-ANSWER"    // the CA's answer fails a check
	RuleCAConfirm   = "CA-CONFIRM"   // the CA does not take the confirmation of a certificate it issued
	RuleLoadStopped = "LOAD-STOPPED" // pulled while the certificate was being written
)

// Refusal is the end of a ceremony for a reason that people are told. Rule picks
// the words; Err is for the log.
type Refusal struct {
	Rule   string
	Err    error
	Device *Device // the one that cannot be used, if it is that
}

// Error names the rule and the cause.
func (r *Refusal) Error() string {
	if r.Err != nil {
		return fmt.Sprintf("kiosk: %s: %v", r.Rule, r.Err)
	}
	return "kiosk: " + r.Rule
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }

func refuse(rule, format string, args ...any) error {
	return &Refusal{Rule: rule, Err: fmt.Errorf(format, args...)}
}

// isLoss says whether an error may be what a pulled token looks like.
func isLoss(err error) bool {
	return errors.Is(err, pkcs11.ErrRemoved) || errors.Is(err, pkcs11.ErrDevice) || errors.Is(err, pkcs11.ErrNoToken)
}

// ruleOf is the rule that explains an error to people. Errors of the token layer
// get the rule that tells staff what to do; anything unforeseen is RuleInternal.
func ruleOf(err error) string {
	var refusal *Refusal
	var pin *pkcs11.PINError
	var checked *check.Refusal
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refusal):
		return refusal.Rule
	case errors.As(err, &checked):
		return checked.Rule
	case errors.As(err, &pin):
		return pinRule(pin)
	case errors.Is(err, pkcs11.ErrOutcomeUnknown):
		return RulePINOutcome
	case errors.Is(err, pkcs11.ErrFull):
		return RuleTokenFull
	case isLoss(err), errors.Is(err, pkcs11.ErrModule):
		return RuleTokenUnreadable
	case errors.Is(err, context.Canceled):
		return RuleStopped
	}
	return RuleInternal
}
