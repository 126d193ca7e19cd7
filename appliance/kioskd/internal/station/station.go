package station

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/journal"
	"mohr.internal/appliance/outboxlink"
	"mohr.internal/appliance/vault"
	"mohr.internal/display"
	"mohr.internal/display/panel"
	"mohr.internal/kiosk"
	"mohr.internal/kiosk/check"
)

// RuleProfile is shown when the profile or the keys cannot be used.
const RuleProfile = "PROFILE"

// troubleWait is how long a trouble screen stays before everything is tried anew.
const troubleWait = 2 * time.Second

// Create makes the empty journal of a new station. It is a step of its own so
// that a lost journal is never replaced by an empty one in silence.
func Create(c *config.Kioskd) error {
	j, err := journal.Create(c.Journal.Dir, journal.Options{SegmentBytes: c.Journal.SegmentBytes, Segments: c.Journal.Segments})
	if err != nil {
		return err
	}
	return j.Close()
}

// Run serves until ctx ends. Whatever keeps the station from serving is on the
// screen, in words, and is tried anew until it is gone.
func Run(ctx context.Context, c *config.Kioskd, log *slog.Logger) error {
	p, err := dialPanel(ctx, c.Panel, log)
	if err != nil {
		return err
	}
	defer p.Close()
	surface := NewSurface(p, log, func(s display.Screen, took time.Duration) {
		log.Info("screen", "id", s.ID, "lang", s.Lang, "render_us", took.Microseconds())
	})
	for ctx.Err() == nil {
		err := serve(ctx, c, surface, log)
		if ctx.Err() != nil {
			break
		}
		log.Error("out of service", "err", err)
		if err := surface.Show(kiosk.TroublePage(troubleRule(err), c.Language)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(troubleWait):
		}
	}
	return nil
}

// dialPanel waits for the panel for as long as it takes: a kiosk without a screen
// can do nothing else.
func dialPanel(ctx context.Context, c config.Panel, log *slog.Logger) (panel.Panel, error) {
	for {
		each, cancel := context.WithTimeout(ctx, 5*time.Second)
		p, err := panel.Dial(each, c.Path)
		cancel()
		if err == nil {
			return p, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		log.Warn("waiting for the panel", "err", err)
	}
}

// serve is one life of the station: from opening the journal to its first failure.
func serve(ctx context.Context, c *config.Kioskd, surface *Surface, log *slog.Logger) error {
	clock := NewClock(c.Clock)
	storage, err := OpenStorage(c, log)
	if err != nil {
		return err
	}
	defer storage.Close()
	healed := storage.HealedNotes()
	for _, h := range healed {
		log.Warn("journal healed", "what", h)
	}
	if storage.Free() < minFree {
		return &kiosk.Refusal{Rule: kiosk.RuleStoreFull, Err: fmt.Errorf("station: %d bytes free in the journal", storage.Free())}
	}
	ledger, err := kiosk.OpenLedger(storage, clock)
	if err != nil {
		rule := RuleStoreDamaged
		if errors.Is(err, vault.ErrKey) {
			rule = RuleStoreKey
		}
		return &kiosk.Refusal{Rule: rule, Err: err}
	}
	k, err := assemble(c, clock, log)
	if err != nil {
		return err
	}
	k.Ledger, k.Surface, k.Healed = ledger, surface, healed
	k.Outbox = kiosk.NewOutbox(ledger, k.Profile.Pool(), k.Profile.Intermediates(), clock, log)
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
		outbox <- serveOutbox(life, c.Outbox, k.Outbox, log)
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

// minFree is the room a whole renewal needs, several times over: with less, no
// citizen is begun with.
const minFree = 512 << 10

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
func serveOutbox(ctx context.Context, path string, box *kiosk.Outbox, log *slog.Logger) error {
	l, err := listen(path)
	if err != nil {
		return err
	}
	queue := outboxlink.NewQueue(outbox{box}, time.Now)
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
