package desk

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/tokenlink"
	"mohr.internal/display"
	"mohr.internal/display/panel"
)

// The test binary is the three programs too, as far as the World needs programs: it runs itself again
// under their names, and main does what the name says.
func TestMain(m *testing.M) {
	name := filepath.Base(os.Args[0])
	program, ok := map[string]func(path string) error{
		"kioskd": actKioskd, "tokend": actTokend, "syncd": actSyncd,
		"broken": func(string) error { return errors.New("the fuse is blown") },
	}[name]
	if !ok {
		code := m.Run()
		os.RemoveAll(builtIn)
		os.Exit(code)
	}
	path := flag.String("config", "", "")
	flag.Parse()
	if err := program(*path); err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
}

// standIns returns this binary under the programs' names.
func standIns(t *testing.T) Programs {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	link := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.Symlink(self, path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return Programs{Kioskd: link("kioskd"), Tokend: link("tokend"), Syncd: link("syncd")}
}

func untilTold() context.Context {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	return ctx
}

// actKioskd is a kiosk with three screens. "idle" has a button that leads to "pin" and one to be held
// that leads to "held"; "pin" shows how many digits were typed.
func actKioskd(path string) error {
	c, err := config.LoadKioskd(path)
	if err != nil {
		return err
	}
	ctx := untilTold()
	s, err := panel.Dial(ctx, c.Panel.Path)
	if err != nil {
		return err
	}
	defer s.Close()
	fmt.Println("kiosk up")
	id, typed := "idle", 0
	var down time.Time
	for {
		img := image.NewRGBA(image.Rectangle{Max: s.Size()})
		for i := range img.Pix {
			img.Pix[i] = uint8(i*(typed+3) + len(id))
		}
		f := &display.Frame{Image: img}
		if id == "idle" {
			f.Targets = []display.Target{{ID: "next", Rect: image.Rect(10, 10, 90, 50)}, {ID: "sign", Rect: image.Rect(110, 10, 190, 50)}}
		}
		if id == "pin" {
			f.Targets = []display.Target{{ID: "key:ok", Rect: image.Rect(10, 10, 90, 50)}}
		}
		if err := s.Show(display.Screen{ID: id, Lang: "en", Title: id, Lines: []string{fmt.Sprintf("typed %d", typed)}}, f); err != nil {
			return err
		}
		select {
		case e := <-s.Events():
			target, _ := f.At(image.Pt(e.X, e.Y))
			switch {
			case e.Kind == panel.TouchDown:
				down = time.Now()
			case e.Kind == panel.TouchUp && target == "next":
				id = "pin"
			case e.Kind == panel.Key && e.Key >= '0' && e.Key <= '9':
				typed++
			}
		case <-time.After(50 * time.Millisecond):
			if id == "idle" && !down.IsZero() && time.Since(down) > 200*time.Millisecond {
				id = "held"
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// socketBench notes on standard output what the bench does.
type socketBench struct {
	mu sync.Mutex
	in map[string]bool
}

func (b *socketBench) Insert(key string) error { return b.set(key, true) }
func (b *socketBench) Remove(key string) error { return b.set(key, false) }

func (b *socketBench) set(key string, in bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.in[key] == in {
		return fmt.Errorf("%w: %s is already so", tokenlink.ErrBench, key)
	}
	b.in[key] = in
	fmt.Println("device", key, in)
	return nil
}

// actTokend has a bench and a worker: a child that must die with it.
func actTokend(path string) error {
	c, err := config.LoadTokend(path)
	if err != nil {
		return err
	}
	worker := exec.Command("sleep", "1000")
	worker.Stdout = os.Stdout // keeps the desk's pipe open
	if err := worker.Start(); err != nil {
		return err
	}
	defer worker.Process.Kill()
	fmt.Println("worker", worker.Process.Pid)
	time.Sleep(100 * time.Millisecond) // the desk has to wait for the socket
	os.Remove(c.Desk.Socket)
	l, err := net.Listen("unix", c.Desk.Socket)
	if err != nil {
		return err
	}
	return tokenlink.ServeBench(untilTold(), l, &socketBench{in: map[string]bool{}}, slog.Default())
}

func actSyncd(path string) error {
	c, err := config.LoadSyncd(path)
	if err != nil {
		return err
	}
	fmt.Println("CA at", c.CA.URL)
	<-untilTold().Done()
	return nil
}
