package desk

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"mohr.internal/display/panel"
)

// fakeBench is a bench on which nothing happens but what a test looks at.
type fakeBench struct {
	notice
	mu    sync.Mutex
	state State
	done  []Action
}

func newFakeBench() *fakeBench {
	return &fakeBench{state: State{
		Network: true, Answers: "issues", Date: "2026-11-23",
		Choices: []Answer{{"issues", "issues"}, {"waits", "lets wait"}, {"rejects", "rejects"}, {"garbage", "sends garbage"}, {"silence", "says nothing"}},
		Tokens: []TokenState{
			{Key: "citizen", Role: "citizen", Title: "Citizen", TitleFa: "متقاضی", Note: "Maryam Rezaei, PIN 12345678, 20 days left"},
			{Key: "officer", Role: "officer", Title: "Officer", TitleFa: "کارشناس", Note: "Reza Karimi, PIN 87654321"},
			{Key: "unknown", Role: "other", Title: "Unknown device", TitleFa: "ناشناس", Note: "not in the catalogue"},
			{Key: "expired", Role: "citizen", Title: "Expired", TitleFa: "منقضی", Note: "ran out 20 days ago", Odd: true},
		},
		Programs: []ProgramState{{Name: "kioskd", Running: true}, {Name: "tokend", Running: true}, {Name: "syncd", Running: true}},
	}}
}

func (b *fakeBench) Changed() <-chan struct{} { return b.changed() }

func (b *fakeBench) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.state
	s.Tokens = append([]TokenState(nil), s.Tokens...)
	return s
}

func (b *fakeBench) Do(_ context.Context, a Action) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.tell()
	b.done = append(b.done, a)
	switch a.Do {
	case "insert", "remove":
		for i := range b.state.Tokens {
			if b.state.Tokens[i].Key == a.What {
				b.state.Tokens[i].In = a.Do == "insert"
				return nil
			}
		}
		return fmt.Errorf("no token %q", a.What)
	case "network":
		b.state.Network = a.On
	case "answers":
		b.state.Answers = a.What
	case "date":
		b.state.Days = a.Days
	case "power":
		return errors.New("the plug is stuck")
	}
	return nil
}

func (b *fakeBench) actions() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Sprint(b.done)
}

// servePage serves a page on a fake kiosk and bench and returns its address.
func servePage(t *testing.T, k *fakeKiosk, b Bench) (*Page, string) {
	t.Helper()
	p := NewPage(PageOptions{
		Glass: k.Glass, Bench: b, Log: newLog(new(notice)), Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Verify: func(text string) (string, error) {
			if text != "KR1:GOOD" {
				return "", fmt.Errorf("not a receipt: %q", text)
			}
			return "signature good\nstate recorded", nil
		},
	})
	return p, serve(t, p)
}

// serve serves a page until the test ends and returns its address.
func serve(t *testing.T, p *Page) string {
	t.Helper()
	urls, ended := make(chan string, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- p.Serve(ctx, 0, func(u string) { urls <- u }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case u := <-urls:
		return u
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
		panic("unreachable")
	}
}

// TestPageGuard asks for the page and presses its buttons as other pages in the same browser would.
func TestPageGuard(t *testing.T) {
	k, bench := newFakeKiosk(t), newFakeBench()
	_, url := servePage(t, k, bench)
	host := strings.Split(url, "/")[2]
	port := host[strings.LastIndex(host, ":"):]
	for _, c := range []struct {
		name, method, path string
		header             map[string]string
		want               int
	}{
		{"a person", "GET", "", nil, 200},
		{"a person who types the address", "GET", "", map[string]string{"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200},
		{"localhost", "GET", "", map[string]string{"Host": "localhost" + port}, 200},
		{"the page's own button", "POST", "bench", map[string]string{"Origin": "http://" + host, "Sec-Fetch-Site": "same-origin"}, 200},
		{"a name that points here", "GET", "", map[string]string{"Host": "attacker.example" + port}, 421},
		{"no secret", "GET", "/", nil, 404},
		{"another secret", "GET", "/" + strings.Repeat("a", 26) + "/", nil, 404},
		{"another page's form", "POST", "bench", map[string]string{"Origin": "https://attacker.example"}, 403},
		{"a page without an origin", "POST", "bench", map[string]string{"Origin": "null"}, 403},
		{"another page's picture", "GET", "frame.png", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403},
		{"another page's frame", "GET", "", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403},
		{"another port of this machine", "POST", "bench", map[string]string{"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 403},
		{"press by GET", "GET", "bench", nil, 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := url + c.path
			if strings.HasPrefix(c.path, "/") {
				target = "http://" + host + c.path
			}
			req, err := http.NewRequest(c.method, target, strings.NewReader(`{"do":"network","what":"","on":true,"days":0}`))
			if err != nil {
				t.Fatal(err)
			}
			for key, value := range c.header {
				req.Header.Set(key, value)
			}
			req.Host = c.header["Host"]
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != c.want {
				t.Errorf("status %d, want %d", resp.StatusCode, c.want)
			}
			for _, h := range []string{"Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options"} {
				if resp.Header.Get(h) == "" {
					t.Errorf("no header %s", h)
				}
			}
		})
	}
	if got, want := bench.actions(), "[{network  true 0}]"; got != want {
		t.Errorf("the bench did %s, want %s", got, want)
	}
}

// TestPageRequests sends what the page's script never sends.
func TestPageRequests(t *testing.T) {
	k := newFakeKiosk(t)
	k.show("idle", 0)
	_, url := servePage(t, k, newFakeBench())
	waitFor(t, "a picture", func() bool { _, lit := k.Glass.Latest(); return lit })
	for _, c := range []struct {
		path, body string
		status     int
		answer     string
	}{
		{"key", `{"key":"5","down":true}`, 200, `{"error":""}`},
		{"key", `{"key":"x","down":true}`, 200, `no such key`},
		{"key", `{"key":"","down":true}`, 200, `no such key`},
		{"key", `{"key":"55","down":true}`, 200, `no such key`},
		{"key", `{"key":"5"} {}`, 400, ``},
		{"key", `{"kez":"5"}`, 400, ``},
		{"touch", `{"down":true,"x":-5,"y":9999}`, 200, `{"error":""}`}, // a finger at the edge
		{"touch", `{"down":true,"x":1e99,"y":0}`, 400, ``},
		{"touch", `[]`, 400, ``},
		{"bench", `{"do":"insert","what":"nothing"}`, 200, `no token`},
		{"bench", strings.Repeat(" ", 5000) + `{}`, 400, ``},
		{"receipt", `{}`, 405, ``},
	} {
		resp, err := http.Post(url+c.path, "application/json", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.status || !strings.Contains(string(body), c.answer) {
			t.Errorf("%s %.60s: %d %s, want %d %s", c.path, c.body, resp.StatusCode, body, c.status, c.answer)
		}
	}
	if e := k.event(); e != (panel.Event{Kind: panel.Key, Key: '5'}) {
		t.Errorf("event %+v", e)
	}
	if e := k.event(); e != (panel.Event{Kind: panel.TouchDown, X: 0, Y: 479}) {
		t.Errorf("event %+v", e)
	}
}

// TestPageInBrowser uses the page as a person does: in Chromium, with mouse and keyboard.
func TestPageInBrowser(t *testing.T) {
	k, bench := newFakeKiosk(t), newFakeBench()
	first := k.show("idle", 1)
	p, url := servePage(t, k, bench)
	p.log.Add("kioskd", "journal open: 0 records")
	b := openBrowser(t, url, image.Point{X: 1400, Y: 1000})
	drawn := func(id string) {
		t.Helper()
		b.is(fmt.Sprintf(`document.getElementById("screen").dataset.screen === %q`, id))
	}
	drawn("idle")
	samePixels(t, b, first.Image)
	b.picture("idle")

	// A touch goes down and up where the mouse was, in the kiosk's own pixels.
	b.mouse(input.MousePressed, image.Pt(640, 420))
	if e := k.event(); e != (panel.Event{Kind: panel.TouchDown, X: 640, Y: 420}) {
		t.Errorf("mouse down gave %+v", e)
	}
	k.quiet() // held, not let go
	b.mouse(input.MouseReleased, image.Pt(3, 4))
	if e := k.event(); e != (panel.Event{Kind: panel.TouchUp, X: 3, Y: 4}) {
		t.Errorf("mouse up gave %+v", e)
	}

	// Many pictures at once: the last one stays.
	for i := range 20 {
		k.show(fmt.Sprintf("step-%d", i), i)
	}
	last := k.show("pin", 99)
	drawn("pin")
	samePixels(t, b, last.Image)
	if got := b.text("#spoken"); !strings.Contains(got, "خوش آمدید") || !strings.Contains(got, "ادامه") {
		t.Errorf("read aloud: %q", got)
	}

	// Keyboard: digits in three scripts, and the keys with names.
	b.run(chromedp.KeyEvent("1"))
	b.key("۲")
	b.key("٣")
	b.run(chromedp.KeyEvent("l"),
		chromedp.KeyEvent(kb.Backspace), chromedp.KeyEvent(kb.Escape), chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent("x"))
	for _, want := range "123L\bC\n" {
		for _, kind := range []panel.Kind{panel.Key, panel.KeyUp} {
			if e := k.event(); e != (panel.Event{Kind: kind, Key: want}) {
				t.Errorf("event %+v, want %v %q", e, kind, want)
			}
		}
	}
	// The keypad on the page.
	b.click(`#keypad [data-key="8"]`)
	for _, kind := range []panel.Kind{panel.Key, panel.KeyUp} {
		if e := k.event(); e != (panel.Event{Kind: kind, Key: '8'}) {
			t.Errorf("event %+v, want %v 8", e, kind)
		}
	}

	// The bench; its state is seen at once.
	b.click("#token-citizen")
	b.is(`document.querySelector("#state-citizen span").textContent === "Citizen"`)
	b.run(chromedp.KeyEvent(kb.Enter)) // goes to the kiosk, not to the button pressed last
	if e := k.event(); e.Key != '\n' {
		t.Errorf("event %+v", e)
	}
	k.event()
	b.click("#network")
	b.is(`document.querySelector("#state-network span").textContent === "off"`)
	b.click("#answer-garbage")
	b.is(`document.querySelector("#state-ca span").textContent === "sends garbage"`)
	b.click(`#date [data-days="30"]`)
	b.is(`document.querySelector("#state-date span").textContent.includes("+30 days")`)
	b.click("#power")
	b.is(`document.getElementById("toast").textContent.includes("stuck")`)
	if got, want := bench.actions(), "[{insert citizen false 0} {network  false 0} {answers garbage false 0} {date  false 30} {power  false 0}]"; got != want {
		t.Errorf("the bench did %s, want %s", got, want)
	}
	if got := b.text("#lines"); got != "kioskd journal open: 0 records" {
		t.Errorf("log: %q", got)
	}

	// The receipt is scanned off the screen and stays readable afterwards.
	b.click("#receipt")
	b.is(`document.getElementById("paper").open && document.getElementById("paper-error").textContent.includes("no receipt")`)
	b.click("#paper-close")
	k.showQR("receipt", "KR1:GOOD")
	drawn("receipt")
	k.show("idle", 5)
	drawn("idle")
	b.click("#receipt")
	b.is(`document.getElementById("paper-result").textContent.includes("signature good")`)
	if got := b.text("#paper-text"); got != "KR1:GOOD" {
		t.Errorf("receipt text %q", got)
	}
	b.picture("receipt")
	b.click("#paper-close")

	// A hand that goes away lets go.
	b.mouse(input.MousePressed, image.Pt(100, 100))
	k.event()
	b.run(chromedp.Navigate("about:blank"))
	if e := k.event(); e.Kind != panel.TouchUp {
		t.Errorf("after the page was closed: %+v", e)
	}
	b.calm()
}

// TestPageDark ends the kiosk: the page says so and comes back.
func TestPageDark(t *testing.T) {
	k := newFakeKiosk(t)
	k.show("idle", 1)
	_, url := servePage(t, k, newFakeBench())
	b := openBrowser(t, url, image.Point{X: 1000, Y: 900})
	b.is(`document.getElementById("screen").dataset.screen === "idle"`)
	k.socket.Close()
	b.is(`document.body.classList.contains("dark")`)
	b.picture("dark")
	b.run(chromedp.KeyEvent("1"))
	b.is(`document.getElementById("toast").textContent.includes("dark")`)
	b.calm()
}

// samePixels compares the canvas with the kiosk's picture, all of it.
func samePixels(t *testing.T, b *browser, want *image.RGBA) {
	t.Helper()
	var sum string
	b.run(chromedp.Evaluate(`(() => { const c = document.getElementById("screen"); const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
		let h = 0x811c9dc5; for (const v of d) h = Math.imul(h ^ v, 0x01000193) >>> 0; return c.width + "x" + c.height + " " + h; })()`, &sum))
	h := uint32(0x811c9dc5)
	for _, v := range want.Pix {
		h = (h ^ uint32(v)) * 0x01000193
	}
	if w := fmt.Sprintf("%dx%d %d", want.Rect.Dx(), want.Rect.Dy(), h); sum != w {
		t.Errorf("canvas %s, kiosk %s: the pixels differ", sum, w)
	}
}

// waitFor polls until ok, for what gives no signal.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s never came", what)
		}
	}
}
