package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mohr.internal/appliance/desk"
	"mohr.internal/display/panel"
)

// screenLimit bounds each wait for the next screen, bootLimit the first one.
const (
	screenLimit = 90 * time.Second
	bootLimit   = 4 * time.Minute
)

// Guest is a machine at which people stand: it knows which screens they have seen.
type Guest struct {
	*Machine
	bench  *Bench
	report *Report
	seen   int // lines of the console
	hands  map[desk.Kind]*Hand
	named  []time.Duration // from an insertion to the holder's name
}

// Next waits for the next screen that kioskd says it has drawn.
func (g *Guest) Next(ctx context.Context, limit time.Duration, what string) (string, time.Time, error) {
	line, mark, err := g.Console.Wait(ctx, limit, what, g.seen, func(s string) bool { return screenID(s) != "" })
	g.seen = mark
	if err != nil {
		return "", time.Time{}, err
	}
	return screenID(line.Text), line.At, nil
}

// Await waits until one of the screens is drawn.
func (g *Guest) Await(ctx context.Context, limit time.Duration, ids ...string) (string, time.Time, error) {
	what := "screen " + strings.Join(ids, " or ")
	for end := time.Now().Add(limit); ; {
		id, at, err := g.Next(ctx, time.Until(end), what)
		if err != nil || slices.Contains(ids, id) {
			return id, at, err
		}
	}
}

// Insert puts a token in.
func (g *Guest) Insert(k desk.Kind) error {
	h, err := g.bench.Insert(g.Machine, k)
	if err == nil {
		g.hands[k] = h
	}
	return err
}

// Remove pulls tokens out.
func (g *Guest) Remove(kinds ...desk.Kind) error {
	for _, k := range kinds {
		h := g.hands[k]
		if h == nil {
			continue
		}
		delete(g.hands, k)
		if err := h.Remove(); err != nil {
			return fmt.Errorf("remove %s: %w", k, err)
		}
	}
	return nil
}

// Off cuts the power. What was plugged in is let go of.
func (g *Guest) Off() {
	g.Kill()
	for _, h := range g.hands {
		h.drop()
	}
	clear(g.hands)
}

// Type presses digits, each when the one before is drawn, and then OK.
func (g *Guest) Type(ctx context.Context, id, digits string) error {
	for _, d := range digits {
		if err := g.Key(d, tap); err != nil {
			return err
		}
		if _, _, err := g.Await(ctx, screenLimit, id); err != nil {
			return fmt.Errorf("typing on screen %s: %w", id, err)
		}
	}
	return g.Key(panel.KeyOK, tap)
}

// again are screens of which one may follow another: each is answered.
var again = []string{"feature", "face", "terms", "review", "notice", "later"}

// Walk answers the screens of a first renewal as a willing citizen and a satisfied
// officer would, with the keypad alone, until one of the screens until.
func (g *Guest) Walk(ctx context.Context, citizen desk.Kind, until ...string) (string, time.Time, error) {
	last := ""
	for {
		id, at, err := g.Next(ctx, screenLimit, fmt.Sprintf("the next screen after %q, on the way to %q", last, until))
		if err != nil {
			return "", at, err
		}
		if id != last {
			g.report.Step("  screen %s", id)
		}
		if slices.Contains(until, id) {
			return id, at, nil
		}
		if id == last && !slices.Contains(again, id) {
			continue
		}
		last = id
		if err := g.answer(ctx, citizen, id); err != nil {
			return "", at, err
		}
	}
}

// answer does on a screen what is to be done there. A screen without a question is
// left alone.
func (g *Guest) answer(ctx context.Context, citizen desk.Kind, id string) error {
	c, o := g.bench.Device(citizen), g.bench.Device(desk.Officer)
	switch id {
	case "token", "later", "review", "notice", "pickup":
		return g.Key(panel.KeyOK, tap)
	case "officer-insert":
		if g.hands[desk.Officer] == nil {
			return g.Insert(desk.Officer)
		}
		return nil
	case "officer-pin":
		return g.Type(ctx, id, o.Card.PIN)
	case "pin":
		return g.Type(ctx, id, c.Card.PIN)
	case "national-id":
		return g.Type(ctx, id, c.Person.NationalID)
	case "document":
		key, err := g.document()
		if err != nil {
			return err
		}
		return g.Key(key, tap)
	case "feature", "face", "terms":
		return g.Key('1', tap)
	case "sign":
		return g.hold(ctx)
	}
	return nil
}

// document is the key of the national card on the page that lists documents.
func (g *Guest) document() (rune, error) {
	for i, d := range g.bench.Place.Profile.Identity.Documents {
		if d.ID == "national-card" {
			return rune('1' + i), nil
		}
	}
	return 0, fmt.Errorf("the profile has no national-card")
}

// hold keeps a finger on OK until the kiosk has gone on.
func (g *Guest) hold(ctx context.Context) error {
	if err := g.press(qcodes[panel.KeyOK], true); err != nil {
		return err
	}
	_, mark, err := g.Console.Wait(ctx, screenLimit, "an end of holding the key", g.seen, func(s string) bool {
		id := screenID(s)
		return id != "" && id != "sign"
	})
	if err == nil {
		g.seen = mark - 1 // the next screen is still to be answered
	}
	if up := g.press(qcodes[panel.KeyOK], false); err == nil {
		err = up
	}
	return err
}

// leave dismisses a last page, takes the tokens out and waits for the first screen.
func (g *Guest) leave(ctx context.Context) error {
	if err := g.Key(panel.KeyOK, tap); err != nil {
		return err
	}
	for k := range g.hands {
		if err := g.Remove(k); err != nil {
			return err
		}
	}
	_, _, err := g.Await(ctx, screenLimit, "idle")
	return err
}
