package station

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"time"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/journal"
	"mohr.internal/appliance/outboxlink"
	"mohr.internal/appliance/vault"
	"mohr.internal/kiosk"
	"mohr.internal/kiosk/check"
)

// RuleProfile is shown when the profile or the keys cannot be used.
const RuleProfile = "PROFILE"

// Create makes the empty journal of a new station. It is a step of its own so
// that a lost journal is never replaced by an empty one in silence.
func Create(c *config.Kioskd) error {
	j, err := journal.Create(c.Journal.Dir, journal.Options{SegmentBytes: c.Journal.SegmentBytes, Segments: c.Journal.Segments})
	if err != nil {
		return err
	}
	return j.Close()
}

// serve is one life of the station: from opening the journal to its first failure.
func serve(ctx context.Context, c *config.Kioskd, surface *Surface, log *slog.Logger) error {
	clock := NewClock(c.Clock, log)
	storage, err := OpenStorage(c, log)
	if err != nil {
		return err
	}
	defer storage.Close()
	healed := storage.HealedNotes()
	for _, h := range healed {
		log.Warn("journal healed", "what", h)
	}
	ledger, err := kiosk.OpenLedger(storage, clock)
	if err != nil {
		rule := RuleStoreDamaged
		if errors.Is(err, vault.ErrKey) {
			rule = RuleStoreKey
		}
		return &kiosk.Refusal{Rule: rule, Err: err}
	}
	clock.NotBefore(ledger.Proven())
	k, err := assemble(c, clock, log)
	if err != nil {
		return err
	}
	k.Ledger, k.Surface, k.Healed = ledger, surface, healed
	k.Outbox = kiosk.NewOutbox(ledger, k.Profile.Pool(), k.Profile.Intermediates(), clock, log)
	queue := outboxlink.NewQueue(outbox{k.Outbox}, time.Now)
	k.Transport = transport{queue}
	var centre *Fleet
	if c.Fleet != nil {
		if centre, err = newFleet(k, storage, log); err != nil {
			return &kiosk.Refusal{Rule: RuleProfile, Err: err}
		}
	}
	life, stop := context.WithCancel(ctx)
	outbox, fleet := make(chan error, 1), make(chan error, 1)
	go func() {
		defer stop()
		outbox <- serveOutbox(life, c.Outbox, queue, log)
	}()
	go func() {
		if centre == nil {
			fleet <- nil
			return
		}
		defer stop()
		fleet <- centre.serve(life, c.Fleet)
	}()
	err = k.Run(life)
	stop()
	return errors.Join(err, <-outbox, <-fleet)
}

// assemble reads what the ceremony needs from files.
func assemble(c *config.Kioskd, clock *Clock, log *slog.Logger) (*kiosk.Kiosk, error) {
	now := check.Clock{Now: clock.Now(), Proven: clock.Quality() == kiosk.ClockTrusted}
	p, err := readProfile(c.Profile, now)
	if err != nil {
		return nil, &kiosk.Refusal{Rule: RuleProfile, Err: err}
	}
	keys, err := readKeys(c.Keys)
	if err != nil {
		return nil, &kiosk.Refusal{Rule: RuleProfile, Err: err}
	}
	clock.NotBefore(keys.RACert.NotBefore)
	clock.Hold(time.Duration(p.Clock.ProvenHours) * time.Hour)
	to, err := recipient(p, c.CA.Recipient)
	if err != nil {
		return nil, &kiosk.Refusal{Rule: RuleProfile, Err: err}
	}
	return &kiosk.Kiosk{
		Profile: p, Tokens: NewTokens(c.Tokend, log), Clock: clock, Rand: rand.Reader, Keys: keys, Recipient: to,
		CRLs: crls(c.Trust.CRL, func(err error) { log.Warn("no CRL", "err", err) }),
		ID:   c.Kiosk.ID, Number: c.Kiosk.Number, Office: c.Office, Idle: c.IdleTimeout.Std(), Language: c.Language, Log: log,
	}, nil
}

// serveOutbox listens for syncd.
func serveOutbox(ctx context.Context, path string, queue *outboxlink.Queue, log *slog.Logger) error {
	l, err := listen(path)
	if err != nil {
		return err
	}
	go reportStuck(ctx, queue, log)
	if err := outboxlink.Serve(ctx, l, queue, log); ctx.Err() == nil {
		return err
	}
	return nil
}

// stuckReport is how often the log says what cannot be delivered. Each failed try
// by itself would drown everything else in a month without a network.
const stuckReport = 15 * time.Minute

func reportStuck(ctx context.Context, q *outboxlink.Queue, log *slog.Logger) {
	tick := time.NewTicker(stuckReport)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, s := range q.List() {
			log.Warn("stuck", "parcel", s.ID, "since", s.Since, "tries", s.Tries, "answers", s.Answers, "why", s.Why, "next", s.NextTry)
		}
	}
}

// troubleRule is the rule that explains why the station does not serve.
func troubleRule(err error) string {
	var refusal *kiosk.Refusal
	if errors.As(err, &refusal) {
		return refusal.Rule
	}
	return kiosk.RuleInternal
}
