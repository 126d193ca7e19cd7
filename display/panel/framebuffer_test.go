package panel

import (
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mohr.internal/display"
)

// fakeFB is a framebuffer in memory. fix and vary are what its driver answers.
type fakeFB struct {
	mu      sync.Mutex
	fix     [sizeFScreenInfo]byte
	vary    [sizeVScreenInfo]byte
	memory  []byte
	written int
	gone    bool
}

func (f *fakeFB) open(string) (fbDevice, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		return nil, syscall.ENODEV
	}
	return f, nil
}

func (f *fakeFB) info(v *[sizeVScreenInfo]byte, fix *[sizeFScreenInfo]byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	*v, *fix = f.vary, f.fix
	if f.gone {
		return syscall.ENODEV
	}
	return nil
}

func (f *fakeFB) WriteAt(b []byte, at int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		return 0, syscall.ENODEV
	}
	if at < 0 || at+int64(len(b)) > int64(len(f.memory)) {
		return 0, syscall.ENOSPC
	}
	f.written += len(b)
	return copy(f.memory[at:], b), nil
}

func (f *fakeFB) Close() error { return nil }

func (f *fakeFB) pull(gone bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone = gone
}

// word sets one 32-bit word of fb_var_screeninfo.
func (f *fakeFB) word(i int, v uint32) *fakeFB {
	f.mu.Lock()
	defer f.mu.Unlock()
	binary.LittleEndian.PutUint32(f.vary[4*i:], v)
	return f
}

func (f *fakeFB) fixed(at int, v uint32) *fakeFB {
	binary.LittleEndian.PutUint32(f.fix[at:], v)
	return f
}

// driver describes a screen as a driver would.
type driver struct {
	name                string
	width, height       int
	virtualW, virtualH  int
	xoff, yoff          int
	line, bits          int
	red, green, blue, a channel
}

var drivers = []driver{
	{"efifb in QEMU", 800, 600, 800, 600, 0, 0, 3200, 32, channel{16, 8}, channel{8, 8}, channel{0, 8}, channel{24, 8}},
	{"virtio-gpu", 1280, 800, 1280, 800, 0, 0, 5120, 32, channel{16, 8}, channel{8, 8}, channel{0, 8}, channel{}},
	{"bcm2708_fb, red first", 800, 480, 800, 960, 0, 480, 3200, 32, channel{0, 8}, channel{8, 8}, channel{16, 8}, channel{24, 8}},
	{"vc4 at 1080p, 565", 1920, 1080, 1920, 1080, 0, 0, 3840, 16, channel{11, 5}, channel{5, 6}, channel{0, 5}, channel{}},
	{"vc4 at 1080p", 1920, 1080, 1920, 1080, 0, 0, 7680, 32, channel{16, 8}, channel{8, 8}, channel{0, 8}, channel{}},
	{"padded lines, 1366 wide", 1366, 768, 1400, 800, 7, 9, 5888, 32, channel{24, 8}, channel{16, 8}, channel{8, 8}, channel{}},
	{"555 with alpha, padded", 640, 480, 640, 480, 0, 0, 1290, 16, channel{10, 5}, channel{5, 5}, channel{0, 5}, channel{15, 1}},
	{"565, blue first", 640, 480, 640, 960, 0, 480, 1280, 16, channel{0, 5}, channel{5, 6}, channel{11, 5}, channel{}},
}

func (d driver) device() *fakeFB {
	f := &fakeFB{memory: make([]byte, d.line*d.virtualH)}
	for i, v := range []int{d.width, d.height, d.virtualW, d.virtualH, d.xoff, d.yoff, d.bits} {
		f.word(i, uint32(v))
	}
	for i, c := range []channel{d.red, d.green, d.blue, d.a} {
		f.word(8+3*i, c.offset).word(9+3*i, c.length)
	}
	f.fixed(24, uint32(len(f.memory))).fixed(36, fbVisualTrueColor).fixed(48, uint32(d.line))
	return f
}

// pixel reads a visible pixel back, on a way of its own.
func (d driver) pixel(f *fakeFB, x, y int) (c color.RGBA, alpha uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := (d.yoff+y)*d.line + (d.xoff+x)*d.bits/8
	var v uint32
	for i := range d.bits / 8 {
		v |= uint32(f.memory[at+i]) << (8 * i)
	}
	get := func(c channel) uint32 { return v >> c.offset & (1<<c.length - 1) }
	return color.RGBA{uint8(get(d.red) << (8 - d.red.length)), uint8(get(d.green) << (8 - d.green.length)), uint8(get(d.blue) << (8 - d.blue.length)), 255}, get(d.a)
}

func openFake(t *testing.T, f *fakeFB) *Framebuffer {
	t.Helper()
	p, err := OpenFramebuffer(FramebufferOptions{Path: "/dev/fb0", open: f.open})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func noise(size image.Point, seed uint64) *image.RGBA {
	m := image.NewRGBA(image.Rectangle{Max: size})
	r := rand.New(rand.NewPCG(seed, 1))
	for i := 0; i < len(m.Pix); i += 4 {
		v := r.Uint32()
		m.Pix[i], m.Pix[i+1], m.Pix[i+2], m.Pix[i+3] = byte(v), byte(v>>8), byte(v>>16), 255
	}
	return m
}

// Every pixel comes out in its place and colour, whatever the driver's layout; what
// lies outside the visible part is not touched.
func TestFramebufferLayouts(t *testing.T) {
	for _, d := range drivers {
		t.Run(d.name, func(t *testing.T) {
			f := d.device()
			for i := range f.memory {
				f.memory[i] = 0xA5
			}
			p := openFake(t, f)
			if p.Size() != image.Pt(d.width, d.height) {
				t.Fatalf("size %v", p.Size())
			}
			m := noise(p.Size(), 1)
			if err := p.Show(display.Screen{}, &display.Frame{Image: m}); err != nil {
				t.Fatal(err)
			}
			for y := range d.height {
				for x := range d.width {
					want := m.RGBAAt(x, y)
					want.R &= 0xff << (8 - d.red.length)
					want.G &= 0xff << (8 - d.green.length)
					want.B &= 0xff << (8 - d.blue.length)
					got, alpha := d.pixel(f, x, y)
					if got != want || alpha != 1<<d.a.length-1 {
						t.Fatalf("at %d,%d: %v alpha %d, want %v", x, y, got, alpha, want)
					}
				}
			}
			visible := d.width * d.height * d.bits / 8
			untouched := 0
			for _, b := range f.memory {
				if b == 0xA5 {
					untouched++
				}
			}
			if rest := len(f.memory) - visible; untouched < rest || f.written != visible {
				t.Errorf("%d bytes written, %d of %d left alone; visible are %d", f.written, untouched, rest, visible)
			}
			again := &image.RGBA{Pix: append([]byte(nil), m.Pix...), Stride: m.Stride, Rect: m.Rect}
			again.SetRGBA(100, 50, color.RGBA{1, 2, 3, 255})
			again.SetRGBA(103, 52, color.RGBA{1, 2, 3, 255})
			f.written = 0
			if err := p.Show(display.Screen{}, &display.Frame{Image: again}); err != nil {
				t.Fatal(err)
			}
			if got, _ := d.pixel(f, 103, 52); got.B != 3&(0xff<<(8-d.blue.length)) {
				t.Errorf("changed to %v", got)
			}
			if want := 4 * 3 * d.bits / 8; f.written != want {
				t.Errorf("%d bytes written for a change of 4x3 pixels, want %d", f.written, want)
			}
		})
	}
}

// What a driver says is not believed where it cannot be true or would be drawn wrong.
func TestFramebufferHostile(t *testing.T) {
	const all = 1<<32 - 1
	for name, spoil := range map[string]func(f *fakeFB){
		"0x0":                func(f *fakeFB) { f.word(0, 0).word(1, 0) },
		"639x600":            func(f *fakeFB) { f.word(0, 639) },
		"800x479":            func(f *fakeFB) { f.word(1, 479) },
		"4097x600":           func(f *fakeFB) { f.word(0, 4097) },
		"800x4294967295":     func(f *fakeFB) { f.word(1, all) },
		"offset":             func(f *fakeFB) { f.word(4, all) },
		"offset 0,":          func(f *fakeFB) { f.word(5, all) },
		"24 bits":            func(f *fakeFB) { f.word(6, 24) },
		"8 bits":             func(f *fakeFB) { f.word(6, 8) },
		"0 bits":             func(f *fakeFB) { f.word(6, 0) },
		"grey":               func(f *fakeFB) { f.word(7, 1) },
		"red has 0":          func(f *fakeFB) { f.word(9, 0) },
		"red has 9":          func(f *fakeFB) { f.word(9, 9) },
		"red has 8 bits at ": func(f *fakeFB) { f.word(8, 25) },
		"green has 8":        func(f *fakeFB) { f.word(11, all) },
		"overlaps":           func(f *fakeFB) { f.word(14, 8) },
		"msb_right 1":        func(f *fakeFB) { f.word(10, 1) },
		"type 1":             func(f *fakeFB) { f.fixed(28, 1) },
		"visual 3":           func(f *fakeFB) { f.fixed(36, 3) },
		"line of 3199":       func(f *fakeFB) { f.fixed(48, 3199) },
		"line of 4294967295": func(f *fakeFB) { f.fixed(48, all) },
		"memory":             func(f *fakeFB) { f.fixed(24, 800*600*4-1) },
	} {
		f := drivers[0].device()
		spoil(f)
		_, err := OpenFramebuffer(FramebufferOptions{Path: "/dev/fb0", open: f.open})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The device may go and come back, also with another size.
func TestFramebufferReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := drivers[0]
		f := d.device()
		p, err := OpenFramebuffer(FramebufferOptions{Path: "/dev/fb0", open: f.open})
		if err != nil {
			t.Fatal(err)
		}
		show := func(seed uint64) {
			t.Helper()
			if err := p.Show(display.Screen{}, &display.Frame{Image: noise(p.Size(), seed)}); err != nil {
				t.Fatal(err)
			}
		}
		onGlass := func(d driver, seed uint64) {
			t.Helper()
			synctest.Wait()
			m := noise(p.Size(), seed)
			if got, _ := d.pixel(f, 11, 7); got != m.RGBAAt(11, 7) {
				t.Errorf("%v on the glass, want %v", got, m.RGBAAt(11, 7))
			}
		}
		show(1)
		f.pull(true)
		show(2) // noticed here
		time.Sleep(5 * time.Second)
		show(3)
		f.pull(false)
		time.Sleep(2 * fbRetry)
		onGlass(d, 3)

		clear(f.memory) // a monitor that was away
		time.Sleep(2 * fbRepaint)
		onGlass(d, 3)

		f.word(0, 640).word(1, 480)
		smaller := d
		smaller.width, smaller.height = 640, 480
		old := noise(image.Pt(800, 600), 4)
		if err := p.Show(display.Screen{}, &display.Frame{Image: old}); err != nil {
			t.Errorf("noticing the new size: %v", err)
		}
		if e := <-p.Events(); e.Kind != Resized || p.Size() != image.Pt(640, 480) {
			t.Errorf("%v, size %v", e.Kind, p.Size())
		}
		if err := p.Show(display.Screen{}, &display.Frame{Image: old}); err == nil {
			t.Error("a picture of the old size was taken")
		}
		show(5)
		onGlass(smaller, 5)
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := p.Show(display.Screen{}, &display.Frame{Image: old}); !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}

func TestFramebufferMissing(t *testing.T) {
	if _, err := OpenFramebuffer(FramebufferOptions{Path: "/nonexistent/fb0"}); !errors.Is(err, syscall.ENOENT) {
		t.Error(err)
	}
	// A file that is no framebuffer is refused by the kernel.
	if _, err := OpenFramebuffer(FramebufferOptions{Path: "/dev/null"}); err == nil || !strings.Contains(err.Error(), "FBIOGET_VSCREENINFO") {
		t.Error(err)
	}
}

// fakeVT is a console that notes what is set.
type fakeVT struct {
	values map[uintptr]int
	log    []int
	fail   uintptr
	closed bool
}

func (v *fakeVT) get(request uintptr) (int, error) { return v.values[request], nil }
func (v *fakeVT) set(request uintptr, value int) error {
	if request == v.fail {
		return syscall.EPERM
	}
	v.log = append(v.log, int(request), value)
	return nil
}
func (v *fakeVT) Close() error { v.closed = true; return nil }

// The console is silent while the panel is open, and as before afterwards.
func TestConsole(t *testing.T) {
	const kbUnicode = 3
	open := func(v *fakeVT, err error) (*Framebuffer, error) {
		v.values = map[uintptr]int{kdGetMode: 0, kdGetKBMode: kbUnicode}
		return OpenFramebuffer(FramebufferOptions{
			Path: "/dev/fb0", Console: "/dev/tty1", open: drivers[0].device().open,
			openConsole: func(string) (vt, error) { return v, err },
		})
	}
	v := &fakeVT{}
	p, err := open(v, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := v.log, []int{kdSetKBMode, kbOff, kdSetMode, kdGraphics}; !slices.Equal(got, want) {
		t.Errorf("open: %#x, want %#x", got, want)
	}
	v.log = nil
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := v.log, []int{kdSetMode, 0, kdSetKBMode, kbUnicode}; !slices.Equal(got, want) || !v.closed {
		t.Errorf("close: %#x, want %#x, closed %v", got, want, v.closed)
	}
	v = &fakeVT{fail: kdSetMode}
	if _, err := open(v, nil); !errors.Is(err, syscall.EPERM) || !v.closed {
		t.Errorf("refused: %v, closed %v", err, v.closed)
	}
	if _, err := open(&fakeVT{}, syscall.EACCES); !errors.Is(err, syscall.EACCES) {
		t.Errorf("no right: %v", err)
	}
	p, err = open(&fakeVT{}, syscall.ENOENT) // a kernel without virtual terminals
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
}

// FuzzGeometry: whatever a driver says, what is accepted is written within its memory.
func FuzzGeometry(f *testing.F) {
	for _, d := range drivers {
		dev := d.device()
		f.Add(dev.vary[:], dev.fix[:])
	}
	f.Fuzz(func(t *testing.T, v, fix []byte) {
		var vary [sizeVScreenInfo]byte
		var fixed [sizeFScreenInfo]byte
		copy(vary[:], v)
		copy(fixed[:], fix)
		g, err := parseGeometry(&vary, &fixed)
		if err != nil {
			return
		}
		memory := int64(binary.LittleEndian.Uint32(fixed[24:]))
		end := g.at(g.size.X-1, g.size.Y-1) + int64(g.pixel)
		if g.at(0, 0) < 0 || memory != 0 && end > memory || end > maxFBLine*2*maxFBLines {
			t.Errorf("%+v ends at %d of %d", g, end, memory)
		}
		if n := len(g.appendPixels(nil, make([]byte, 8))); n != 2*g.pixel {
			t.Errorf("two pixels are %d bytes, want %d", n, 2*g.pixel)
		}
	})
}
