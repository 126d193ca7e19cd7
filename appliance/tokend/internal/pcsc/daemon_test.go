package pcsc

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"mohr.internal/appliance/tokend/internal/pcsc/pcsctest"
	"mohr.internal/usb"
)

// TestMain is the fake daemon when this binary was started as one, or a worker.
func TestMain(m *testing.M) {
	workerMain()
	pcsctest.Main()
	os.Exit(m.Run())
}

// fakes are daemons of package pcsctest with a behaviour.
func fakes(t *testing.T, behaviour string) *Daemons {
	t.Helper()
	dir, err := os.MkdirTemp("", "pcsc") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return New(Options{
		Program: self, Dir: dir, Log: slog.New(slog.DiscardHandler),
		Args:    func(_ usb.Device, dir string) []string { return pcsctest.Args(behaviour, dir) },
		Confine: func(usb.Device, string) error { return nil },
	})
}

// long is a limit that only a bug reaches.
const long = 30 * time.Second

func ready(t *testing.T, d *Daemon) (string, <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	socket, lost, err := d.Ready(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return socket, lost
}

func ends(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(long):
		t.Fatalf("%s does not end", what)
	}
}

// empty fails if a daemon left files or a process behind.
func empty(t *testing.T, a *Daemons) {
	t.Helper()
	done := make(chan struct{})
	go func() { a.Wait(); close(done) }()
	ends(t, "a daemon", done)
	if left, err := os.ReadDir(a.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestReadyAndStop(t *testing.T) {
	for _, behaviour := range []string{pcsctest.Good, pcsctest.Slow, pcsctest.NoCard, pcsctest.Stubborn} {
		t.Run(behaviour, func(t *testing.T) {
			t.Parallel()
			a := fakes(t, behaviour)
			a.card = 100 * time.Millisecond
			d := a.Start(usb.Device{Port: "1-1"})
			socket, lost := ready(t, d)
			if _, err := net.Dial("unix", socket); err != nil {
				t.Error(err)
			}
			select {
			case <-lost:
				t.Error("ended by itself")
			default:
			}
			d.Stop()
			d.Stop()
			ends(t, "the daemon", lost)
			empty(t, a)
			if _, _, err := d.Ready(t.Context()); !errors.Is(err, ErrNoReader) {
				t.Errorf("ready after the removal: %v", err)
			}
		})
	}
}

// Two devices have two daemons; one person's leaves the other's alone.
func TestTwo(t *testing.T) {
	a := fakes(t, pcsctest.Good)
	one, two := a.Start(usb.Device{Port: "1-1"}), a.Start(usb.Device{Port: "1-2"})
	first, lostFirst := ready(t, one)
	second, lostSecond := ready(t, two)
	if first == second {
		t.Errorf("both at %s", first)
	}
	one.Stop()
	ends(t, "the first", lostFirst)
	if c, err := dial(second); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	two.Stop()
	ends(t, "the second", lostSecond)
	empty(t, a)
}

// A daemon that dies is told of, and comes again at another socket; one that
// always dies is given up.
func TestDies(t *testing.T) {
	a := fakes(t, pcsctest.Dies)
	d := a.Start(usb.Device{})
	seen := map[string]bool{}
	for range maxStarts {
		socket, lost := ready(t, d)
		if seen[socket] {
			t.Errorf("%s again", socket)
		}
		seen[socket] = true
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("die"))
		c.Close()
		ends(t, "the daemon", lost)
	}
	if _, _, err := d.Ready(t.Context()); !errors.Is(err, ErrNoReader) || !strings.Contains(err.Error(), "bang") {
		t.Errorf("got %v", err)
	}
	empty(t, a)
}

// Renewed, a daemon ends and another one comes, as often as wanted.
func TestRenew(t *testing.T) {
	a := fakes(t, pcsctest.Good)
	d := a.Start(usb.Device{})
	d.Renew() // of nothing: no harm
	for range 3 * maxStarts {
		socket, lost := ready(t, d)
		d.Renew()
		d.Renew()
		if next, _ := ready(t, d); next == socket {
			t.Error("the same daemon again")
		}
		ends(t, "the daemon", lost)
	}
	d.Stop()
	empty(t, a)
}

// What never becomes ready is an error and no wait without end.
func TestNeverReady(t *testing.T) {
	for behaviour, want := range map[string]string{
		pcsctest.AtOnce: "died at its start", pcsctest.Foreign: "protocol 5:1", "missing": "no such file",
	} {
		t.Run(behaviour, func(t *testing.T) {
			t.Parallel()
			a := fakes(t, behaviour)
			if behaviour == "missing" {
				a.Program = "/nonexistent/pcscd"
			}
			d := a.Start(usb.Device{})
			ctx, cancel := context.WithTimeout(t.Context(), 3*long)
			defer cancel()
			_, _, err := d.Ready(ctx)
			if !errors.Is(err, ErrNoReader) || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
			empty(t, a)
		})
	}
}

// The caller's patience may end first, and so may the device.
func TestGivesUpWaiting(t *testing.T) {
	a := fakes(t, pcsctest.NoReader)
	d := a.Start(usb.Device{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := d.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	waits := make(chan error, 1)
	go func() {
		_, _, err := d.Ready(t.Context())
		waits <- err
	}()
	d.Stop()
	select {
	case err := <-waits:
		if !errors.Is(err, ErrNoReader) {
			t.Errorf("got %v", err)
		}
	case <-time.After(long):
		t.Fatal("still waiting after the removal")
	}
	empty(t, a)
}

// A daemon does not outlive the program that started it, nor keeps its thread.
func TestNothingStays(t *testing.T) {
	a := fakes(t, pcsctest.Good)
	before := runtime.NumGoroutine()
	for range 20 {
		d := a.Start(usb.Device{})
		ready(t, d)
		d.Stop()
		empty(t, a)
	}
	for end := time.Now().Add(long); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines before, %d after", before, runtime.NumGoroutine())
		}
	}
	if children, err := filepath.Glob("/proc/self/task/*/children"); err == nil {
		for _, file := range children {
			if b, _ := os.ReadFile(file); len(strings.TrimSpace(string(b))) > 0 {
				t.Errorf("children left: %s", b)
			}
		}
	}
}

// FuzzStates feeds the parser what a broken daemon could send.
func FuzzStates(f *testing.F) {
	f.Add(pcsctest.States(true, true))
	f.Add(pcsctest.States(true, false))
	f.Add(pcsctest.States(false, false)[1:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := len(states(b)); n > len(b)/sizeReader {
			t.Errorf("%d readers in %d bytes", n, len(b))
		}
	})
}
