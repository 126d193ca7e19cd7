package kiosk

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"mohr.internal/display"
	"mohr.internal/kiosk/words"
	"mohr.internal/pkcs11"
)

// Surface is where screens are shown and people answer. It knows pixels, touch
// and holding; the ceremony knows none of these.
type Surface interface {
	Show(display.Screen) error
	Inputs() <-chan Input
}

// Input is one answer: the ID of a touched target, or a key of the keypad.
type Input struct {
	Target string // a Choice's ID, or "key:0".."key:9", "key:ok", "key:back"
	Key    rune   // '0'..'9', '\n' ok, '\b' back, 'L' language, 'C' cancel; 0 for a touch
}

// The answers that more than one page offers.
const (
	choiceOK       = "ok"
	choiceCancel   = "cancel"
	choiceYes      = "yes"
	choiceNo       = "no"
	choiceLanguage = "language"
	choiceStaff    = "staff"
)

// page is a screen in a language: it is drawn again when the language changes.
type page func(b *words.Book) display.Screen

// stage shows pages and waits for answers. One goroutine owns it.
type stage struct {
	surface Surface
	log     *slog.Logger
	clock   Clock
	idle    time.Duration // without an answer for so long, the person has left
	waited  time.Duration // for people, the CA and timers: not the kiosk's own time

	mu   sync.Mutex
	lang string
	last string // ID of the page that is up
}

// idleWarning is how long the "are you still there?" page waits.
const idleWarning = 15 * time.Second

func (s *stage) book() *words.Book {
	s.mu.Lock()
	defer s.mu.Unlock()
	return words.In(s.lang)
}

func (s *stage) nextLanguage() {
	s.mu.Lock()
	s.lang = words.After(s.lang)
	s.mu.Unlock()
}

// show draws a page and does not wait. A page that cannot be drawn is an error
// that ends the conversation: nobody may answer a question they cannot see.
func (s *stage) show(p page) error {
	b := s.book()
	screen := p(b)
	screen.Lang, screen.RTL = b.Lang, b.RTL
	if screen.Banner == "" {
		screen.Banner = b.Say("banner.language")
	}
	s.last = screen.ID
	if err := s.surface.Show(screen); err != nil {
		s.log.Error("cannot show screen", "screen", screen.ID, "err", err)
		return refuse(RuleInternal, "screen %q: %w", screen.ID, err)
	}
	return nil
}

// choices are the answers a page offers, by target and by key.
func (s *stage) answer(p page, in Input) (string, bool) {
	screen := p(s.book())
	for _, c := range screen.Choices {
		if in.Target == c.ID || in.Key != 0 && in.Key == c.Key && !c.Hold {
			return c.ID, true
		}
	}
	return "", false
}

// ask shows a page until one of its choices is taken. It ends with the context's
// cause (a removed token, a stop) or with RuleIdle when nobody answers.
func (s *stage) ask(ctx context.Context, p page) (string, error) {
	choice, _, err := s.await(ctx, p, nil, s.idle)
	return choice, err
}

// await is ask that also ends when wake is closed (woken is true then). idle 0
// means to wait for as long as it takes.
func (s *stage) await(ctx context.Context, p page, wake <-chan struct{}, idle time.Duration) (choice string, woken bool, err error) {
	woken, err = s.converse(ctx, p, wake, idle, func(in Input) (bool, error) {
		var ok bool
		choice, ok = s.answer(p, in)
		return ok, nil
	})
	return choice, woken, err
}

// digits shows a page with a field until OK; limit bounds the length. What has
// been typed is passed to the page, so that it decides what of it to show. The
// caller owns and wipes the result; on any error it has been wiped.
func (s *stage) digits(ctx context.Context, limit int, p func(b *words.Book, typed []byte) display.Screen) ([]byte, error) {
	typed := make([]byte, 0, limit) // never grows: no copy is left behind
	current := func(b *words.Book) display.Screen { return p(b, typed) }
	_, err := s.converse(ctx, current, nil, s.idle, func(in Input) (bool, error) {
		switch d, ok := digit(in); {
		case ok && len(typed) < limit:
			typed = append(typed, d)
		case in.Target == "key:back" || in.Key == '\b':
			if len(typed) > 0 {
				typed[len(typed)-1] = 0
				typed = typed[:len(typed)-1]
			}
		case in.Target == "key:ok" || in.Key == '\n':
			return len(typed) > 0, nil
		default:
			if c, ok := s.answer(current, in); ok && c == choiceCancel {
				return false, &Refusal{Rule: RuleCancelled}
			}
			return false, nil
		}
		return false, s.show(current)
	})
	if err != nil {
		pkcs11.Wipe(typed[:cap(typed)])
		return nil, err
	}
	return typed, nil
}

// converse is the common loop: it shows a page, handles the language key and the
// idle end, and gives every other input to take until take says that the
// conversation is over, or until wake is closed. What was pressed before is dropped,
// except where a page that waits for something is only shown again.
func (s *stage) converse(ctx context.Context, p page, wake <-chan struct{}, idle time.Duration,
	take func(Input) (done bool, err error)) (woken bool, err error) {
	if wake == nil || p(s.book()).ID != s.last {
		s.drain()
	}
	if err := s.show(p); err != nil {
		return false, err
	}
	limit, warned := idle, false
	for {
		timeout, stop := after(limit)
		start := s.clock.Now()
		select {
		case <-ctx.Done():
			stop()
			s.rest(start)
			return false, context.Cause(ctx)
		case <-wake:
			stop()
			s.rest(start)
			return true, nil
		case <-timeout:
			s.rest(start)
			if warned {
				return false, &Refusal{Rule: RuleIdle}
			}
			limit, warned = idleWarning, true
			if err := s.show(idleWarningPage); err != nil {
				return false, err
			}
		case in, ok := <-s.surface.Inputs():
			stop()
			s.rest(start)
			switch {
			case !ok:
				return false, errors.New("kiosk: the panel is closed")
			case warned: // the answer was to the warning, whatever it was
				limit, warned = idle, false
				if in.Key == 'L' {
					s.nextLanguage()
				}
				if err := s.show(p); err != nil {
					return false, err
				}
			case in.Key == 'L' || in.Target == choiceLanguage:
				s.nextLanguage()
				if err := s.show(p); err != nil {
					return false, err
				}
			default:
				if in.Key == 'C' {
					in = Input{Target: choiceCancel}
				}
				if done, err := take(in); done || err != nil {
					return false, err
				}
			}
		}
	}
}

// rest adds a wait that has ended.
func (s *stage) rest(start time.Time) { s.waited += s.clock.Now().Sub(start) }

// after is a timer that never fires for d = 0.
func after(d time.Duration) (<-chan time.Time, func() bool) {
	if d == 0 {
		return nil, func() bool { return true }
	}
	t := time.NewTimer(d)
	return t.C, t.Stop
}

// drain drops what was pressed before the page was there: an impatient double
// press must not answer the next question.
func (s *stage) drain() {
	for {
		select {
		case _, ok := <-s.surface.Inputs():
			if !ok {
				return
			}
		default:
			return
		}
	}
}

func digit(in Input) (byte, bool) {
	if in.Key >= '0' && in.Key <= '9' {
		return byte(in.Key), true
	}
	if d, ok := strings.CutPrefix(in.Target, "key:"); ok && len(d) == 1 && d[0] >= '0' && d[0] <= '9' {
		return d[0], true
	}
	return 0, false
}
