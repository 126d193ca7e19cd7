package kiosk

import (
	"context"
	"fmt"
	"time"
)

// LogEnd names the last record of a log, and with it all before: of this journal,
// or of another one that was published under this kiosk's name.
type LogEnd struct {
	Journal [8]byte  `cbor:"0,keyasint"`
	Seq     uint64   `cbor:"1,keyasint"`
	Hash    [32]byte `cbor:"2,keyasint"`
}

// String is what an officer reads out to head office.
func (e LogEnd) String() string { return fmt.Sprintf("%x/%d/%x", e.Journal[:4], e.Seq, e.Hash[:4]) }

// fork is the ledger's memory of a centre that has another log of this kiosk.
type fork struct {
	known   *LogEnd // where that log ends, by the newest record; nil: no alarm
	told    LogEnd  // where it ends by the newest report
	reports int     // since the start
	cleared *LogEnd // the end that an officer left behind last
}

// apply brings a record of the station into the memory.
func (f *fork) apply(r Record) {
	switch r.Event {
	case EventFork:
		f.known, f.told = r.Foreign, *r.Foreign
	case EventForkCleared:
		f.known, f.cleared = nil, r.Foreign
	}
}

// Forked is told that the centre's log of this kiosk ends at a record that is not in
// the journal: the card was copied, rolled back or replaced. The first report is
// journaled, and from then on nobody is begun with until an officer clears it.
func (l *Ledger) Forked(theirs LogEnd) error {
	l.mu.Lock()
	if c := l.fork.cleared; c != nil && *c == theirs { // crossed the clearing
		l.mu.Unlock()
		return nil
	}
	first := l.fork.known == nil
	l.fork.told = theirs
	l.fork.reports++
	if !first {
		l.wake()
	}
	l.mu.Unlock()
	if !first {
		return nil
	}
	return l.noteFork(theirs)
}

// Agreed is told that the centre's log ends in this journal after all. That clears
// no alarm; an officer then may.
func (l *Ledger) Agreed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fork.known != nil {
		l.fork.reports++
		l.wake()
	}
}

// Fork says where the centre's other log of this kiosk ends, as far as is known now,
// if there is one that no officer has cleared.
func (l *Ledger) Fork() (theirs LogEnd, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fork.told, l.fork.known != nil
}

// ForkCleared is the end of the last log that an officer left behind.
func (l *Ledger) ForkCleared() (theirs LogEnd, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fork.cleared == nil {
		return LogEnd{}, false
	}
	return *l.fork.cleared, true
}

// forkNow is all that is known about a fork.
func (l *Ledger) forkNow() fork {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fork
}

func (l *Ledger) noteFork(theirs LogEnd) error {
	return l.note(RenewalID{}, EventFork, func(r *Record) { r.Rule, r.Foreign = RuleFleetFork, &theirs })
}

// alarm is on the screen while the centre has another log of this kiosk. It returns
// when wake is closed, or when an officer has tried to clear it.
func (k *Kiosk) alarm(ctx context.Context, theirs LogEnd, wake <-chan struct{}) error {
	choice, _, err := k.stage.await(ctx, forkPage(k.ID, theirs), wake, 0)
	if err != nil || choice != choiceOK {
		return err
	}
	defer func() { k.stage.lang = k.Language }()
	err = k.clearFork(ctx)
	if err == nil || ctx.Err() != nil || k.Ledger.Failed() != nil {
		return err
	}
	k.Log.Info("alarm not cleared", "rule", ruleOf(err), "err", err)
	rule := ruleOf(err)
	if err := k.turnAway(err); ruleOf(err) != rule {
		return err
	}
	_, _, err = k.stage.await(ctx, refusalPage(rule, 0), nil, k.Idle)
	if ruleOf(err) == RuleIdle {
		return nil
	}
	return err
}

// centreWait is how long the centre is given to say anew where its log ends. The
// officer's PIN is a record, which wakes whoever asks it.
const centreWait = 30 * time.Second

// clearFork lets an officer put the alarm out. The kiosk cannot know what happened
// to its card, head office can. What it can know it insists on: the centre is asked
// anew, and the other log must not have grown since the alarm, or since the last
// try; if it has, another kiosk is at work under this one's name.
func (k *Kiosk) clearFork(ctx context.Context) error {
	before := k.Ledger.forkNow()
	if before.known == nil {
		return nil
	}
	o, ctx, release, err := k.signIn(ctx, &citizen{}, RenewalID{})
	if err != nil {
		return err
	}
	defer release()
	if err := k.askCentre(ctx, before.reports); err != nil {
		return k.removedOr(ctx, err)
	}
	if err := k.goOn(ctx, forkClearPage(k.ID, *before.known)); err != nil {
		return k.removedOr(ctx, err)
	}
	if err := k.stillThere(ctx, o); err != nil {
		return k.removedOr(ctx, err)
	}
	if err := k.sameEnd(); err != nil { // the page may have been up for long
		return err
	}
	k.Log.Warn("alarm cleared by an officer", "theirs", *before.known)
	return k.Ledger.note(RenewalID{}, EventForkCleared, func(r *Record) { r.Foreign, r.Officer = before.known, o.hash() })
}

// askCentre waits for the next report of where the other log ends.
func (k *Kiosk) askCentre(ctx context.Context, reports int) error {
	silent := &Refusal{Rule: RuleFleetOffline}
	ctx, cancel := context.WithTimeoutCause(ctx, centreWait, silent)
	defer cancel()
	for {
		changed := k.Ledger.Changed()
		if now := k.Ledger.forkNow(); now.reports != reports {
			return k.sameEnd()
		}
		if _, _, err := k.stage.await(ctx, working("fork-asking", 1, 1), changed, 0); err != nil {
			return err
		}
	}
}

// sameEnd refuses while the other log grows. What it has grown to is journaled, so
// the next try compares with that.
func (k *Kiosk) sameEnd() error {
	now := k.Ledger.forkNow()
	if now.known == nil || now.told == *now.known {
		return nil
	}
	if err := k.Ledger.noteFork(now.told); err != nil {
		return err
	}
	return refuse(RuleFleetClone, "the centre's log grew from %v to %v", *now.known, now.told)
}
