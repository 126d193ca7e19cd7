package demo

import (
	"context"
	"fmt"
	"slices"

	"mohr.internal/appliance/desk"
	"mohr.internal/display/panel"
)

// script is what a citizen and an officer do at the counter.
type script struct {
	world   *desk.World
	people  *desk.People
	report  *report
	citizen *desk.Device
	officer *desk.Device
}

// end screens: nothing more is asked.
var ends = []string{"accepted", "refused", "trouble", "remove"}

// renew goes from the citizen's token to the screen named until, pressing what a
// willing citizen and a satisfied officer press. It returns the shot of that screen.
func (s *script) renew(ctx context.Context, until string) (desk.Shot, error) {
	seen := uint64(0)
	for {
		shot, err := s.people.Wait(ctx, "the next question", func(shot desk.Shot) bool {
			return shot.Seq > seen && (shot.ID == until || slices.Contains(ends, shot.ID) || answers[shot.ID] != nil)
		})
		if err != nil {
			return shot, err
		}
		if shot.ID == until {
			s.report.step("%-15s %s", shot.ID, shot.Title)
			return shot, nil
		}
		answer := answers[shot.ID]
		if answer == nil {
			return shot, fmt.Errorf("wanted screen %q, the ceremony ended with %q:\n%s", until, shot.ID, shot.Text)
		}
		s.report.step("%-15s %s", shot.ID, shot.Title)
		if err := answer(ctx, s); err != nil {
			return shot, err
		}
		// What the answer itself changed on the same screen is no new question.
		latest, err := s.people.Wait(ctx, "an answer to "+shot.ID, func(l desk.Shot) bool {
			return l.ID != shot.ID || l.Text != shot.Text && !typing[shot.ID]
		})
		if err != nil {
			return shot, err
		}
		seen = latest.Seq - 1
	}
}

// typing are the screens with a field: their text changes with every digit.
var typing = map[string]bool{"pin": true, "officer-pin": true, "national-id": true}

// answers say what people do at each screen.
var answers = map[string]func(ctx context.Context, s *script) error{
	"token":          press("ok"),
	"later":          press("ok"),
	"pickup":         press("ok"),
	"officer-insert": func(ctx context.Context, s *script) error { return s.world.Insert(ctx, s.officer.Kind) },
	"officer-pin":    func(ctx context.Context, s *script) error { return s.enter(ctx, s.officer.Token.PIN) },
	"document":       key('1'),
	"national-id":    func(ctx context.Context, s *script) error { return s.enter(ctx, s.citizen.Person.NationalID) },
	"feature":        press("yes"),
	"face":           press("yes"),
	"terms":          press("yes"),
	"review":         press("ok"),
	"sign":           func(ctx context.Context, s *script) error { return s.people.Hold(ctx, "ok") },
	"pin":            func(ctx context.Context, s *script) error { return s.enter(ctx, s.citizen.Token.PIN) },
}

func press(target string) func(context.Context, *script) error {
	return func(_ context.Context, s *script) error { return s.people.Press(target) }
}

func key(k rune) func(context.Context, *script) error {
	return func(_ context.Context, s *script) error { return s.people.Key(k) }
}

func (s *script) enter(ctx context.Context, digits string) error {
	if err := s.people.Type(ctx, digits); err != nil {
		return err
	}
	return s.people.Key(panel.KeyOK)
}
