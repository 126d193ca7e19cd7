package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mohr.internal/appliance/tokenlink"
)

// plugTime bounds how long a plugged device waits for a tokend that is starting.
const plugTime = 10 * time.Second

// Insert plugs a device in.
func (w *World) Insert(ctx context.Context, k Kind) error { return w.plug(ctx, k, true) }

// Remove pulls a device out. When it returns, tokend has begun to kill the device's worker.
func (w *World) Remove(ctx context.Context, k Kind) error { return w.plug(ctx, k, false) }

// In lists what is plugged in, in the order it was.
func (w *World) In() []Kind {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.in)
}

func (w *World) plug(ctx context.Context, k Kind, in bool) error {
	if w.Place.Device(k) == nil {
		return fmt.Errorf("desk: there is no device %q on this bench", k)
	}
	w.plugging.Lock()
	defer w.plugging.Unlock()
	w.mu.Lock()
	if slices.Contains(w.in, k) == in {
		w.mu.Unlock()
		return fmt.Errorf("desk: device %q is already %s", k, inOut(in))
	}
	if in {
		w.in = append(w.in, k)
	} else {
		w.in = slices.DeleteFunc(w.in, func(o Kind) bool { return o == k })
	}
	off := w.runs["tokend"] == nil
	w.mu.Unlock()
	w.Log.Add("bench", string(k)+" "+inOut(in))
	w.news.tell()
	if off {
		return nil // told when tokend starts
	}
	return w.tell(ctx, k, in)
}

// replug tells a tokend that has just started what is plugged in, as the ports of a computer would.
func (w *World) replug(ctx context.Context) error {
	w.plugging.Lock()
	defer w.plugging.Unlock()
	for _, k := range w.In() {
		if err := w.tell(ctx, k, true); err != nil {
			return err
		}
	}
	return nil
}

// tell tells tokend of one device. It waits for a tokend that does not listen yet. That tokend knows
// already is no error: a restart may have come in between.
func (w *World) tell(ctx context.Context, k Kind, in bool) error {
	do := w.bench.Insert
	if !in {
		do = w.bench.Remove
	}
	ctx, cancel := context.WithTimeout(ctx, plugTime)
	defer cancel()
	for {
		err := do(ctx, string(k))
		if err == nil || errors.Is(err, tokenlink.ErrBench) {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("desk: %s %s: %w; %s", k, inOut(in), err, w.Tail())
		}
	}
}

func inOut(in bool) string {
	if in {
		return "in"
	}
	return "out"
}
