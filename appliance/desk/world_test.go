package desk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mohr.internal/appliance/config"
	"mohr.internal/kiosk/cmp/cmptest"
)

// newWorld returns a world with the power on.
func newWorld(t *testing.T, programs Programs, kinds ...Kind) *World {
	t.Helper()
	return newWorldAt(t, programs, provision(t, kinds...))
}

func newWorldAt(t *testing.T, programs Programs, place *Place) *World {
	t.Helper()
	w, err := NewWorld(place, programs, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	w.restart = 50 * time.Millisecond // nobody is waiting for a person here
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the programs said:\n%s", w.Log.Tail("", 100))
		}
	})
	if err := w.On(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// said waits until a program has written something.
func said(t *testing.T, w *World, program, text string) {
	t.Helper()
	waitFor(t, fmt.Sprintf("%s saying %q", program, text), func() bool { return strings.Contains(w.Log.Tail(program, logLines), text) })
}

// pids are the numbers of the workers that tokend has started, in order.
func pids(t *testing.T, w *World) []int {
	t.Helper()
	var out []int
	for _, m := range regexp.MustCompile(`worker (\d+)`).FindAllStringSubmatch(w.Log.Tail("tokend", logLines), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ") && syscall.Kill(pid, 0) == nil
}

func TestWorldPowerCut(t *testing.T) {
	w := newWorld(t, standIns(t), Unknown, Storage)
	ctx := t.Context()
	said(t, w, "syncd", "CA at "+w.URL())
	if err := w.Insert(ctx, Unknown); err != nil {
		t.Fatal(err)
	}
	said(t, w, "tokend", "device unknown true")
	if err := w.Insert(ctx, Unknown); err == nil {
		t.Error("the same device went in twice")
	}
	if err := w.Insert(ctx, Citizen); err == nil {
		t.Error("a device that is not there went in")
	}
	before, _ := w.Glass.Latest()
	workers := pids(t, w)
	if len(workers) != 1 || !alive(workers[0]) {
		t.Fatalf("workers %v", workers)
	}

	w.Off()
	if _, lit := w.Glass.Latest(); lit {
		t.Error("the glass is lit without power")
	}
	if alive(workers[0]) {
		t.Error("a worker outlived the power cut")
	}
	for _, p := range w.State().Programs {
		if p.Running {
			t.Errorf("%s runs without power", p.Name)
		}
	}
	if err := w.Insert(ctx, Storage); err != nil { // into a dead computer
		t.Fatal(err)
	}
	if err := w.On(ctx); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(w.Log.Tail("tokend", logLines), "device unknown true"); got != 2 {
		t.Errorf("tokend was told of the device %d times, want once in each life", got)
	}
	said(t, w, "tokend", "device storage true")
	if after, lit := w.Glass.Latest(); !lit || after.Seq <= before.Seq {
		t.Errorf("picture %d after the power cut, %d before", after.Seq, before.Seq)
	}
	if err := w.PowerCut(ctx); err != nil {
		t.Fatal(err)
	}
	if got := len(pids(t, w)); got != 3 {
		t.Errorf("tokend started %d times, want 3", got)
	}
	log, err := os.ReadFile(w.Place.LogFile("kioskd"))
	if err != nil || strings.Count(string(log), "kiosk up") != 3 {
		t.Errorf("log file of kioskd: %v\n%s", err, log)
	}
}

func TestWorldRestartsWhatDies(t *testing.T) {
	w := newWorld(t, standIns(t), Unknown)
	if err := w.Insert(t.Context(), Unknown); err != nil {
		t.Fatal(err)
	}
	if err := w.Kill("tokend"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a second life of tokend that knows the device", func() bool {
		return strings.Count(w.Log.Tail("tokend", logLines), "device unknown true") == 2
	})
	for _, p := range w.State().Programs {
		if want := map[string]int{"tokend": 1}[p.Name]; p.Restarts != want || !p.Running {
			t.Errorf("%+v, want %d restarts", p, want)
		}
	}
	if err := w.Remove(t.Context(), Unknown); err != nil {
		t.Fatal(err)
	}
	if in := w.In(); len(in) != 0 {
		t.Errorf("still in: %v", in)
	}
}

// TestWorldBroken starts a kiosk that cannot live: the error says what the program said.
func TestWorldBroken(t *testing.T) {
	programs := standIns(t)
	broken := filepath.Join(filepath.Dir(programs.Kioskd), "broken")
	if err := os.Rename(programs.Kioskd, broken); err != nil {
		t.Fatal(err)
	}
	programs.Kioskd = broken
	w, err := NewWorld(provision(t, Unknown), programs, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() { // until it has ended once
		for ctx.Err() == nil && !strings.Contains(w.Tail(), "exit status 1") {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	err = w.On(ctx)
	if err == nil || !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{"first picture", "dark", "the fuse is blown", "exit status 1"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in the error: %v", want, err)
		}
	}
}

func TestWorldNetworkAndDate(t *testing.T) {
	w := newWorld(t, standIns(t), Unknown)
	ask := func() error {
		client := http.Client{Timeout: 5 * time.Second}
		resp, err := client.Post(w.URL(), "application/pkixcmp", strings.NewReader("x"))
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	url := w.URL()
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	if err := w.Network(false); err != nil {
		t.Fatal(err)
	}
	if err := ask(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("with the line cut: %v, want refused", err)
	}
	if w.State().Network {
		t.Error("the bench says the line is there")
	}
	if err := w.Network(true); err != nil {
		t.Fatal(err)
	}
	if err := ask(); err != nil || w.URL() != url {
		t.Errorf("with the line joined: %v, at %s", err, w.URL())
	}

	if err := w.Do(t.Context(), Action{Do: "date", Days: -3}); err != nil {
		t.Fatal(err)
	}
	off, err := config.ReadOffset(w.Place.Kioskd.Clock.Path)
	if err != nil || off != -72*time.Hour {
		t.Errorf("clock file says %v, %v", off, err)
	}
	if got := time.Until(w.Now()).Round(time.Hour); got != -72*time.Hour {
		t.Errorf("the CA's date is off by %v", got)
	}
	for _, c := range answers {
		if err := w.Do(t.Context(), Action{Do: "answers", What: c.behaviour.Kind.String()}); err != nil {
			t.Error(err)
		}
		if got := w.CA.Behaviour().Kind; got != c.behaviour.Kind {
			t.Errorf("the CA does %v, want %v", got, c.behaviour.Kind)
		}
	}
	if len(answers) != len(cmptest.Kinds()) {
		t.Errorf("the bench has %d answers of the CA's %d", len(answers), len(cmptest.Kinds()))
	}
	for _, a := range []Action{{Do: "answers", What: "x"}, {Do: "date", Days: 1 << 40}, {Do: "insert", What: "x"}, {Do: "x"}, {}} {
		if err := w.Do(t.Context(), a); err == nil {
			t.Errorf("%+v: no error", a)
		}
	}
}

func TestPeople(t *testing.T) {
	w := newWorld(t, standIns(t), Unknown)
	ctx, people := t.Context(), w.People()
	people.Patience = time.Minute
	dir := t.TempDir()
	rec, err := NewRecorder(w.Glass, dir, w.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := people.WaitScreen(ctx, "pin", "idle"); err != nil {
		t.Fatal(err)
	}
	if err := people.Press("nothing"); err == nil || !strings.Contains(err.Error(), `"next" "sign"`) {
		t.Errorf("press of what is not there: %v", err)
	}
	if err := people.Hold(ctx, "sign"); err != nil {
		t.Fatal(err)
	}
	if _, err := people.WaitScreen(ctx, "held"); err != nil {
		t.Fatal(err)
	}
	if err := w.PowerCut(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := people.WaitScreen(ctx, "idle"); err != nil {
		t.Fatal(err)
	}
	if err := people.Press("next"); err != nil {
		t.Fatal(err)
	}
	if _, err := people.WaitScreen(ctx, "pin"); err != nil {
		t.Fatal(err)
	}
	if err := people.Type(ctx, "1234"); err != nil {
		t.Fatal(err)
	}
	if _, err := people.WaitText(ctx, "typed 4"); err != nil {
		t.Fatal(err)
	}
	people.Patience = 50 * time.Millisecond
	if _, err := people.WaitScreen(ctx, "never"); err == nil || !strings.Contains(err.Error(), "typed 4") || !strings.Contains(err.Error(), "kiosk up") {
		t.Errorf("the error does not say what is on the glass and in the log: %v", err)
	}
	seen, err := rec.Close()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, s := range seen {
		ids = append(ids, s.File)
		if info, err := os.Stat(filepath.Join(dir, s.File)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", s.File, err)
		}
	}
	if got, want := strings.Join(ids, " "), "01-idle.png 02-held.png 03-idle.png 04-pin.png"; got != want {
		t.Errorf("recorded %s, want %s", got, want)
	}
	if last := seen[len(seen)-1]; !strings.Contains(last.Text, "typed 4") {
		t.Errorf("the last picture of a screen is %+v", last)
	}
}
