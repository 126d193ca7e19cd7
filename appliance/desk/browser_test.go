package desk

import (
	"context"
	"fmt"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a headless Chromium with a fresh profile, and one page in it.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// openBrowser starts Chromium on url. Without Chromium the test is skipped, and says so.
func openBrowser(t *testing.T, url string, size image.Point) *browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("SKIPPED, NOT TESTED: the desk page in a browser; chromium is not installed (apt-get install chromium)")
	}
	profile, err := os.MkdirTemp("", "desk-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	alloc, stop := chromedp.NewExecAllocator(t.Context(),
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.Env("TMPDIR="+profile), chromedp.WindowSize(size.X, size.Y),
		chromedp.Flag("headless", true), chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true), chromedp.Flag("no-first-run", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-proxy-server", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.WSURLReadTimeout(60*time.Second),
	)
	ctx, cancel := chromedp.NewContext(alloc, chromedp.WithErrorf(func(format string, args ...any) {
		if !strings.HasPrefix(format, "unhandled") { // a Chromium newer than chromedp has more to tell
			fmt.Fprintf(os.Stderr, "chromedp: "+format+"\n", args...)
		}
	}))
	b := &browser{t: t, ctx: ctx}
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // asks Chromium to end and waits
		cancel()
		stop()
		// Its helpers may write for a moment longer.
		for range 50 {
			if os.RemoveAll(profile) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Logf("left behind: %s", profile)
	})
	chromedp.ListenTarget(ctx, func(ev any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch ev := ev.(type) {
		case *runtime.EventExceptionThrown:
			b.complaints = append(b.complaints, "exception: "+ev.ExceptionDetails.Error())
		case *cdplog.EventEntryAdded:
			if ev.Entry.Level == cdplog.LevelError {
				b.complaints = append(b.complaints, "log: "+ev.Entry.Text+" "+ev.Entry.URL)
			}
		}
	})
	b.run(cdplog.Enable(), chromedp.Navigate(url))
	return b
}

// run executes actions within a deadline.
func (b *browser) run(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 60*time.Second)
	defer cancel()
	// The first Run of a chromedp context starts the browser, and its context must outlive that browser.
	if chromedp.FromContext(b.ctx).Target == nil {
		ctx = b.ctx
	}
	if err := chromedp.Run(ctx, actions...); err != nil {
		b.picture("failed")
		b.t.Fatalf("browser: %v", err)
	}
}

// calm fails the test for everything that went wrong inside the page.
func (b *browser) calm() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		b.t.Errorf("the page complains: %s", c)
	}
}

// click clicks the middle of an element.
func (b *browser) click(selector string) {
	b.t.Helper()
	b.run(chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible))
}

// text returns what an element says.
func (b *browser) text(selector string) string {
	b.t.Helper()
	var s string
	b.run(chromedp.Evaluate(fmt.Sprintf("document.querySelector(%q).textContent", selector), &s))
	return strings.Join(strings.Fields(s), " ")
}

// is waits until a JavaScript expression is true.
func (b *browser) is(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.Poll(expression, nil, chromedp.WithPollingInterval(30*time.Millisecond))); err != nil {
		b.picture("failed")
		b.t.Fatalf("browser: %s never came true: %v", expression, err)
	}
}

// place returns where a point of the kiosk's screen is in the window.
func (b *browser) place(p image.Point) (x, y float64) {
	b.t.Helper()
	var r struct{ X, Y, W, H, Pixels float64 }
	b.run(chromedp.Evaluate(`(() => { const c = document.getElementById("screen"); c.scrollIntoView({block: "nearest"});
		const r = c.getBoundingClientRect(); return {X: r.x, Y: r.y, W: r.width, H: r.height, Pixels: c.width}; })()`, &r))
	scale := r.W / r.Pixels
	return r.X + (float64(p.X)+0.5)*scale, r.Y + (float64(p.Y)+0.5)*scale
}

// mouse puts the left button down or up over a point of the kiosk's screen.
func (b *browser) mouse(kind input.MouseType, p image.Point) {
	b.t.Helper()
	x, y := b.place(p)
	b.run(input.DispatchMouseEvent(kind, x, y).WithButton(input.Left).WithClickCount(1))
}

// key types a key that no keyboard chromedp knows has: a Persian digit.
func (b *browser) key(key string) {
	b.t.Helper()
	b.run(input.DispatchKeyEvent(input.KeyRawDown).WithKey(key), input.DispatchKeyEvent(input.KeyUp).WithKey(key))
}

// picture writes what the browser shows into the folder named by MOHR_PICTURES, if it is set.
func (b *browser) picture(name string) {
	dir := os.Getenv("MOHR_PICTURES")
	if dir == "" {
		return
	}
	var png []byte
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.FullScreenshot(&png, 100)); err != nil {
		b.t.Logf("picture %s: %v", name, err)
		return
	}
	path := filepath.Join(dir, strings.ReplaceAll(b.t.Name(), "/", "-")+"-"+name+".png")
	if err := os.WriteFile(path, png, 0o644); err != nil {
		b.t.Logf("picture: %v", err)
	}
}
