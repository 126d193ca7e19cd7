package desk

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mohr.internal/display/panel"
)

// People are scripted: they read what is on the Glass and press what they see there. They know the
// screens' IDs and targets, and nothing else of the kiosk.
//
// A People is one pair of hands: one goroutine uses it at a time.
type People struct {
	Glass *Glass
	// Patience bounds each wait; zero means a minute.
	Patience time.Duration
	// Complaint adds to an error what is known elsewhere, such as the end of the programs' logs.
	Complaint func() string
}

// answerTime is how long People wait for the picture to change after a key before they go on: some
// keys change nothing.
const answerTime = 2 * time.Second

// WaitScreen waits until one of the screens is on the glass.
func (p *People) WaitScreen(ctx context.Context, ids ...string) (Shot, error) {
	return p.Wait(ctx, "screen "+strings.Join(ids, " or "), func(s Shot) bool { return slices.Contains(ids, s.ID) })
}

// WaitText waits until a screen shows all of the words.
func (p *People) WaitText(ctx context.Context, words ...string) (Shot, error) {
	return p.Wait(ctx, fmt.Sprintf("a screen with %q", words), func(s Shot) bool {
		for _, w := range words {
			if !strings.Contains(s.Text, w) {
				return false
			}
		}
		return true
	})
}

// WaitDark waits until no kiosk is connected to the panel.
func (p *People) WaitDark(ctx context.Context) error {
	_, err := p.wait(ctx, "the screen to go dark", func(_ Shot, lit bool) bool { return !lit })
	return err
}

// Wait waits until the picture is right. what says for error messages what is waited for.
func (p *People) Wait(ctx context.Context, what string, right func(Shot) bool) (Shot, error) {
	return p.wait(ctx, what, func(s Shot, lit bool) bool { return lit && right(s) })
}

func (p *People) wait(ctx context.Context, what string, right func(Shot, bool) bool) (Shot, error) {
	patience := p.Patience
	if patience == 0 {
		patience = time.Minute
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		changed := p.Glass.Changed()
		shot, lit := p.Glass.Latest()
		if right(shot, lit) {
			return shot, nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return Shot{}, p.complain("waited %v in vain for %s", patience, what)
		case <-ctx.Done():
			return Shot{}, p.complain("waiting for %s: %w", what, ctx.Err())
		}
	}
}

// complain is an error that says what is on the glass.
func (p *People) complain(format string, args ...any) error {
	seen := "the glass is dark"
	if shot, lit := p.Glass.Latest(); lit {
		seen = fmt.Sprintf("on the glass is %q:\n%s", shot.ID, shot.Text)
	}
	if p.Complaint != nil {
		seen += "\n" + p.Complaint()
	}
	return fmt.Errorf("desk: "+format+"; %s", append(args, seen)...)
}

// Press touches the middle of a target that is on the glass, down and up.
func (p *People) Press(target string) error {
	at, err := p.aim(target)
	if err != nil {
		return err
	}
	if err := p.Glass.Send(panel.Event{Kind: panel.TouchDown, X: at.X, Y: at.Y}); err != nil {
		return p.complain("press %q: %w", target, err)
	}
	if err := p.Glass.Send(panel.Event{Kind: panel.TouchUp, X: at.X, Y: at.Y}); err != nil {
		return p.complain("press %q: %w", target, err)
	}
	return nil
}

// Hold keeps a finger on a target until the target is gone or another screen is there, then lifts it.
func (p *People) Hold(ctx context.Context, target string) error {
	at, err := p.aim(target)
	if err != nil {
		return err
	}
	before, _ := p.Glass.Latest()
	if err := p.Glass.Send(panel.Event{Kind: panel.TouchDown, X: at.X, Y: at.Y}); err != nil {
		return p.complain("hold %q: %w", target, err)
	}
	_, err = p.wait(ctx, "an end of holding "+target, func(s Shot, lit bool) bool {
		_, there := s.Target(target)
		return !lit || s.ID != before.ID || !there
	})
	p.Glass.Lift()
	return err
}

// aim returns the event for the middle of a target of the picture that is on the glass.
func (p *People) aim(target string) (panel.Event, error) {
	shot, lit := p.Glass.Latest()
	if !lit {
		return panel.Event{}, p.complain("press %q: %w", target, errDark)
	}
	r, ok := shot.Target(target)
	if !ok {
		var ids []string
		for _, t := range shot.Targets {
			ids = append(ids, t.ID)
		}
		return panel.Event{}, p.complain("screen %q has no target %q, only %q", shot.ID, target, ids)
	}
	m := r.Min.Add(r.Max).Div(2)
	return panel.Event{X: m.X, Y: m.Y}, nil
}

// Key presses one key of the keypad: a digit, panel.KeyOK, panel.KeyBack, panel.KeyLanguage or panel.KeyCancel.
func (p *People) Key(key rune) error {
	if err := p.Glass.Send(panel.Event{Kind: panel.Key, Key: key}); err != nil {
		return p.complain("key %q: %w", key, err)
	}
	if err := p.Glass.Send(panel.Event{Kind: panel.KeyUp, Key: key}); err != nil {
		return p.complain("key %q: %w", key, err)
	}
	return nil
}

// Type types digits on the keypad. After each it waits for the picture to answer, so that on return the
// field shows all of them.
func (p *People) Type(ctx context.Context, digits string) error {
	for _, d := range digits {
		changed := p.Glass.Changed()
		if err := p.Key(d); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-time.After(answerTime):
		case <-ctx.Done():
			return p.complain("typing: %w", ctx.Err())
		}
	}
	return nil
}
