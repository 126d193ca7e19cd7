package card

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Token is a card in the tester's hand: in the reader or out of it, with knobs,
// a log and a state file. It is safe for concurrent use; a front end carries it
// to a reader.
type Token struct {
	log  *slog.Logger
	path string // state file, or empty

	busy sync.Mutex // one command at a time; taken before mu
	card *Card

	mu       sync.Mutex
	out      chan struct{} // closed while the card is out
	changed  chan struct{} // closed at the next insertion or removal
	commands int
	slow     time.Duration
	faults   []Fault
	atr      []byte
}

// ErrPulled means that the card is out of the reader: no answer.
var ErrPulled = errors.New("card: pulled")

// NewToken puts a card into the tester's hand, inserted. Its state goes into the
// file at path after each command that changes it and before the answer; an
// empty path keeps none. The log gets each command before and after execution,
// no PIN ever; nil logs nothing.
func NewToken(c *Card, path string, log *slog.Logger) *Token {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c.Reset()
	return &Token{card: c, path: path, log: log, out: make(chan struct{}), changed: make(chan struct{})}
}

// Inserted says whether the card is in the reader, and gives a channel that is
// closed when that changes.
func (t *Token) Inserted() (bool, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !closed(t.out), t.changed
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Pull takes the card out, at once, also in the middle of key generation.
func (t *Token) Pull() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !closed(t.out) {
		close(t.out)
		t.turn()
		t.log.Info("card pulled")
	}
}

// Insert puts it back, reset.
func (t *Token) Insert() {
	if in, _ := t.Inserted(); in {
		return
	}
	t.Reset()
	t.mu.Lock()
	defer t.mu.Unlock()
	if closed(t.out) {
		t.out = make(chan struct{})
		t.turn()
		t.log.Info("card inserted")
	}
}

func (t *Token) turn() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// Reset is power off and on.
func (t *Token) Reset() {
	t.busy.Lock()
	defer t.busy.Unlock()
	t.card.Reset()
	t.log.Debug("card reset")
}

// ATR is the answer to reset: usual, unless the knob says otherwise.
func (t *Token) ATR(usual []byte) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.atr != nil {
		return t.atr
	}
	return usual
}

// SetATR makes the card answer another ATR from the next insertion or power-up
// on; nil is the front end's usual one.
func (t *Token) SetATR(atr []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.atr = atr
}

// SetSlow makes each key generation take so much longer.
func (t *Token) SetSlow(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.slow = d
}

// AddFault sets a fault beside those that are set.
func (t *Token) AddFault(f Fault) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = append(t.faults, f)
}

// ClearFaults drops the faults that have not happened.
func (t *Token) ClearFaults() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = nil
}

// Use calls f with the card, between two commands, and saves what f changed.
func (t *Token) Use(f func(*Card)) error {
	t.busy.Lock()
	defer t.busy.Unlock()
	f(t.card)
	return t.save()
}

// Replace puts another card in the place of this one, so quickly that no reader
// sees it. The state file becomes that of the new card.
func (t *Token) Replace(c *Card) error {
	t.busy.Lock()
	defer t.busy.Unlock()
	c.Reset()
	t.card, c.changed = c, true
	return t.save()
}

// Commands is the number of commands so far.
func (t *Token) Commands() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.commands
}

// Transmit has the card answer a command APDU. ErrPulled is no answer; any other
// error means that the state could not be saved, and the front end has to end.
func (t *Token) Transmit(raw []byte) ([]byte, error) {
	t.busy.Lock()
	defer t.busy.Unlock()
	n, out, slow, fault := t.next(raw)
	log := t.log.With("n", n)
	log.Debug("command", "apdu", Describe(raw))
	if fault.PullBefore {
		t.Pull()
	}
	if isGenerate(raw) && slow > 0 {
		log.Debug("key generation is slow", "for", slow)
		select {
		case <-time.After(slow):
		case <-out:
		}
	}
	if closed(out) {
		log.Debug("not executed")
		return nil, ErrPulled
	}
	if fault.Status != 0 {
		log.Debug("fault", "status", fault.Status)
		return fault.Status.answer(nil), nil
	}
	answer := t.card.Transmit(raw)
	if err := t.save(); err != nil {
		return nil, err
	}
	if fault.PullAfter {
		t.Pull()
	}
	log.Debug("executed", "status", fmt.Sprintf("%X", answer[len(answer)-2:]), "data", len(answer)-2, "answered", !closed(out))
	if closed(out) {
		return nil, ErrPulled
	}
	return answer, nil
}

func isGenerate(raw []byte) bool { return len(raw) > 1 && raw[1] == insGenerate }

// next counts the command and takes what is set for it.
func (t *Token) next(raw []byte) (n int, out chan struct{}, slow time.Duration, hit Fault) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.commands++
	var instruction byte
	if len(raw) > 1 {
		instruction = raw[1]
	}
	var left []Fault
	for _, f := range t.faults {
		if f.due(instruction) {
			hit = f
		} else {
			left = append(left, f)
		}
	}
	t.faults = left
	return t.commands, t.out, t.slow, hit
}

func (t *Token) save() error {
	if !t.card.changed || t.path == "" {
		return nil
	}
	return t.card.Save(t.path)
}
