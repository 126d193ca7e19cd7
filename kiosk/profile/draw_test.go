package profile

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

type source struct{ *rand.Rand }

func (s source) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(s.Uint32())
	}
	return len(b), nil
}

// TestDraw: always n different features, and each about as often as any other.
func TestDraw(t *testing.T) {
	d := template(t).Identity.Documents[0]
	src := source{rand.New(rand.NewPCG(1, 2))}
	const rounds = 7000
	seen := make(map[string]int)
	for range rounds {
		drawn, err := d.Draw(src, 3)
		if err != nil || len(drawn) != 3 {
			t.Fatalf("%v, %v", drawn, err)
		}
		round := make(map[string]bool)
		for _, f := range drawn {
			seen[f.ID]++
			round[f.ID] = true
		}
		if len(round) != 3 {
			t.Fatalf("drawn twice: %v", drawn)
		}
	}
	want := rounds * 3 / len(d.Features)
	for _, f := range d.Features {
		if n := seen[f.ID]; n < want*9/10 || n > want*11/10 {
			t.Errorf("%s drawn %d times, want about %d", f.ID, n, want)
		}
	}
}

func TestDrawFails(t *testing.T) {
	d := template(t).Identity.Documents[0]
	broken := errors.New("no randomness")
	if f, err := d.Draw(iotest.ErrReader(broken), 3); !errors.Is(err, broken) || f != nil {
		t.Errorf("%v, %v", f, err)
	}
	if f, err := d.Draw(bytes.NewReader([]byte{1, 2}), 3); err == nil || f != nil {
		t.Errorf("source that ends: %v, %v", f, err)
	}
	if f, err := d.Draw(bytes.NewReader(bytes.Repeat([]byte{255}, 5000)), 3); err == nil || f != nil {
		t.Errorf("source that is stuck: %v, %v", f, err)
	}
	for _, n := range []int{-1, len(d.Features) + 1} {
		if _, err := d.Draw(source{rand.New(rand.NewPCG(1, 2))}, n); err == nil {
			t.Errorf("%d features drawn", n)
		}
	}
	if f, err := d.Draw(source{rand.New(rand.NewPCG(1, 2))}, len(d.Features)); err != nil || len(f) != len(d.Features) {
		t.Errorf("all features: %v, %v", f, err)
	}
}
