package desk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"mohr.internal/appliance/tokenlink"
	"mohr.internal/kiosk/cmp/cmptest"
)

// Programs are the paths of the three binaries.
type Programs struct {
	Kioskd, Tokend, Syncd string
}

// Times of the world.
const (
	restartAfter = time.Second     // as the appliance's supervisor does
	stopGrace    = 3 * time.Second // from SIGTERM to SIGKILL
	wakeTime     = time.Minute     // for the first picture after power comes
	tailLines    = 12              // of each program's log in an error message
)

// World is a Place with the power on: three programs, a panel, a CA, and what happens round them. It is
// the Bench of a Page. Its methods may be called from several goroutines.
type World struct {
	Place *Place
	Glass *Glass
	Log   *Log
	CA    *cmptest.CA

	programs []Program
	network  *network
	bench    tokenlink.Bench
	news     notice
	cancel   context.CancelFunc
	ctx      context.Context

	restart time.Duration // before a program that ended is started again

	power    sync.Mutex // held while power is switched
	plugging sync.Mutex // held while tokend is told of a device

	mu    sync.Mutex
	runs  map[string]*supervised
	in    []Kind // plugged in, in order
	shift time.Duration
}

// NewWorld serves the panel and the CA of a place. Power is off; see On.
func NewWorld(place *Place, programs Programs, logger *slog.Logger) (*World, error) {
	ctx, cancel := context.WithCancel(context.Background())
	w := &World{Place: place, Glass: NewGlass(), restart: restartAfter, ctx: ctx, cancel: cancel, runs: make(map[string]*supervised)}
	w.Log = newLog(new(notice))
	w.bench = tokenlink.NewBench(place.Tokend.Desk.Socket)
	ca, err := cmptest.NewCA(cmptest.CAOptions{PKI: place.PKI, Now: w.Now, Log: logger, SilenceLimit: 30 * time.Second})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("desk: %w", err)
	}
	w.CA = ca
	if w.network, err = newNetwork(ca); err != nil {
		cancel()
		return nil, err
	}
	place.Syncd.CA.URL = w.network.url()
	if err := place.writeConfig("syncd", &place.Syncd); err != nil {
		w.Close()
		return nil, err
	}
	if err := w.Glass.Serve(ctx, place.Kioskd.Panel.Path, place.Size); err != nil {
		w.Close()
		return nil, err
	}
	for _, p := range []struct{ name, path string }{
		{"tokend", programs.Tokend}, {"kioskd", programs.Kioskd}, {"syncd", programs.Syncd},
	} {
		w.programs = append(w.programs, Program{Name: p.name, Path: p.path, Args: []string{"-config", place.ConfigFile(p.name)}})
	}
	return w, nil
}

// Now is the date of the kiosk and of the CA.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.shift)
}

// On switches the power on: it starts the three programs and waits until the kiosk has drawn something
// and tokend knows which tokens are in.
func (w *World) On(ctx context.Context) error {
	w.power.Lock()
	defer w.power.Unlock()
	return w.on(ctx)
}

func (w *World) on(ctx context.Context) error {
	w.mu.Lock()
	for _, p := range w.programs {
		if w.runs[p.Name] == nil {
			s := newSupervised(p, w.Place.LogFile(p.Name), w.Log, &w.news, w.restart)
			if p.Name == "tokend" {
				s.started = w.restarted
			}
			w.runs[p.Name] = s
			go s.run(w.ctx)
		}
	}
	w.mu.Unlock()
	w.news.tell()
	eyes := &People{Glass: w.Glass, Patience: wakeTime, Complaint: w.Tail}
	if _, err := eyes.Wait(ctx, "the first picture after power on", func(Shot) bool { return true }); err != nil {
		return err
	}
	return w.replug(ctx)
}

// restarted follows each start of tokend.
func (w *World) restarted(ctx context.Context) {
	if err := w.replug(ctx); err != nil && ctx.Err() == nil {
		w.Log.Add("bench", err.Error())
	}
}

// Off cuts the power: every program and every worker is killed at once (SIGKILL). What was plugged in
// stays plugged in.
func (w *World) Off() {
	w.power.Lock()
	defer w.power.Unlock()
	w.off((*supervised).kill)
}

func (w *World) off(end func(*supervised)) {
	w.mu.Lock()
	runs := w.runs
	w.runs = make(map[string]*supervised)
	w.mu.Unlock()
	for _, s := range runs {
		s.retire() // nobody is started again
	}
	for _, s := range runs {
		end(s)
	}
	for _, s := range runs {
		<-s.done
	}
	// The next first picture must be that of the next kiosk.
	eyes := &People{Glass: w.Glass, Patience: 5 * time.Second}
	if err := eyes.WaitDark(context.Background()); err != nil {
		w.Log.Add("bench", err.Error())
	}
	w.news.tell()
}

// PowerCut kills everything and switches the power on again.
func (w *World) PowerCut(ctx context.Context) error {
	w.power.Lock()
	defer w.power.Unlock()
	w.Log.Add("bench", "power cut: kill -9")
	w.off((*supervised).kill)
	return w.on(ctx)
}

// Kill kills one program, which the supervisor starts again.
func (w *World) Kill(program string) error {
	w.mu.Lock()
	s := w.runs[program]
	w.mu.Unlock()
	if s == nil {
		return fmt.Errorf("desk: %s is not running", program)
	}
	s.kill()
	return nil
}

// Close stops the programs in an orderly way, and the CA and the panel.
func (w *World) Close() error {
	w.power.Lock()
	defer w.power.Unlock()
	w.off((*supervised).stop)
	err := w.network.set(false)
	w.cancel()
	return err
}

// Network joins or cuts the line to the CA.
func (w *World) Network(on bool) error {
	defer w.news.tell()
	return w.network.set(on)
}

// URL is where the CA listens.
func (w *World) URL() string { return w.network.url() }

// Asked is how many requests the CA has dealt with, in whatever way.
func (w *World) Asked() int { return int(w.network.asked.Load()) }

// Behave sets how the CA answers from the next message on. A CA that issues again no longer lets anyone
// wait.
func (w *World) Behave(b cmptest.Behaviour) {
	w.CA.Behave(b)
	if b.Kind == cmptest.Issue {
		w.CA.Release()
	}
	w.news.tell()
}

// Shift sets by how much the date of the kiosk and of the CA is off.
func (w *World) Shift(by time.Duration) error {
	w.mu.Lock()
	w.shift = by.Truncate(time.Second)
	w.mu.Unlock()
	defer w.news.tell()
	return w.Place.shift(by)
}

// Tail is the end of the programs' logs, for an error message.
func (w *World) Tail() string {
	var b strings.Builder
	for _, p := range w.programs {
		if tail := w.Log.Tail(p.Name, tailLines); tail != "" {
			b.WriteString(tail + "\n")
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// People returns a pair of hands at this world's kiosk.
func (w *World) People() *People { return &People{Glass: w.Glass, Complaint: w.Tail} }

// errNoAction is the answer to an Action nobody knows.
var errNoAction = errors.New("desk: no such action")
