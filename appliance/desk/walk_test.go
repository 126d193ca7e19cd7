package desk

import (
	"fmt"
	"image"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// builtIn is the folder that buildPrograms made, if it did.
var builtIn string

// buildPrograms builds the three real programs once for all tests.
var buildPrograms = sync.OnceValues(func() (Programs, error) {
	dir := os.Getenv("MOHR_BIN") // where they are built already
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "desk-bin-"); err != nil {
			return Programs{}, err
		}
		builtIn = dir
		build := exec.Command("go", "build", "-o", dir+"/", "mohr.internal/appliance/kioskd", "mohr.internal/appliance/tokend", "mohr.internal/appliance/syncd")
		if out, err := build.CombinedOutput(); err != nil {
			return Programs{}, fmt.Errorf("%w\n%s", err, out)
		}
	}
	return Programs{Kioskd: filepath.Join(dir, "kioskd"), Tokend: filepath.Join(dir, "tokend"), Syncd: filepath.Join(dir, "syncd")}, nil
})

// realWorld is a world of the real programs with the power on.
func realWorld(t *testing.T, o Options) *World {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED, NOT TESTED: builds and runs the real programs, not with -short")
	}
	needTokens(t)
	t.Parallel() // a renewal is mostly waiting: for a held button, for a poll, for the light to come back
	programs, err := buildPrograms()
	if err != nil {
		t.Fatal(err)
	}
	return newWorldAt(t, programs, provisionWith(t, o))
}

// TestRenewal carries a citizen through a first renewal: real programs, scripted people.
func TestRenewal(t *testing.T) {
	w := realWorld(t, Options{Kinds: []Kind{Citizen, Officer}})
	ctx, people := t.Context(), w.People()
	dir := os.Getenv("MOHR_PICTURES")
	if dir == "" {
		dir = t.TempDir()
	}
	rec, err := NewRecorder(w.Glass, filepath.Join(dir, "renewal"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := people.WaitScreen(ctx, "idle"); err != nil {
		t.Fatal(err)
	}
	if err := w.Insert(ctx, Citizen); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_, err = people.Walk(ctx, w.Renewal(ctx, people, Citizen, Officer), func(s Shot) {
		t.Logf("%6.2fs %s", time.Since(begin).Seconds(), s.ID)
	}, "accepted", "refused", "trouble")
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := people.WaitScreen(ctx, "accepted")
	if err != nil {
		t.Fatal(err)
	}
	text := Scan(accepted.Image)
	if r, _, err := w.Place.Trust.Verify(text); err != nil || r.State.String() != "accepted" {
		t.Errorf("receipt %q: %+v, %v", text, r, err)
	}
	if issued := w.CA.Issued(); len(issued) != 1 {
		t.Errorf("the CA issued %d certificates, want 1", len(issued))
	}
	if err := people.Press("ok"); err != nil {
		t.Fatal(err)
	}
	if _, err := people.WaitScreen(ctx, "remove"); err != nil {
		t.Fatal(err)
	}
	if err := w.Remove(ctx, Citizen); err != nil {
		t.Fatal(err)
	}
	if _, err := people.WaitScreen(ctx, "idle"); err != nil {
		t.Fatal(err)
	}
	seen, err := rec.Close()
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) < 15 {
		t.Errorf("only %d screens recorded", len(seen))
	}
	// What is on the token now, by another hand: the old pair and the new.
	out, err := w.Place.Device(Citizen).Token.Tool(ctx, "--login", "--pin", citizenPIN, "--list-objects")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Private Key Object", "Certificate Object"} {
		if n := strings.Count(string(out), want); n != 2 {
			t.Errorf("%d of %q on the token, want 2:\n%s", n, want, out)
		}
	}
}

// TestRenewalInBrowser does the same with clicks and keys in Chromium on the desk's page.
func TestRenewalInBrowser(t *testing.T) {
	w := realWorld(t, Options{Kinds: []Kind{Citizen, Officer}})
	ctx, people := t.Context(), w.People()
	page := NewPage(PageOptions{
		Glass: w.Glass, Bench: w, Log: w.Log, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Verify: func(text string) (string, error) {
			r, key, err := w.Place.Trust.Verify(text)
			if err != nil {
				return "", err
			}
			var b strings.Builder
			for _, l := range r.Report(key).Lines("en") {
				fmt.Fprintf(&b, "%s: %s\n", l.Label, l.Value)
			}
			return b.String(), nil
		},
	})
	url := serve(t, page)
	b := openBrowser(t, url, image.Point{X: 1400, Y: 1000})
	drawn := func(s Shot) { // the browser shows it too
		b.is(fmt.Sprintf(`Number(document.getElementById("screen").dataset.seq) >= %d`, s.Seq))
	}
	middle := func(s Shot, target string) image.Point {
		r, ok := s.Target(target)
		if !ok {
			t.Fatalf("screen %q has no target %q", s.ID, target)
		}
		return r.Min.Add(r.Max).Div(2)
	}
	click := func(target string) func(Shot) error {
		return func(s Shot) error {
			drawn(s)
			b.mouse(input.MousePressed, middle(s, target))
			b.mouse(input.MouseReleased, middle(s, target))
			return nil
		}
	}
	digits := func(d string) func(Shot) error {
		return func(s Shot) error {
			drawn(s)
			b.run(chromedp.KeyEvent(d))
			b.picture(s.ID)
			b.run(chromedp.KeyEvent(kb.Enter))
			return nil
		}
	}
	citizen, officer := w.Place.Device(Citizen), w.Place.Device(Officer)
	acts := Acts{
		"token": click("ok"),
		"later": click("ok"),
		"officer-insert": func(s Shot) error {
			drawn(s)
			b.click("#token-officer")
			return nil
		},
		"officer-pin": digits(officer.Token.PIN),
		"document":    click("national-card"),
		"national-id": digits(citizen.Person.NationalID),
		"feature":     click("yes"),
		"face":        click("yes"),
		"terms":       click("yes"),
		"review":      click("ok"),
		"sign": func(s Shot) error {
			drawn(s)
			b.picture("sign")
			b.mouse(input.MousePressed, middle(s, "ok"))
			if _, err := people.Wait(ctx, "the end of the hold", func(s Shot) bool { return s.ID != "sign" }); err != nil {
				return err
			}
			b.mouse(input.MouseReleased, middle(s, "ok"))
			return nil
		},
		"pin": digits(citizen.Token.PIN),
	}
	if _, err := people.WaitScreen(ctx, "idle"); err != nil {
		t.Fatal(err)
	}
	b.is(`document.getElementById("screen").dataset.screen === "idle"`)
	b.picture("idle")
	b.click("#network") // off: first the receipt that only says "recorded"
	b.is(`document.querySelector("#state-network span").textContent === "off"`)
	b.click("#token-citizen")
	if _, err := people.Walk(ctx, acts, nil, "receipt", "refused"); err != nil {
		t.Fatal(err)
	}
	shot, err := people.WaitScreen(ctx, "receipt")
	if err != nil {
		t.Fatal(err)
	}
	drawn(shot)
	b.click("#receipt")
	b.is(`document.getElementById("paper-text").textContent.startsWith("KR1:")`)
	if got := b.text("#paper-error"); got != "" {
		t.Errorf("the receipt is refused: %s", got)
	}
	b.picture("receipt")
	b.click("#paper-close")
	b.click("#network") // on: the CA answers
	shot, err = people.WaitScreen(ctx, "accepted")
	if err != nil {
		t.Fatal(err)
	}
	drawn(shot)
	b.picture("accepted")
	if err := click("ok")(shot); err != nil {
		t.Fatal(err)
	}
	if _, err := people.WaitScreen(ctx, "remove"); err != nil {
		t.Fatal(err)
	}
	b.click("#token-citizen")
	if _, err := people.WaitScreen(ctx, "idle"); err != nil {
		t.Fatal(err)
	}
	b.calm()
}
