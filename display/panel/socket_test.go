package panel

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/color"
	"image/draw"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"periph.io/x/conn/v3/display/displaytest"

	"mohr.internal/display"
)

var testSize = image.Pt(64, 48)

// picture is one colour with one pixel of another.
func picture(size image.Point, c color.Color, spot image.Point) *display.Frame {
	m := image.NewRGBA(image.Rectangle{Max: size})
	draw.Draw(m, m.Rect, image.NewUniform(c), image.Point{}, draw.Src)
	m.Set(spot.X, spot.Y, color.RGBA{1, 2, 3, 255})
	return &display.Frame{Image: m, Targets: []display.Target{{ID: "go", Rect: image.Rect(10, 10, 20, 20)}}}
}

func listen(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func serve(t *testing.T, path string, size image.Point) *Server {
	t.Helper()
	s, err := Serve(listen(t, path), size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func dial(t *testing.T, path string) *Socket {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	p, err := Dial(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v, ok := <-c:
		if !ok {
			t.Fatal("channel closed")
		}
		return v
	case <-time.After(time.Minute):
		t.Fatal("nothing came in a minute")
	}
	panic("unreachable")
}

func TestShowAndInput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "panel.sock")
	desk := serve(t, path, testSize)
	kiosk := dial(t, path)
	if kiosk.Size() != testSize {
		t.Fatalf("size %v, want %v", kiosk.Size(), testSize)
	}
	screen := display.Screen{ID: "pin", Mood: display.Ask, Lang: "fa", RTL: true, Title: "رمز <&>", Lines: []string{"bad \xff utf-8"}}
	want := picture(testSize, color.White, image.Pt(3, 4))
	if err := kiosk.Show(screen, want); err != nil {
		t.Fatal(err)
	}
	got := next(t, desk.Frames())
	if got.Screen != "pin" || got.Mood != "ask" || got.Title != screen.Title || !got.RTL || !strings.Contains(got.Text, "رمز") {
		t.Errorf("metadata: %+v", got)
	}
	if !bytes.Equal(got.Image.Pix, want.Image.Pix) || got.Dirty != want.Image.Rect {
		t.Errorf("first frame: dirty %v, pixels differ", got.Dirty)
	}

	moved := picture(testSize, color.White, image.Pt(7, 2))
	if err := kiosk.Show(screen, moved); err != nil {
		t.Fatal(err)
	}
	got = next(t, desk.Frames())
	if got.Dirty != image.Rect(3, 2, 8, 5) || !bytes.Equal(got.Image.Pix, moved.Image.Pix) {
		t.Errorf("second frame: dirty %v", got.Dirty)
	}
	screen.Title = "same pixels, other words"
	if err := kiosk.Show(screen, moved); err != nil {
		t.Fatal(err)
	}
	if got = next(t, desk.Frames()); !got.Dirty.Empty() || got.Title != screen.Title {
		t.Errorf("third frame: dirty %v, title %q", got.Dirty, got.Title)
	}

	for _, e := range []Event{
		{Kind: Key, Key: '0'}, {Kind: KeyUp, Key: '9'}, {Kind: Key, Key: KeyOK}, {Kind: Key, Key: KeyBack},
		{Kind: Key, Key: KeyLanguage}, {Kind: Key, Key: KeyCancel}, {Kind: TouchDown, X: 0, Y: 47}, {Kind: TouchUp, X: 63},
	} {
		if err := desk.Send(e); err != nil {
			t.Errorf("%+v: %v", e, err)
		} else if got := next(t, kiosk.Events()); got != e {
			t.Errorf("sent %+v, got %+v", e, got)
		}
	}
	for _, e := range []Event{
		{}, {Kind: Resized}, {Kind: 99}, {Kind: Key}, {Kind: Key, Key: 'x'}, {Kind: Key, Key: '۱'}, {Kind: Key, Key: '1', X: 1},
		{Kind: TouchDown, X: 64}, {Kind: TouchDown, Y: -1}, {Kind: TouchUp, Key: '1'},
	} {
		if err := desk.Send(e); err == nil {
			t.Errorf("%+v was sent", e)
		}
	}
	if err := desk.Tap("go"); err != nil {
		t.Fatal(err)
	}
	if got := next(t, kiosk.Events()); got != (Event{Kind: TouchDown, X: 15, Y: 15}) {
		t.Errorf("tap: %+v", got)
	}
	next(t, kiosk.Events())
	if err := desk.Tap("stop"); err == nil || !strings.Contains(err.Error(), `"stop"`) {
		t.Errorf("tap on nothing: %v", err)
	}
	if err := kiosk.Show(screen, picture(image.Pt(9, 9), color.White, image.Point{})); err == nil {
		t.Error("a frame of another size was taken")
	}
	if err := kiosk.Show(screen, nil); err == nil {
		t.Error("nil frame was taken")
	}
}

func TestReconnect(t *testing.T) {
	path := filepath.Join(t.TempDir(), "panel.sock")
	desk := serve(t, path, testSize)
	kiosk := dial(t, path)
	kiosk.Show(display.Screen{ID: "one"}, picture(testSize, color.White, image.Point{}))
	next(t, desk.Frames())
	if err := desk.Close(); err != nil {
		t.Fatal(err)
	}
	// Shown to nobody: kept, and no error.
	last := picture(testSize, color.Black, image.Pt(1, 1))
	if err := kiosk.Show(display.Screen{ID: "two"}, last); err != nil {
		t.Fatal(err)
	}
	desk = serve(t, path, testSize)
	got := next(t, desk.Frames())
	if got.Screen != "two" || got.Dirty != last.Image.Rect || got.Seq != 1 || !bytes.Equal(got.Image.Pix, last.Image.Pix) {
		t.Errorf("after coming back: %q, dirty %v, seq %d", got.Screen, got.Dirty, got.Seq)
	}

	// The desk comes back with another panel.
	desk.Close()
	desk = serve(t, path, image.Pt(80, 60))
	if e := next(t, kiosk.Events()); e.Kind != Resized || kiosk.Size() != image.Pt(80, 60) {
		t.Errorf("event %+v, size %v", e, kiosk.Size())
	}
	kiosk.Show(display.Screen{ID: "three"}, picture(image.Pt(80, 60), color.White, image.Point{}))
	if got := next(t, desk.Frames()); got.Screen != "three" {
		t.Errorf("after another size: %q", got.Screen)
	}
}

// A kiosk that is killed and starts again takes the old one's place.
func TestNewestKioskWins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "panel.sock")
	desk := serve(t, path, testSize)
	dial(t, path).Close()
	kiosk := dial(t, path)
	kiosk.Show(display.Screen{ID: "again"}, picture(testSize, color.White, image.Point{}))
	if got := next(t, desk.Frames()); got.Screen != "again" {
		t.Errorf("screen %q", got.Screen)
	}
	if up, _ := desk.Connected(); !up {
		t.Error("not connected")
	}
}

// A desk that does not read must not hold up the kiosk.
func TestStuckDesk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "panel.sock")
	l := listen(t, path)
	defer l.Close()
	size := image.Pt(1920, 1080)
	conns := make(chan net.Conn, 8)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			data, _ := json.Marshal(hello{wireVersion, size.X, size.Y})
			writeMessage(conn, kindHello, data)
			conns <- conn
		}
	}()
	kiosk := dial(t, path)
	defer func() { (<-conns).Close() }()
	start := time.Now()
	for i := range 2 {
		kiosk.Show(display.Screen{ID: "big"}, picture(size, color.Gray{uint8(i)}, image.Point{}))
	}
	if d := time.Since(start); d > 3*sendTimeout {
		t.Errorf("two frames took %v", d)
	}
}

func TestDialGivesUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, filepath.Join(t.TempDir(), "none.sock")); err == nil {
		t.Fatal("connected to nothing")
	}
}

// Nobody reading Frames or Events loses the oldest frames, and stops nothing.
func TestNobodyListens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "panel.sock")
	desk := serve(t, path, testSize)
	kiosk := dial(t, path)
	for i := range framesKept + 5 {
		kiosk.Show(display.Screen{ID: "many"}, picture(testSize, color.White, image.Pt(i, 0)))
	}
	for range 2 * eventsKept {
		if err := desk.Send(Event{Kind: Key, Key: '1'}); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(time.Minute); desk.Lost() < 5; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("lost %d frames, want 5", desk.Lost())
		}
	}
	if got := next(t, desk.Frames()); got.Seq != 6 {
		t.Errorf("oldest kept frame is %d, want 6", got.Seq)
	}
	if got, _ := desk.Latest(); got.Seq != framesKept+5 {
		t.Errorf("latest is %d", got.Seq)
	}
}

func TestSendWithoutKiosk(t *testing.T) {
	desk := serve(t, filepath.Join(t.TempDir(), "panel.sock"), testSize)
	if err := desk.Send(Event{Kind: Key, Key: '1'}); err != ErrAway {
		t.Errorf("got %v", err)
	}
}

func TestClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "panel.sock")
	serve(t, path, testSize)
	kiosk := dial(t, path)
	kiosk.Close()
	if err := kiosk.Show(display.Screen{}, picture(testSize, color.White, image.Point{})); err != ErrClosed {
		t.Errorf("got %v", err)
	}
	if _, ok := <-kiosk.Events(); ok {
		t.Error("events still open")
	}
}

// A display that periph knows shows the same pixels as the socket.
func TestDrawer(t *testing.T) {
	m := image.NewNRGBA(image.Rectangle{Max: testSize})
	p := FromDrawer(&displaytest.Drawer{Img: m}, nil)
	f := picture(testSize, color.White, image.Pt(3, 4))
	if err := p.Show(display.Screen{ID: "a"}, f); err != nil {
		t.Fatal(err)
	}
	m.Set(60, 40, color.Black) // not in the dirty rectangle: must stay
	f = picture(testSize, color.White, image.Pt(5, 5))
	if err := p.Show(display.Screen{ID: "b"}, f); err != nil {
		t.Fatal(err)
	}
	for y := range testSize.Y {
		for x := range testSize.X {
			want := color.RGBAModel.Convert(f.Image.At(x, y))
			if x == 60 && y == 40 {
				want = color.RGBA{A: 255}
			}
			if got := color.RGBAModel.Convert(m.At(x, y)); got != want {
				t.Fatalf("pixel %d,%d is %v, want %v", x, y, got, want)
			}
		}
	}
	if p.Size() != testSize || p.Show(display.Screen{}, picture(image.Pt(1, 1), color.White, image.Point{})) == nil {
		t.Error("size is not minded")
	}
}

// The socket is itself a periph display.
func TestSocketAsDrawer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "panel.sock")
	desk := serve(t, path, testSize)
	kiosk := dial(t, path)
	if err := kiosk.Draw(image.Rect(5, 6, 9, 12), image.White, image.Point{}); err != nil {
		t.Fatal(err)
	}
	if f := next(t, desk.Frames()); f.Image.RGBAAt(5, 6) != (color.RGBA{255, 255, 255, 255}) || f.Image.RGBAAt(4, 6) != (color.RGBA{}) {
		t.Error("not drawn")
	}
	if err := kiosk.Halt(); err != nil {
		t.Fatal(err)
	}
	if f := next(t, desk.Frames()); f.Image.RGBAAt(5, 6) != (color.RGBA{A: 255}) {
		t.Error("not blank")
	}
}
