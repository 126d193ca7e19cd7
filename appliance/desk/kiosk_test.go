package desk

import (
	"context"
	"image"
	"image/color"
	"path/filepath"
	"testing"
	"time"

	qrcode "github.com/skip2/go-qrcode"

	"mohr.internal/display"
	"mohr.internal/display/panel"
)

var smallPanel = image.Point{X: 800, Y: 480}

// fakeKiosk is a kiosk's end of the panel that draws what a test wants and notes what a hand does.
type fakeKiosk struct {
	t      *testing.T
	socket *panel.Socket
	Glass  *Glass
}

// newFakeKiosk returns a kiosk that is connected to a glass.
func newFakeKiosk(t *testing.T) *fakeKiosk {
	t.Helper()
	path := filepath.Join(t.TempDir(), "panel.sock")
	g := NewGlass()
	if err := g.Serve(t.Context(), path, smallPanel); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := panel.Dial(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &fakeKiosk{t: t, socket: s, Glass: g}
}

// show draws a screen with two targets, whose pixels differ for each seed and use all of the range.
func (k *fakeKiosk) show(id string, seed int) *display.Frame {
	k.t.Helper()
	img := image.NewRGBA(image.Rectangle{Max: smallPanel})
	for y := range smallPanel.Y {
		for x := range smallPanel.X {
			img.SetRGBA(x, y, color.RGBA{uint8(x * 255 / smallPanel.X), uint8(y * 255 / smallPanel.Y), uint8(x*y + 37*seed), 255})
		}
	}
	return k.draw(id, img)
}

func (k *fakeKiosk) draw(id string, img *image.RGBA) *display.Frame {
	k.t.Helper()
	f := &display.Frame{Image: img, Targets: []display.Target{
		{ID: "go", Rect: image.Rect(500, 380, 780, 460)}, {ID: "key:7", Rect: image.Rect(20, 300, 90, 360)},
	}}
	s := display.Screen{ID: id, Mood: display.Ask, Lang: "fa", RTL: true, Title: "خوش آمدید", Choices: []display.Choice{{ID: "go", Label: "ادامه"}}}
	if err := k.socket.Show(s, f); err != nil {
		k.t.Fatal(err)
	}
	return f
}

// showQR draws a screen with a QR symbol on it.
func (k *fakeKiosk) showQR(id, text string) {
	k.t.Helper()
	q, err := qrcode.New(text, qrcode.Medium)
	if err != nil {
		k.t.Fatal(err)
	}
	img := image.NewRGBA(image.Rectangle{Max: smallPanel})
	for y := range smallPanel.Y {
		for x := range smallPanel.X {
			img.Set(x, y, color.White)
		}
	}
	symbol := q.Image(400)
	for y := range 400 {
		for x := range 400 {
			img.Set(x+30, y+30, symbol.At(x, y))
		}
	}
	k.draw(id, img)
}

// event returns the next touch or key.
func (k *fakeKiosk) event() panel.Event {
	k.t.Helper()
	select {
	case e := <-k.socket.Events():
		return e
	case <-time.After(time.Minute):
		k.t.Fatal("no event came to the kiosk")
		panic("unreachable")
	}
}

// quiet fails if anything comes to the kiosk within a moment.
func (k *fakeKiosk) quiet() {
	k.t.Helper()
	select {
	case e := <-k.socket.Events():
		k.t.Fatalf("an event came to the kiosk: %+v", e)
	case <-time.After(150 * time.Millisecond):
	}
}
