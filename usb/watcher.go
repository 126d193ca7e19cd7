package usb

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"
)

// Options of NewWatcher.
type Options struct {
	Sysfs  string        // "/sys", or a fake tree
	Rescan time.Duration // scan after so long without a uevent
	Hubs   bool          // report hubs too; what is behind them is reported in any case

	// Uevents signals that USB may have changed: KernelUevents, or a fake.
	// nil means that there is the periodic scan only.
	Uevents func(context.Context) (<-chan struct{}, error)

	Log *slog.Logger
}

// settle is the time after a uevent in which the kernel completes a device's
// files; more uevents of the same insertion follow within it.
const settle = 30 * time.Millisecond

type watcher struct {
	Options
	list      func() (map[place]bool, error)
	libusbOff bool              // said in the log
	scanFails bool              // said in the log
	present   map[string]Device // by port
}

// NewWatcher returns the Watcher of this machine.
func NewWatcher(o Options) Watcher {
	return &watcher{Options: o, list: listLibusb}
}

// Watch implements Watcher. It fails only if the options are unusable: where USB
// is not available it says so in the log and goes on looking.
func (w *watcher) Watch(ctx context.Context) (<-chan Event, error) {
	if w.Sysfs == "" || w.Rescan <= 0 || w.Log == nil {
		return nil, errors.New("usb: watcher: Sysfs, Rescan and Log are required")
	}
	run := &watcher{Options: w.Options, list: w.list, present: map[string]Device{}}
	var changed <-chan struct{}
	if w.Uevents != nil {
		var err error
		if changed, err = w.Uevents(ctx); err != nil {
			w.Log.Warn("no uevents, periodic scan only", "err", err, "period", w.Rescan)
		}
	}
	out := make(chan Event)
	go func() {
		defer close(out)
		run.loop(ctx, changed, out)
	}()
	return out, nil
}

func (w *watcher) loop(ctx context.Context, changed <-chan struct{}, out chan<- Event) {
	tick := time.NewTicker(w.Rescan)
	defer tick.Stop()
	for {
		for _, e := range w.step() {
			select {
			case out <- e:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case _, ok := <-changed:
			if !ok {
				w.Log.Warn("uevents ended, periodic scan only", "period", w.Rescan)
				changed = nil
				continue
			}
			select {
			case <-time.After(settle):
			case <-ctx.Done():
				return
			}
		}
	}
}

// step scans once and returns the difference from the scan before. Removals
// come first, so that a quick swap in one port reads as out, then in.
func (w *watcher) step() []Event {
	now, err := Scan(w.Sysfs)
	switch {
	case errors.Is(err, ErrUnavailable):
		now = map[string]Device{} // the bus is gone, and the devices with it
		fallthrough
	case err != nil:
		if !w.scanFails {
			w.Log.Warn("no scan", "err", err)
		}
		w.scanFails = true
		if now == nil {
			return nil // unknown is not removed
		}
	default:
		w.scanFails = false
	}
	if !w.Hubs {
		maps.DeleteFunc(now, func(_ string, d Device) bool { return d.Hub() })
	}
	var events []Event
	for _, port := range slices.Sorted(maps.Keys(w.present)) {
		old := w.present[port]
		if d, ok := now[port]; !ok || !same(old, d) {
			events = append(events, Event{Removed, old})
			delete(w.present, port)
		}
	}
	var added []string
	for _, port := range slices.Sorted(maps.Keys(now)) {
		if _, ok := w.present[port]; !ok {
			added = append(added, port)
		}
	}
	if len(added) == 0 {
		return events
	}
	seen := w.libusb()
	for _, port := range added {
		d := now[port]
		d.Seen = seen[place{d.Bus, d.Address}]
		w.present[port] = d
		events = append(events, Event{Inserted, d})
	}
	return events
}

// libusb lists the devices by a new context, or returns nil.
func (w *watcher) libusb() map[place]bool {
	seen, err := w.list()
	if err != nil && !w.libusbOff {
		w.Log.Warn("going on without libusb", "err", err)
	}
	w.libusbOff = err != nil
	return seen
}
