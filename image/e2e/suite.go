package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mohr.internal/appliance/desk"
	"mohr.internal/kiosk/receipt"
)

// Suite is all that the scenarios share.
type Suite struct {
	settings
	report *Report
	dir    string // throw-away: disks, sites
}

// site makes the world of one kiosk.
func (s *Suite) site(ctx context.Context, name string, kinds ...desk.Kind) (*Bench, error) {
	return NewBench(ctx, filepath.Join(s.dir, name), filepath.Join(s.out, name+"-host.log"), kinds...)
}

// boot switches a guest on and waits for its first screen. QEMU's own failures, in
// which the guest's kernel says nothing or dies, are tried once more, and counted.
func (s *Suite) boot(ctx context.Context, b *Bench, o Options, first ...string) (*Guest, time.Duration, error) {
	o.Out = s.out
	if len(first) == 0 {
		first = []string{"idle"}
	}
	for try := 1; ; try++ {
		m, err := Start(ctx, o)
		if err != nil {
			return nil, 0, err
		}
		g := &Guest{Machine: m, bench: b, report: s.report, hands: map[desk.Kind]*Hand{}}
		id, at, err := g.Await(ctx, bootLimit, append(slices.Clone(first), "trouble")...)
		if err == nil && !slices.Contains(first, id) {
			err = fmt.Errorf("the first screen is %s; the console's last lines:\n%s", id, g.Console.Tail(tailLines))
		}
		if err == nil {
			return g, at.Sub(m.Started), nil
		}
		broken := emulatorFailed(m.Console)
		g.Off()
		if broken == "" || try == 2 || ctx.Err() != nil {
			return nil, 0, fmt.Errorf("boot of %s: %w", o.Name, err)
		}
		s.report.Step("the emulator failed, not the image (%s); tried once more", broken)
		s.report.Figure("emulator_failures", "1 (%s: %s)", o.Name, broken)
	}
}

// emulatorFailed says why a boot failed although no program of ours had begun, or
// nothing.
func emulatorFailed(c *Console) string {
	switch {
	case c.Count(0, "Oops: int3") > 0:
		return "kernel Oops: int3, a known failure of TCG"
	case c.Count(0, "init: ") == 0 && c.Count(0, "Linux version") == 0:
		return "no kernel was started"
	}
	return ""
}

// reads takes the receipt off the guest's display and has it verified by mohrctl.
func (s *Suite) reads(ctx context.Context, g *Guest, name, state string) (receipt.Receipt, error) {
	p, err := g.shot(ctx, name)
	if err != nil {
		return receipt.Receipt{}, s.report.Check("screendump "+name, err)
	}
	text, err := p.QR()
	if s.report.Check(name+": the QR code is read from the guest's display", err) != nil {
		return receipt.Receipt{}, err
	}
	if err := os.WriteFile(filepath.Join(s.out, name+".txt"), []byte(text+"\n"), 0o644); err != nil {
		return receipt.Receipt{}, err
	}
	other, err := run(ctx, "zbarimg", "--quiet", "--raw", p.File)
	if err == nil && strings.TrimSpace(string(other)) != text {
		err = errors.New("it reads something else")
	}
	s.report.Check(name+": zbarimg reads the same", err)
	said, err := run(ctx, s.mohrctl, "verify", "-trust", g.bench.Place.TrustFile(), text)
	if err == nil && !strings.Contains(string(said), state) {
		err = fmt.Errorf("said %q", said)
	}
	if s.report.Check(name+": mohrctl verify says "+state, err) != nil {
		return receipt.Receipt{}, err
	}
	r, _, err := g.bench.Place.Trust.Verify(text)
	if err != nil {
		return receipt.Receipt{}, s.report.Check(name+": receipt", err)
	}
	return r, nil
}

// shot takes a screendump that shows something.
func (g *Guest) shot(ctx context.Context, name string) (*Picture, error) {
	// kioskd logs a screen when it is rendered, a moment before it is on the panel.
	for try := 0; ; try++ {
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		p, err := g.Screendump(name)
		if err == nil {
			err = p.Lit()
		}
		if err == nil || try == 10 {
			return p, err
		}
	}
}

// renew carries a citizen from the first screen to the screen until.
func (s *Suite) renew(ctx context.Context, g *Guest, citizen desk.Kind, until string) error {
	put := time.Now()
	if err := g.Insert(citizen); err != nil {
		return err
	}
	id, at, err := g.Await(ctx, screenLimit, "token", "refused")
	if err != nil || id != "token" {
		return errors.Join(err, fmt.Errorf("after insertion the screen is %q; the console's last lines:\n%s", id, g.Console.Tail(tailLines)))
	}
	s.report.Step("  inserted to holder's name: %.1f s", at.Sub(put).Seconds())
	g.named = append(g.named, at.Sub(put))
	if _, err := g.shot(ctx, "token"); err != nil {
		return err
	}
	if err := g.answer(ctx, citizen, "token"); err != nil {
		return err
	}
	id, _, err = g.Walk(ctx, citizen, until, "refused", "trouble", "remove")
	if err == nil && id != until {
		g.shot(ctx, "unexpected-"+id)
		err = fmt.Errorf("wanted screen %q, the ceremony ended with %q; the console's last lines:\n%s", until, id, g.Console.Tail(tailLines))
	}
	return err
}
