package panel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// events encodes input events: type, code, value, and so on.
func events(triples ...int) (b []byte) {
	for ; len(triples) > 0; triples = triples[3:] {
		b = append(b, make([]byte, 16)...) // the time is not looked at
		b = binary.LittleEndian.AppendUint16(b, uint16(triples[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(triples[1]))
		b = binary.LittleEndian.AppendUint32(b, uint32(triples[2]))
	}
	return b
}

// said is what came out of a keyboard: "+1" pressed, "-1" let go.
func said(b []byte, k *keyboard, room int) (out []string, err error) {
	err = k.read(b, func(r rune) bool {
		if room--; room < 0 {
			return false
		}
		out = append(out, fmt.Sprintf("+%c", r))
		return true
	}, func(r rune) { out = append(out, fmt.Sprintf("-%c", r)) })
	return out, err
}

func TestKeyboard(t *testing.T) {
	const one, two, l, kp1, unknown = 2, 3, 38, 79, 30
	for _, row := range []struct {
		name string
		in   []byte
		room int
		want []string
	}{
		{"press and let go", events(evKey, one, 1, 0, 0, 0, evKey, one, 0, 0, 0, 0), 9, []string{"+1", "-1"}},
		{"repeats change nothing", events(evKey, one, 1, evKey, one, 2, evKey, one, 2, evKey, one, 0), 9, []string{"+1", "-1"}},
		{"a key that was down before the grab", events(evKey, one, 2, evKey, one, 0), 9, nil},
		{"down twice", events(evKey, one, 1, evKey, one, 1, evKey, one, 0, evKey, one, 0), 9, []string{"+1", "-1"}},
		{"two keys of one meaning", events(evKey, one, 1, evKey, kp1, 1, evKey, one, 0, evKey, kp1, 0), 9, []string{"+1", "+1", "-1", "-1"}},
		{"unknown keys, kinds and values", events(evKey, unknown, 1, 3, one, 1, 4, 4, 458756, evKey, one, 3, evKey, one, -1, evKey, 0xffff, 1), 9, nil},
		{"language", events(evKey, l, 1, evKey, l, 0), 9, []string{"+L", "-L"}},
		{"dropped: let go, then nothing until the report", events(evKey, one, 1, evSyn, synDropped, 0, evKey, two, 1, evKey, one, 1, evSyn, synReport, 0, evKey, two, 1), 9, []string{"+1", "-1", "+2"}},
		{"a key that found no room is not let go", events(evKey, one, 1, evKey, two, 1, evKey, one, 0, evKey, two, 0), 1, []string{"+1", "-1"}},
	} {
		var k keyboard
		if got, err := said(row.in, &k, row.room); err != nil || !slices.Equal(got, row.want) {
			t.Errorf("%s: %q, %v, want %q", row.name, got, err, row.want)
		}
	}
	var k keyboard
	if _, err := said(events(evKey, one, 1)[:23], &k, 9); err == nil {
		t.Error("half an event was taken")
	}
}

// Every key of the map is one a keypad has, and all of them can be reached both on a
// numeric keypad and on a full keyboard.
func TestKeyMap(t *testing.T) {
	numeric := map[rune]bool{}
	full := map[rune]bool{}
	for code, key := range keyMap {
		if !ValidKey(key) {
			t.Errorf("code %d is %q", code, key)
		}
		if code == 55 || code == 98 || code >= 71 && code <= 83 || code == 96 {
			numeric[key] = true
		} else if code < 0x200 {
			full[key] = true
		}
	}
	for _, key := range "0123456789\n\bLC" {
		if !numeric[key] || !full[key] {
			t.Errorf("%q: on a numeric keypad %v, on a full keyboard %v", key, numeric[key], full[key])
		}
	}
}

// FuzzKeyboard: each key let go was pressed before, and none stays down at the end.
func FuzzKeyboard(f *testing.F) {
	f.Add(events(evKey, 2, 1, 0, 0, 0, evKey, 2, 0, 0, 0, 0), 9)
	f.Add(events(evKey, 2, 1, evSyn, synDropped, 0, evKey, 2, 1, evSyn, synReport, 0), 1)
	f.Add(events(evKey, 2, 2)[:10], 0)
	f.Fuzz(func(t *testing.T, b []byte, room int) {
		var k keyboard
		down := map[rune]int{}
		release := func(r rune) {
			if down[r]--; down[r] < 0 {
				t.Errorf("%q let go without being down", r)
			}
		}
		err := k.read(b, func(r rune) bool {
			if room--; room < 0 {
				return false
			}
			down[r]++
			return true
		}, release)
		if (err != nil) != (len(b)%sizeInputEvent != 0) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
		if len(k.down) > len(keyMap) {
			t.Errorf("%d keys down", len(k.down))
		}
		k.releaseAll(release)
		for r, n := range down {
			if n != 0 {
				t.Errorf("%q is down %d times at the end", r, n)
			}
		}
	})
}

func TestUSBPort(t *testing.T) {
	for path, want := range map[string]string{
		"/sys/devices/pci0000:00/0000:00:04.0/usb1/1-3/1-3:1.0/0003:0627:0001.0001/input/input3/event3":                      "1-3",
		"/sys/devices/platform/soc/3f980000.usb/usb1/1-1/1-1.3/1-1.3:1.0/0003:1C4F:0002.0001/input/input0/event0":            "1-1.3",
		"/sys/devices/platform/scb/fd500000.pcie/pci0000:00/0000:00:00.0/0000:01:00.0/usb2/2-1/2-1:1.1/0003:1.2/input/event": "2-1",
		"/sys/devices/pci0000:00/0000:00:04.0/usb1/1-3/input/input3/event3":                                                  "",
		"/sys/devices/pci0000:00/0000:00:04.0/usb1/1-3/1-4:1.0/input/input3/event3":                                          "",
		"/sys/devices/platform/i8042/serio0/input/input0/event0":                                                             "",
		"/sys/devices/virtual/input/input7/event7":                                                                           "",
		"/sys/devices/1-3/1-3:1.0/event0":                                                                                    "",
		"":                                                                                                                   "",
	} {
		if got := usbPort(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// inputs is a folder that looks like sysfs, with input devices that are pipes.
type inputs struct {
	t      *testing.T
	sysfs  string
	mu     sync.Mutex
	opened []string
	feeds  map[string]*io.PipeWriter
	refuse map[string]error // answers to EVIOCGRAB
	before func(name string)
}

type pipeInput struct {
	*io.PipeReader
	refuse error
}

func (p pipeInput) grab() error { return p.refuse }

func newInputs(t *testing.T) *inputs {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "class"), 0o755); err != nil {
		t.Fatal(err)
	}
	return &inputs{t: t, sysfs: dir, feeds: map[string]*io.PipeWriter{}, refuse: map[string]error{}}
}

func (i *inputs) plug(name, port string) {
	i.t.Helper()
	target := filepath.Join(i.sysfs, "devices/pci0000:00/usb1", port, port+":1.0/0003:1:2.1/input/input3", name)
	if err := os.MkdirAll(target, 0o755); err != nil {
		i.t.Fatal(err)
	}
	if err := os.Symlink(target, filepath.Join(i.sysfs, "class", name)); err != nil {
		i.t.Fatal(err)
	}
}

func (i *inputs) pull(name string) {
	i.t.Helper()
	if err := os.Remove(filepath.Join(i.sysfs, "class", name)); err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if f := i.feeds[name]; f != nil {
		f.CloseWithError(syscall.ENODEV)
	}
}

func (i *inputs) open(path string) (inputDevice, error) {
	name := filepath.Base(path)
	if i.before != nil {
		i.before(name)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.opened = append(i.opened, name)
	r, w := io.Pipe()
	i.feeds[name] = w
	return pipeInput{r, i.refuse[name]}, nil
}

// feed sends events through a device, waiting for it to be opened.
func (i *inputs) feed(name string, b []byte) {
	i.t.Helper()
	eventually(i.t, name+" is listened to", func() bool {
		i.mu.Lock()
		w := i.feeds[name]
		i.mu.Unlock()
		if w == nil {
			return false
		}
		_, err := w.Write(b)
		return err == nil
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > 30*time.Second {
			t.Fatalf("never: %s", what)
		}
	}
}

func (i *inputs) panel(log *slog.Logger) *Framebuffer {
	i.t.Helper()
	p, err := OpenFramebuffer(FramebufferOptions{
		Path: "/dev/fb0", open: drivers[0].device().open, Log: log,
		input: inputFiles{sysfs: filepath.Join(i.sysfs, "class"), dev: "/dev/input", open: i.open},
	})
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { p.Close() })
	return p
}

func nextEvent(t *testing.T, p Panel) Event {
	t.Helper()
	select {
	case e := <-p.Events():
		return e
	case <-time.After(30 * time.Second):
		t.Fatal("no event")
		return Event{}
	}
}

// The keypad is the keyboard in its port and no other; it may come late, go, and
// come back as another node.
func TestKeypad(t *testing.T) {
	i := newInputs(t)
	i.plug("event0", "1-1")   // a keyboard in the citizen's port
	i.plug("event1", "1-3.1") // one behind a hub in the keypad's port
	p := i.panel(nil)
	p.Listen("1-3")
	i.plug("event2", "1-3")
	i.feed("event2", events(evKey, 2, 1))
	if e := nextEvent(t, p); e != (Event{Kind: Key, Key: '1'}) {
		t.Errorf("pressed: %+v", e)
	}
	i.pull("event2") // with the key down
	if e := nextEvent(t, p); e != (Event{Kind: KeyUp, Key: '1'}) {
		t.Errorf("pulled: %+v", e)
	}
	i.plug("event4", "1-3")
	i.feed("event4", events(evKey, 28, 1, evKey, 28, 0))
	if a, b := nextEvent(t, p), nextEvent(t, p); a != (Event{Kind: Key, Key: KeyOK}) || b != (Event{Kind: KeyUp, Key: KeyOK}) {
		t.Errorf("put back: %+v, %+v", a, b)
	}
	p.Listen("1-1")
	i.feed("event0", events(evKey, 11, 1))
	if e := nextEvent(t, p); e != (Event{Kind: Key, Key: '0'}) {
		t.Errorf("other port: %+v", e)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if !slices.Equal(i.opened, []string{"event2", "event4", "event0"}) {
		t.Errorf("opened: %q", i.opened)
	}
}

// No grab, no use: the device is closed, and tried again.
func TestKeypadThatCannotBeGrabbed(t *testing.T) {
	i := newInputs(t)
	i.refuse["event0"] = syscall.EBUSY
	i.plug("event0", "1-3")
	var out lockedBuffer
	p := i.panel(slog.New(slog.NewTextHandler(&out, nil)))
	p.Listen("1-3")
	eventually(t, "opened twice", func() bool {
		i.mu.Lock()
		defer i.mu.Unlock()
		return len(i.opened) >= 2
	})
	i.mu.Lock()
	_, err := i.feeds["event0"].Write(events(evKey, 2, 1))
	delete(i.refuse, "event0")
	i.mu.Unlock()
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("written to a device that was not grabbed: %v", err)
	}
	i.feed("event0", events(evKey, 3, 1))
	if e := nextEvent(t, p); e != (Event{Kind: Key, Key: '2'}) {
		t.Errorf("grabbed at last: %+v", e)
	}
	if n := bytes.Count(out.Bytes(), []byte("keypad cannot be used")); n != 1 {
		t.Errorf("said %d times:\n%s", n, out.Bytes())
	}
}

// A node whose number went to another device between looking and opening is not used.
func TestKeypadSwappedNode(t *testing.T) {
	i := newInputs(t)
	i.plug("event0", "1-3")
	var once sync.Once
	i.before = func(string) {
		once.Do(func() {
			i.pull("event0")
			i.plug("event0", "1-1")
		})
	}
	var out lockedBuffer
	p := i.panel(slog.New(slog.NewTextHandler(&out, nil)))
	p.Listen("1-3")
	eventually(t, "refused", func() bool { return bytes.Contains(out.Bytes(), []byte("in another port by now")) })
	if _, err := i.feeds["event0"].Write(events(evKey, 2, 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("still open: %v", err)
	}
}

// A keyboard that never stops is bounded, and what was pressed is let go at the end.
func TestKeypadFlood(t *testing.T) {
	i := newInputs(t)
	i.plug("event0", "1-3")
	var out lockedBuffer
	p := i.panel(slog.New(slog.NewTextHandler(&out, nil)))
	p.Listen("1-3")
	flood := events(evKey, 2, 1, evKey, 2, 0, evKey, 3, 1, evKey, 3, 0)
	go func() {
		for range 1000 {
			i.mu.Lock()
			w := i.feeds["event0"]
			i.mu.Unlock()
			if w == nil {
				time.Sleep(time.Millisecond)
				continue
			}
			w.Write(flood)
		}
		i.pull("event0")
	}()
	eventually(t, "full", func() bool { return len(p.Events()) >= keysKept })
	if len(p.Events()) > eventsKept {
		t.Errorf("%d events wait", len(p.Events()))
	}
	down := 0
	eventually(t, "gone", func() bool {
		over := bytes.Contains(out.Bytes(), []byte("keypad gone"))
		for len(p.Events()) > 0 {
			if e := nextEvent(t, p); e.Kind == Key {
				down++
			} else {
				down--
			}
		}
		return over
	})
	if down != 0 {
		t.Errorf("%d keys are down for ever", down)
	}
}

// lockedBuffer takes the log of several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}
