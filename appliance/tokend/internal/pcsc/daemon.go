package pcsc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"mohr.internal/appliance/tokend/internal/view"
	"mohr.internal/usb"
)

// Options of Daemons.
type Options struct {
	Program string // pcscd
	Dir     string // each daemon gets a folder below it
	Log     *slog.Logger

	// Args and Confine are for tests; nil is what the appliance does.
	Args    func(d usb.Device, dir string) []string
	Confine func(d usb.Device, dir string) error // on the thread that starts the daemon
}

// Daemons starts daemons and waits for their ends.
type Daemons struct {
	Options
	card    time.Duration
	running sync.WaitGroup
}

// New returns Daemons with none running.
func New(o Options) *Daemons {
	if o.Args == nil {
		o.Args = func(usb.Device, string) []string { return []string{"--foreground"} }
	}
	if o.Confine == nil {
		o.Confine = confine
	}
	return &Daemons{Options: o, card: cardTime}
}

// runDir is where pcscd makes its socket and its pid file.
const runDir = "/run/pcscd"

// confine leaves a daemon its one device and its own folder.
func confine(d usb.Device, dir string) error {
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return fmt.Errorf("pcsc: %w", err)
	}
	if err := view.Private(); err != nil {
		return err
	}
	if err := view.Only(view.DevUSB, view.Node(d.Bus, d.Address)); err != nil {
		return err
	}
	return view.Bind(dir, runDir)
}

const (
	maxStarts  = 4                      // of a daemon for one insertion
	firstPause = 200 * time.Millisecond // after a daemon died, then twice as long each time
	readyTime  = 20 * time.Second       // for the reader to come up; it takes half a second
	cardTime   = 8 * time.Second        // then for its card, which a token always has
	stopTime   = time.Second            // after SIGTERM
	pollTime   = 20 * time.Millisecond
)

// ErrNoReader is wrapped by the error of Ready after the last attempt.
var ErrNoReader = errors.New("no PC/SC reader")

// Daemon is the daemon of one insertion.
type Daemon struct {
	all    *Daemons
	device usb.Device
	log    *slog.Logger

	stopping chan struct{}
	stop     sync.Once
	renew    chan struct{}
	ended    chan struct{}

	mu      sync.Mutex
	now     *process // ready
	err     error    // for good
	changed chan struct{}
}

// Start starts the daemon for a device that was just inserted and returns at
// once.
func (a *Daemons) Start(d usb.Device) *Daemon {
	one := &Daemon{all: a, device: d, log: a.Log.With("port", d.Port),
		stopping: make(chan struct{}), renew: make(chan struct{}, 1), ended: make(chan struct{}), changed: make(chan struct{})}
	a.running.Go(one.live)
	return one
}

// Wait waits until all daemons that were told to stop have ended.
func (a *Daemons) Wait() { a.running.Wait() }

// Ready waits for the reader. It returns the daemon's socket and a channel that
// closes when this daemon ends, whatever comes after it.
func (d *Daemon) Ready(ctx context.Context) (socket string, lost <-chan struct{}, err error) {
	for {
		d.mu.Lock()
		now, err, changed := d.now, d.err, d.changed
		d.mu.Unlock()
		switch {
		case err != nil:
			return "", nil, err
		case now != nil && !over(now.ended): // else it has just died: wait for what comes
			return now.socket, now.ended, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", nil, fmt.Errorf("pcsc: %w: %w", ErrNoReader, context.Cause(ctx))
		}
	}
}

// Stop ends the daemon. It does not wait; see Daemons.Wait.
func (d *Daemon) Stop() { d.stop.Do(func() { close(d.stopping) }) }

// Renew ends the daemon and starts another. A client that was killed may leave a
// command running in the token and the holder's login open in it: the daemon's end
// takes the token's power away.
func (d *Daemon) Renew() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now == nil {
		return
	}
	d.now = nil // Ready waits for the next one
	select {
	case d.renew <- struct{}{}:
	default:
	}
}

func (d *Daemon) set(now *process, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now, d.err = now, err
	close(d.changed)
	d.changed = make(chan struct{})
}

// live starts the daemon, again if it dies, until it is told to stop.
func (d *Daemon) live() {
	defer close(d.ended)
	pause := firstPause
	for n := 1; ; n++ {
		err := d.once()
		if over(d.stopping) {
			d.set(nil, fmt.Errorf("pcsc: %w: removed", ErrNoReader))
			return
		}
		if errors.Is(err, errRenewed) {
			n, pause = 0, firstPause
			continue
		}
		d.log.Error("PC/SC daemon", "attempt", n, "err", err)
		if n == maxStarts {
			d.set(nil, fmt.Errorf("pcsc: %w: %w", ErrNoReader, err))
			return
		}
		select {
		case <-time.After(pause):
		case <-d.stopping:
		}
		pause *= 2
	}
}

var errRenewed = errors.New("pcsc: renewed")

// over says whether c is closed.
func over(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// once runs one daemon to its end.
func (d *Daemon) once() error {
	dir, err := os.MkdirTemp(d.all.Dir, "pcscd-")
	if err != nil {
		return fmt.Errorf("pcsc: %w", err)
	}
	defer os.RemoveAll(dir)
	begin := time.Now()
	p, err := startProcess(d.all.Program, d.all.Args(d.device, dir), dir, func() error { return d.all.Confine(d.device, dir) })
	if err != nil {
		return err
	}
	defer p.stop(stopTime)
	card, err := d.await(p)
	if err != nil {
		p.stop(stopTime)
		return fmt.Errorf("%w (ended: %v; said: %q)", err, p.err, p.output.String())
	}
	d.log.Info("PC/SC daemon is ready", "pid", p.cmd.Process.Pid, "card", card, "after", time.Since(begin).Round(time.Millisecond))
	select {
	case <-d.renew: // meant for one before
	default:
	}
	d.set(p, nil)
	defer d.set(nil, nil)
	select {
	case <-d.renew:
		return errRenewed
	case <-d.stopping:
		return nil
	case <-p.ended:
		return fmt.Errorf("pcsc: daemon died: %v (said: %q)", p.err, p.output.String())
	}
}

// await asks the daemon until its reader has a card that answers. A reader whose
// card stays silent is shown as it is after a while: the module says what it is.
func (d *Daemon) await(p *process) (card bool, err error) {
	var c net.Conn
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	end := time.After(readyTime)
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	seen := false
	last := errors.New("pcsc: no answer")
	for {
		if c == nil {
			if c, err = dial(p.socket); err != nil {
				c, last = nil, err
			}
			if errors.Is(err, errProtocol) {
				return false, err
			}
		}
		if c != nil {
			list, err := readers(c)
			switch {
			case err != nil:
				c.Close()
				c, last = nil, err
			case len(list) == 0:
				last = errors.New("pcsc: the daemon lists no reader")
			case slices.ContainsFunc(list, func(r reader) bool { return r.Present && r.Powered }):
				return true, nil
			case !seen:
				seen, end = true, time.After(d.all.card)
			}
		}
		select {
		case <-tick.C:
		case <-d.stopping:
			return false, errors.New("pcsc: removed")
		case <-p.ended:
			return false, fmt.Errorf("pcsc: daemon died at its start: %w", last)
		case <-end:
			if seen {
				return false, nil
			}
			return false, fmt.Errorf("pcsc: not ready in %v: %w", readyTime, last)
		}
	}
}
