package trial

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"mohr.internal/display"
	"mohr.internal/kiosk"
	"mohr.internal/kiosk/cmp/cmptest"
)

// patience is how long people wait for a page before something is wrong.
const patience = 2 * time.Minute

// glass is a surface without pixels. Every receipt it shows is noted: the world
// has seen it.
type glass struct {
	c      *counter
	inputs chan kiosk.Input
	pages  chan display.Screen

	mu    sync.Mutex
	shown []string
	now   display.Screen
}

func newGlass(c *counter) *glass {
	return &glass{c: c, inputs: make(chan kiosk.Input, 64), pages: make(chan display.Screen, 1024)}
}

// Inputs implements kiosk.Surface.
func (g *glass) Inputs() <-chan kiosk.Input { return g.inputs }

// Show implements kiosk.Surface.
func (g *glass) Show(s display.Screen) error {
	if s.QR != "" && s.ID != "refused" { // that is a device's
		if err := g.c.note(note{What: shown, Text: s.QR}); err != nil {
			return err
		}
	}
	g.mu.Lock()
	g.now = s
	if n := len(g.shown); n == 0 || g.shown[n-1] != s.ID {
		g.shown = append(g.shown, s.ID)
	}
	g.mu.Unlock()
	select {
	case g.pages <- s:
		return nil
	default:
		return fmt.Errorf("nobody looks at page %q: a loop?", s.ID)
	}
}

func (g *glass) ids() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.shown)
}

func (g *glass) current() display.Screen {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

// await takes pages until one for which ok is true.
func (c *counter) await(ok func(display.Screen) bool) (display.Screen, error) {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case s := <-c.glass.pages:
			if ok(s) {
				return s, nil
			}
		case err := <-c.ended:
			c.ended <- err
			return display.Screen{}, fmt.Errorf("kiosk ended with %w", err)
		case <-timeout.C:
			return display.Screen{}, fmt.Errorf("stuck; pages so far %q", c.glass.ids())
		}
	}
}

func (c *counter) touch(target string) { c.glass.inputs <- kiosk.Input{Target: target} }

func (c *counter) enter(digits string) {
	for _, d := range digits {
		c.touch("key:" + string(d))
	}
	c.touch("key:ok")
}

// visit is what one citizen wants, beside a good day.
type visit struct {
	citizen int
	offline bool              // nothing reaches the CA while the citizen is there
	instead map[string]string // what to do, once, on a page: a target, or "wrong", a wrong PIN
}

// attend has a citizen come, be served and go. The kiosk is idle before and after.
func (c *counter) attend(v visit) error {
	if err := c.note(note{What: visited, Seq: uint64(v.citizen)}); err != nil {
		return err
	}
	c.online = !v.offline
	defer func() { c.online = false }()
	who, officer := c.sticks[v.citizen], c.sticks[officerStick]
	if who.device == "" {
		c.ports.insert(who, kiosk.RoleCitizen)
	}
	done := map[string]bool{}
	left := false
	for {
		s, err := c.await(func(s display.Screen) bool {
			return s.ID == "idle" && left || len(s.Choices) > 0 && s.ID != "idle" || s.Input != nil || s.ID == "officer-insert" || s.ID == "remove"
		})
		if err != nil {
			return err
		}
		if instead := v.instead[s.ID]; instead != "" && !done[s.ID] && typed(s) == "" {
			done[s.ID] = true
			if instead == "wrong" {
				c.enter(wrongPIN)
			} else {
				c.touch(instead)
			}
			continue
		}
		switch s.ID {
		case "idle":
			return nil
		case "officer-insert":
			c.ports.insert(officer, kiosk.RoleOfficer)
		case "remove":
			left = true
			c.ports.pull(who)
			c.ports.pull(officer)
		case "officer-pin", "pin", "national-id":
			if typed(s) == "" {
				c.enter(map[string]string{"officer-pin": officerPIN, "pin": citizenPIN, "national-id": c.fix.Numbers[v.citizen]}[s.ID])
			}
		case "document":
			c.touch(s.Choices[0].ID)
		case "feature", "face", "terms", "pin-low":
			c.touch("yes")
		case "receipt":
			if v.offline {
				c.touch("ok")
				continue
			}
			if err := c.deliverHere(); err != nil {
				return err
			}
		default:
			c.touch("ok")
		}
	}
}

func typed(s display.Screen) string {
	if s.Input == nil {
		return ""
	}
	return s.Input.Value
}

// deliverHere delivers while the receipt is on the screen and nothing else comes.
func (c *counter) deliverHere() error {
	for waited := time.Duration(0); waited < patience; waited += 20 * time.Millisecond {
		if err := c.deliver(); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
		if len(c.glass.pages) > 0 || c.glass.current().ID != "receipt" {
			return nil
		}
	}
	return fmt.Errorf("nothing comes back from the CA")
}

// deliver brings what is pending to the CA and its answers back, once.
func (c *counter) deliver() error {
	for _, p := range c.kiosk.Outbox.Pending() {
		head, _ := c.journal.Head()
		if err := c.note(note{What: posted, Text: p.ID, Payload: p.DER, Synced: head}); err != nil {
			return err
		}
		r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/", bytes.NewReader(p.DER))
		r.Header.Set("Content-Type", cmptest.ContentType)
		w := httptest.NewRecorder()
		c.ca.ServeHTTP(w, r)
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), cmptest.ContentType) {
			c.kiosk.Outbox.Failed(p.ID, fmt.Sprint("status ", w.Code))
			continue
		}
		c.kiosk.Outbox.Answer(p.ID, w.Body.Bytes())
	}
	return nil
}
