package kiosk

import (
	"fmt"
	"image"
	"slices"
	"strings"
	"sync"
	"testing"

	"mohr.internal/display"
)

// fitted remembers screens that were drawn once: drawing is what takes long.
var fitted sync.Map // text and shape of a screen → error or nil

// fits draws a screen on the smallest panel. A QR symbol's size depends on the
// length of its content only.
func fits(s display.Screen) error {
	var input display.Input
	if s.Input != nil {
		input = *s.Input
	}
	text := s.Text()
	if s.QR != "" { // one tracking number is as long as another
		text = strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return '0'
			}
			return r
		}, text)
	}
	key := fmt.Sprintf("%s %v %v %v %d %+v %v", text, s.Lang, s.Mood, s.Choices, len(s.QR), input, s.Token.State)
	if err, seen := fitted.Load(key); seen {
		err, _ := err.(error)
		return err
	}
	_, err := display.Render(s, image.Pt(800, 480))
	fitted.Store(key, err)
	return err
}

// glass is a surface without pixels, with an eye on what must never be shown.
type glass struct {
	t       *testing.T
	journal func() *memJournal
	never   []string // PINs
	private string   // the holder's number, on few pages only
	inputs  chan Input

	mu     sync.Mutex
	shown  []display.Screen
	broken error // Show fails with this
}

func newGlass(t *testing.T, journal func() *memJournal) *glass {
	return &glass{t: t, journal: journal, inputs: make(chan Input, 16)}
}

func (g *glass) Inputs() <-chan Input { return g.inputs }

func (g *glass) Show(s display.Screen) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.broken != nil {
		return g.broken
	}
	text := s.Text()
	if err := fits(s); err != nil {
		g.t.Errorf("screen %q does not fit: %v\n%s", s.ID, err, text)
	}
	if strings.Contains(text, "⟨") {
		g.t.Errorf("screen %q lacks words:\n%s", s.ID, text)
	}
	for _, secret := range g.never {
		if strings.Contains(text, secret) {
			g.t.Errorf("screen %q shows a PIN:\n%s", s.ID, text)
		}
	}
	if g.private != "" && s.ID != "review" && s.ID != "national-id" && strings.Contains(text, g.private) {
		g.t.Errorf("screen %q shows the holder's number in full:\n%s", s.ID, text)
	}
	g.promise(s)
	g.shown = append(g.shown, s)
	return nil
}

// promise holds a screen with a receipt against what is on disk: no screen says
// more than the journal holds.
func (g *glass) promise(s display.Screen) {
	if s.QR == "" {
		if s.ID == "receipt" || s.ID == "accepted" {
			g.t.Errorf("screen %q without a receipt", s.ID)
		}
		return
	}
	if s.ID == "refused" && strings.HasPrefix(s.QR, "MT1:") {
		return // a device, not a receipt
	}
	want := Receipted
	if s.ID == "accepted" {
		want = Loaded
	}
	records := g.journal().parsed()
	at := slices.IndexFunc(records, func(r Record) bool { return r.Receipt == s.QR })
	if at < 0 || records[at].State != want.String() {
		g.t.Errorf("screen %q shows a receipt that is not in the journal as %v", s.ID, want)
		return
	}
	if !slices.ContainsFunc(records[:at], func(r Record) bool { return r.Renewal == records[at].Renewal && r.Request != nil }) {
		g.t.Errorf("screen %q shows a receipt without a request in the journal", s.ID)
	}
}

// now is the screen that is up.
func (g *glass) now() display.Screen {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.shown) == 0 {
		return display.Screen{}
	}
	return g.shown[len(g.shown)-1]
}

// ids are the pages shown so far, each once where it came several times in a row.
func (g *glass) ids() (out []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.shown {
		if len(out) == 0 || out[len(out)-1] != s.ID {
			out = append(out, s.ID)
		}
	}
	return out
}

// count is how many pages were shown.
func (g *glass) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.shown)
}
