package demo

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"mohr.internal/appliance/desk"
)

// Options of Run. All must be set.
type Options struct {
	Out      string // folder for screens and examined files; emptied first
	Language string
	Programs desk.Programs
	Mohrctl  string // this program, run as a stranger would run it
	Print    io.Writer
}

// Run plays the demo and returns how many examinations failed. An error means
// that it could not be played to the end.
func Run(ctx context.Context, o Options) (failed int, err error) {
	r := &report{out: o.Print, start: time.Now()}
	if err := os.RemoveAll(o.Out); err != nil {
		return 0, err
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "mohr-demo")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	r.title("A place: CA, citizen's token (20 days left), officer's token, kiosk keys, signed profile")
	place, err := desk.Provision(ctx, desk.Options{
		Dir: dir, Time: time.Now(), Kinds: []desk.Kind{desk.Citizen, desk.Officer, desk.Second}, Language: o.Language, RSA: true,
	})
	if err != nil {
		return 0, err
	}
	r.step("made in %s", dir)
	world, err := desk.NewWorld(place, o.Programs, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		return 0, err
	}
	defer world.Close()
	recorder, err := desk.NewRecorder(world.Glass, filepath.Join(o.Out, "screens"), time.Now)
	if err != nil {
		return 0, err
	}
	if err := world.On(ctx); err != nil {
		return 0, err
	}
	r.step("kioskd, tokend and syncd are running")

	first := &script{world: world, people: world.People(), report: r, citizen: place.Device(desk.Citizen), officer: place.Device(desk.Officer)}
	r.title("First renewal, CA at hand")
	start := time.Now()
	if err := world.Insert(ctx, desk.Citizen); err != nil {
		return 0, err
	}
	accepted, err := first.renew(ctx, "accepted")
	if err != nil {
		return 0, err
	}
	r.figure("renewal_wall_s", "%.2f", time.Since(start).Seconds())
	if err := first.leave(ctx, first.citizen, first.officer); err != nil {
		return 0, err
	}

	r.title("Second citizen: no network, power cut, delivery, return")
	second := &script{world: world, people: world.People(), report: r, citizen: place.Device(desk.Second), officer: place.Device(desk.Officer)}
	recorded, err := second.offline(ctx)
	if err != nil {
		return 0, err
	}
	seen, err := recorder.Close()
	if err != nil {
		return 0, err
	}
	r.figure("screens_written", "%d", len(seen))
	if err := r.ceremonyFigures(place.LogFile("kioskd")); err != nil {
		return 0, err
	}

	r.title("Examined from outside")
	x := &outside{place: place, world: world, out: o.Out, mohrctl: o.Mohrctl, report: r}
	x.all(ctx, recorded, accepted)
	r.figure("demo_wall_s", "%.1f", time.Since(r.start).Seconds())
	r.end()
	return r.failed, nil
}

// leave dismisses the last receipt, takes the tokens out and waits for the idle
// screen.
func (s *script) leave(ctx context.Context, tokens ...*desk.Device) error {
	if err := s.people.Press("ok"); err != nil {
		return err
	}
	if _, err := s.people.WaitScreen(ctx, "remove"); err != nil {
		return err
	}
	for _, d := range tokens {
		if err := s.world.Remove(ctx, d.Kind); err != nil {
			return err
		}
	}
	_, err := s.people.WaitScreen(ctx, "idle")
	return err
}

// offline renews without a network, cuts the power while the receipt is on the
// screen, and has the citizen return after the request has been delivered. It
// returns the picture of the receipt.
func (s *script) offline(ctx context.Context) (recorded desk.Shot, err error) {
	if err := s.world.Network(false); err != nil {
		return recorded, err
	}
	s.report.step("network off")
	if err := s.world.Insert(ctx, s.citizen.Kind); err != nil {
		return recorded, err
	}
	if recorded, err = s.renew(ctx, "receipt"); err != nil {
		return recorded, err
	}
	for _, d := range []*desk.Device{s.citizen, s.officer} {
		if err := s.world.Remove(ctx, d.Kind); err != nil {
			return recorded, err
		}
	}
	s.report.step("tokens out; power cut (kill -9 of everything)")
	if err := s.world.PowerCut(ctx); err != nil {
		return recorded, err
	}
	if _, err := s.people.WaitScreen(ctx, "idle"); err != nil {
		return recorded, err
	}
	issued := len(s.world.CA.Issued())
	if err := s.world.Network(true); err != nil {
		return recorded, err
	}
	s.report.step("network on")
	if err := until(ctx, 20*time.Second, func() bool { return len(s.world.CA.Issued()) > issued }); err != nil {
		return recorded, fmt.Errorf("the stored request was not delivered: %w\n%s", err, s.world.Tail())
	}
	s.report.step("delivered; the citizen returns")
	if err := s.world.Insert(ctx, s.citizen.Kind); err != nil {
		return recorded, err
	}
	if _, err := s.renew(ctx, "accepted"); err != nil {
		return recorded, err
	}
	return recorded, s.leave(ctx, s.citizen)
}

// until polls a condition of the world outside.
func until(ctx context.Context, limit time.Duration, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}
