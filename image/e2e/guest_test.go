package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"mohr.internal/appliance/desk"
	"mohr.internal/kiosk/cmp/cmptest"
	"mohr.internal/kiosk/profile"
)

// fakeKiosk is a ceremony of a few screens: each goes on at the right key.
type fakeKiosk struct {
	mu     sync.Mutex
	serial io.Writer
	steps  []fakeStep
	keys   []string // pressed, in order
}

// fakeStep is a screen and the keys that are typed on it; after each but the last it
// is drawn again.
type fakeStep struct {
	id   string
	keys []string
	draw int // so often more, by itself, before it takes a key: a button that fills
}

func (f *fakeKiosk) show(s fakeStep) {
	for range s.draw + 1 {
		fmt.Fprintf(f.serial, "level=INFO msg=screen id=%s lang=fa render_us=1\r\n", s.id)
	}
}

// press is a key going down.
func (f *fakeKiosk) press(code string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys = append(f.keys, code)
	if len(f.steps) == 0 || f.steps[0].keys[0] != code {
		return
	}
	now := &f.steps[0]
	if now.keys = now.keys[1:]; len(now.keys) > 0 {
		fmt.Fprintf(f.serial, "level=INFO msg=screen id=%s lang=fa render_us=1\r\n", now.id)
		return
	}
	if f.steps = f.steps[1:]; len(f.steps) > 0 {
		f.show(f.steps[0])
	}
}

func newFakeGuest(t *testing.T, f *fakeKiosk) *Guest {
	t.Helper()
	r, w := io.Pipe()
	t.Cleanup(func() { w.Close() })
	f.serial = w
	conn := monitor(t, greeting, func(line string) []string {
		var m struct {
			Execute   string `json:"execute"`
			ID        int    `json:"id"`
			Arguments struct {
				Events []struct {
					Data struct {
						Down bool `json:"down"`
						Key  struct {
							Data string `json:"data"`
						} `json:"key"`
					} `json:"data"`
				} `json:"events"`
			} `json:"arguments"`
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Error(err)
		}
		for _, e := range m.Arguments.Events {
			if e.Data.Down {
				go f.press(e.Data.Key.Data) // the guest is another machine
			}
		}
		return []string{fmt.Sprintf(`{"return": {}, "id": %d}`, m.ID)}
	})
	q, err := NewQMP(conn, patience)
	if err != nil {
		t.Fatal(err)
	}
	place := &desk.Place{
		Devices: []*desk.Device{
			{Kind: desk.Citizen, Card: &desk.Card{PIN: "12"}, Person: cmptest.Person{NationalID: "34"}},
			{Kind: desk.Officer, Card: &desk.Card{PIN: "56"}},
		},
		Profile: &profile.Profile{Identity: profile.Identity{Documents: []profile.Document{{ID: "other"}, {ID: "national-card"}}}},
	}
	return &Guest{
		Machine: &Machine{Console: NewConsole(r, io.Discard, time.Now), QMP: q},
		bench:   &Bench{Place: place}, report: NewReport(io.Discard), hands: map[desk.Kind]*Hand{desk.Officer: {}},
	}
}

// People walk through a ceremony by what the console says is on the screen.
func TestWalk(t *testing.T) {
	const enter = "kp_enter"
	f := &fakeKiosk{steps: []fakeStep{
		{id: "token", keys: []string{enter}},
		{id: "officer-pin", keys: []string{"kp_5", "kp_6", enter}},
		{id: "document", keys: []string{"kp_2"}},
		{id: "national-id", keys: []string{"kp_3", "kp_4", enter}},
		{id: "feature", keys: []string{"kp_1"}},
		{id: "feature", keys: []string{"kp_1"}},
		{id: "terms", keys: []string{"kp_1"}},
		{id: "sign", keys: []string{enter}, draw: 3},
		{id: "pin", keys: []string{"kp_1", "kp_2", enter}},
		{id: "receipt", keys: []string{"none"}},
	}}
	g := newFakeGuest(t, f)
	go func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.show(f.steps[0])
	}()
	id, _, err := g.Walk(t.Context(), desk.Citizen, "receipt", "refused")
	if err != nil || id != "receipt" {
		t.Fatalf("%q, %v", id, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	want := "kp_enter kp_5 kp_6 kp_enter kp_2 kp_3 kp_4 kp_enter kp_1 kp_1 kp_1 kp_enter kp_1 kp_2 kp_enter"
	if got := strings.Join(f.keys, " "); got != want {
		t.Errorf("keys %s\nwant %s", got, want)
	}
}

// A screen that ends the walk is told by name.
func TestWalkEnds(t *testing.T) {
	f := &fakeKiosk{steps: []fakeStep{{id: "token", keys: []string{"kp_enter"}}, {id: "refused", keys: []string{"none"}}}}
	g := newFakeGuest(t, f)
	go f.show(fakeStep{id: "token"})
	if id, _, err := g.Walk(t.Context(), desk.Citizen, "receipt", "refused"); err != nil || id != "refused" {
		t.Errorf("%q, %v", id, err)
	}
	if _, _, err := g.Await(t.Context(), time.Millisecond, "idle"); err == nil || !strings.Contains(err.Error(), "screen idle") {
		t.Errorf("%v", err)
	}
}
