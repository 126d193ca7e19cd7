package fleetlog

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"mohr.internal/appliance/fleet/entry"
	"mohr.internal/kiosk"
)

// shelf is a fleet with one pick-up for everybody.
type shelf struct {
	sealed []byte
	err    error
}

func (s shelf) Lookup(context.Context, entry.KeyID) ([]byte, error) { return s.sealed, s.err }

// What is not there, what nobody can tell and what is no pick-up are three things.
func TestFind(t *testing.T) {
	spki := []byte("public key")
	in := entry.Pickup{Renewal: [16]byte{1}, Certificate: []byte("c"), Chain: [][]byte{{2}}, Answer: []byte("a"), Request: []byte("r")}
	good := must[[]byte](t)(in.Seal(spki, 1))
	offline := errors.New("no route")
	for name, tt := range map[string]struct {
		s    shelf
		ok   bool
		want error
	}{
		"there":           {shelf{sealed: good}, true, nil},
		"not there":       {shelf{}, false, nil},
		"offline":         {shelf{err: offline}, false, offline},
		"for another key": {shelf{sealed: must[[]byte](t)(in.Seal([]byte("another key"), 1))}, false, kiosk.ErrPickup},
		"junk":            {shelf{sealed: []byte("junk")}, false, kiosk.ErrPickup},
		"too large":       {shelf{sealed: make([]byte, entry.MaxPickup+1)}, false, kiosk.ErrPickup},
		"with more":       {shelf{sealed: append(bytes.Clone(good), 0)}, false, kiosk.ErrPickup},
	} {
		p, ok, err := Find(t.Context(), tt.s, spki)
		if ok != tt.ok || !errors.Is(err, tt.want) || (tt.want == nil) != (err == nil) || errors.Is(err, kiosk.ErrPickup) != (tt.want == kiosk.ErrPickup) {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
		if ok && (p.Renewal != in.Renewal || string(p.Certificate) != "c" || len(p.Chain) != 1 || string(p.Answer) != "a" || string(p.Request) != "r") {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
