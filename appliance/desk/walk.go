package desk

import (
	"context"
	"fmt"
	"slices"
)

// Acts say what to do on each screen, by its ID. A screen without an act is looked at and left alone, as
// one that says that the kiosk is busy.
type Acts map[string]func(Shot) error

// Walk acts on each screen as it comes until one of the screens until is there, which it returns. A
// screen that comes again with other words, such as the next of several questions, is acted on again.
// step, if not nil, is told of each screen.
func (p *People) Walk(ctx context.Context, acts Acts, step func(Shot), until ...string) (Shot, error) {
	last := ""
	for {
		shot, err := p.Wait(ctx, fmt.Sprintf("the next screen, on the way to %q", until), func(s Shot) bool { return face(s) != last })
		if err != nil {
			return Shot{}, err
		}
		last = face(shot)
		if step != nil {
			step(shot)
		}
		if slices.Contains(until, shot.ID) {
			return shot, nil
		}
		if act := acts[shot.ID]; act != nil {
			if err := act(shot); err != nil {
				return Shot{}, err
			}
		}
	}
}

// Renewal are the acts of a citizen and an officer at a first renewal, from the inserted citizen's token
// to the receipt. They press what they see; the tokens they put in by themselves.
func (w *World) Renewal(ctx context.Context, p *People, citizen, officer Kind) Acts {
	c, o := w.Place.Device(citizen), w.Place.Device(officer)
	press := func(target string) func(Shot) error { return func(Shot) error { return p.Press(target) } }
	enter := func(digits string) func(Shot) error {
		return func(Shot) error {
			if err := p.Type(ctx, digits); err != nil {
				return err
			}
			return p.Press("key:ok")
		}
	}
	return Acts{
		"token":          press("ok"),
		"later":          press("ok"),
		"officer-insert": func(Shot) error { return w.Insert(ctx, officer) },
		"officer-pin":    enter(o.Token.PIN),
		"document":       press("national-card"),
		"national-id":    enter(c.Person.NationalID),
		"feature":        press("yes"),
		"face":           press("yes"),
		"terms":          press("yes"),
		"review":         press("ok"),
		"sign":           func(Shot) error { return p.Hold(ctx, "ok") },
		"pickup":         press("ok"),
		"pin":            enter(c.Token.PIN),
	}
}
