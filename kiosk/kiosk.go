package kiosk

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"time"

	"mohr.internal/kiosk/profile"
)

// Keys are the kiosk's own keys.
type Keys struct {
	RA      crypto.Signer // signs the nested message; certificate with id-kp-cmcRA
	RACert  *x509.Certificate
	RAChain []*x509.Certificate
	Receipt crypto.Signer // ES256
}

// Kiosk is one station. All fields are set once, before Run.
type Kiosk struct {
	Profile   *profile.Profile
	CRLs      func() []*x509.RevocationList // those that are known now
	Surface   Surface
	Tokens    Tokens
	Ledger    *Ledger
	Outbox    *Outbox
	Transport Transport // nil: nothing is known but what the journal holds
	Fleet     Fleet     // nil: an office by itself
	Clock     Clock
	Rand      io.Reader
	Keys      Keys
	Recipient []byte // the CA's name, DER
	ID        string
	Number    uint32 // in receipts
	Office    string
	Idle      time.Duration
	Language  string
	Healed    []string // what the journal mended when it was opened
	Log       *slog.Logger

	stage    *stage
	presence *presence
}

// Run serves citizens until ctx ends or the journal fails. An error means that
// nothing may be promised any more: the caller shows a trouble screen, reopens
// the journal and starts anew.
func (k *Kiosk) Run(ctx context.Context) error {
	k.stage = &stage{surface: k.Surface, log: k.Log, clock: k.Clock, idle: k.Idle, lang: k.Language}
	k.presence = newPresence()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go k.presence.follow(k.Tokens.Events(ctx))
	if err := k.resume(); err != nil {
		return err
	}
	for {
		device, err := k.idle(ctx)
		if err != nil {
			return err
		}
		k.serve(ctx, device)
		if err := k.Ledger.Failed(); err != nil {
			return err
		}
		k.stage.lang = k.Language // the next person starts in the office's language
	}
}

// idle waits for a citizen's token. What keeps the next citizen from being served is
// on the screen meanwhile; a journal that fails is an error.
func (k *Kiosk) idle(ctx context.Context) (Device, error) {
	two := false
	for ctx.Err() == nil {
		stored := k.Ledger.Changed()
		if err := k.Ledger.Failed(); err != nil {
			return Device{}, err
		}
		if theirs, forked := k.Ledger.Fork(); forked {
			if err := k.alarm(ctx, theirs, stored); err != nil {
				return Device{}, err
			}
			continue
		}
		found, changed := k.presence.look(RoleCitizen)
		notices := k.notices()
		var p page
		switch {
		case len(found) == 1:
			return found[0], nil
		case len(found) > 1:
			if !two {
				if err := k.turnAway(refuse(RuleTokenTwo, "%d citizen tokens", len(found))); ruleOf(err) != RuleTokenTwo {
					return Device{}, err
				}
				stored = k.Ledger.Changed()
			}
			p = waitPage(RuleTokenTwo)
		case k.presence.away():
			p = noticed(troublePage(RuleTokensAway), notices)
		case k.Ledger.full() != nil:
			p = noticed(fullPage, notices)
		default:
			p = noticed(idlePage, notices)
		}
		two = len(found) > 1
		due, ignore := k.changedNotices(notices)
		wake, release := anyOf(changed, stored, due)
		choice, _, err := k.stage.await(ctx, p, wake, 0)
		release()
		ignore()
		if choice == choiceStaff {
			err = k.staff(ctx)
		}
		if err != nil {
			return Device{}, err
		}
	}
	return Device{}, context.Cause(ctx) // also with a token in: nobody is begun with any more
}

// serve is one citizen, from the token's insertion to its removal. Whatever goes
// wrong ends with a page that says what to do now.
func (k *Kiosk) serve(ctx context.Context, device Device) {
	start, waited, busy := k.Clock.Now(), k.stage.waited, k.Tokens.Busy()
	err := k.ceremony(ctx, device)
	total, waited, busy := k.Clock.Now().Sub(start), k.stage.waited-waited, k.Tokens.Busy()-busy
	k.Log.Info("ceremony ended", "rule", ruleOf(err), "err", err, "total", total, "waited", waited, "token", busy, "own", total-waited-busy)
	if err != nil && ctx.Err() == nil {
		k.tell(ctx, device, lastPage(err))
	}
	if k.Ledger.Failed() == nil { // else nobody is served next: Run ends
		k.farewell(ctx, device)
	}
}

// tell shows a last page until it is dismissed, the station is idle for long, or
// the next citizen's token comes.
func (k *Kiosk) tell(ctx context.Context, device Device, p page) {
	next, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		if k.presence.gone(next, device.ID) == nil {
			if _, err := k.presence.wait(next, RoleCitizen); err == nil {
				stop()
			}
		}
	}()
	if _, _, err := k.stage.await(next, p, nil, k.Idle); err != nil {
		k.Log.Debug("page ended", "err", err)
	}
}

// farewell waits until the citizen's token is out, with or without a screen that
// says so: nobody is served twice for one insertion.
func (k *Kiosk) farewell(ctx context.Context, device Device) {
	gone, release := k.presence.bind(ctx, device.ID, RuleTokenRemoved)
	defer release()
	if !k.presence.here(device.ID) {
		return
	}
	if _, _, err := k.stage.await(gone, removePage, nil, 0); gone.Err() == nil { // has no choices: ends with the removal
		k.Log.Error("no last page", "err", err)
	}
	<-gone.Done()
}

// resume finishes what was signed before a power cut and abandons what was not.
func (k *Kiosk) resume() error {
	if err := k.Ledger.remark(RenewalID{}, EventStart, nil); err != nil {
		return err
	}
	if len(k.Healed) > 0 {
		if err := k.Ledger.remark(RenewalID{}, EventHealed, func(r *Record) { r.Notes = k.Healed }); err != nil {
			return err
		}
	}
	for _, n := range k.Ledger.All(func(n Renewal) bool { return !n.State.Ended() }) {
		switch {
		case n.State < RequestSigned:
			if err := k.Ledger.advance(n.ID, Abandoned, func(r *Record) { r.Rule = RuleRestart }); err != nil {
				return err
			}
		case n.State < Receipted:
			k.Log.Info("finishing a stored request", "renewal", n.ID)
			if err := k.store(n.ID, n.Request); err != nil {
				return err
			}
		}
	}
	return nil
}

// turnAway journals a refusal that came before any renewal began.
func (k *Kiosk) turnAway(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if jerr := k.Ledger.remark(RenewalID{}, EventTurnedAway, func(r *Record) { r.Rule = ruleOf(err) }); jerr != nil {
		return jerr
	}
	return err
}
