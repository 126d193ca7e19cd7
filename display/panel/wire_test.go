package panel

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"image"
	"strings"
	"testing"

	"mohr.internal/display"
)

func TestDirtyRect(t *testing.T) {
	at := func(points ...image.Point) *image.RGBA {
		m := image.NewRGBA(image.Rect(0, 0, 7, 5))
		for _, p := range points {
			m.Pix[m.PixOffset(p.X, p.Y)+3] = 9
		}
		return m
	}
	for _, c := range []struct {
		b    *image.RGBA
		want image.Rectangle
	}{
		{at(), image.Rectangle{}},
		{at(image.Pt(0, 0)), image.Rect(0, 0, 1, 1)},
		{at(image.Pt(6, 4)), image.Rect(6, 4, 7, 5)},
		{at(image.Pt(1, 3), image.Pt(4, 1)), image.Rect(1, 1, 5, 4)},
		{at(image.Pt(0, 2), image.Pt(6, 2)), image.Rect(0, 2, 7, 3)},
	} {
		if got := dirtyRect(at(), c.b); got != c.want {
			t.Errorf("got %v, want %v", got, c.want)
		}
	}
}

func frameBody(t testing.TB, seq uint64, s display.Screen, targets []display.Target, r image.Rectangle) []byte {
	head, err := encodeHeader(seq, s, targets, r)
	if err != nil {
		t.Fatal(err)
	}
	return append(head, make([]byte, r.Dx()*r.Dy()*4)...)
}

func TestDecodeFrameRefuses(t *testing.T) {
	good := frameBody(t, 1, display.Screen{ID: "x"}, []display.Target{{ID: "go", Rect: image.Rect(1, 1, 2, 2)}}, image.Rect(0, 0, 2, 2))
	if _, _, _, _, err := decodeFrame(kindFrame, good, testSize); err != nil {
		t.Fatal(err)
	}
	edit := func(old, new string) []byte {
		n := binary.BigEndian.Uint32(good)
		head := bytes.Replace(good[4:4+n:4+n], []byte(old), []byte(new), 1)
		if bytes.Equal(head, good[4:4+n]) {
			t.Fatalf("%q is not in the header", old)
		}
		return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(head))), head...), good[4+n:]...)
	}
	for name, body := range map[string][]byte{
		"empty":           nil,
		"short":           good[:3],
		"header length":   append([]byte{0xff, 0xff, 0xff, 0xff}, good[4:]...),
		"pixel missing":   good[:len(good)-1],
		"pixel too many":  append(good[:len(good):len(good)], 0),
		"unknown member":  edit(`{"seq"`, `{"more":1,"seq"`),
		"twice":           edit(`{"seq":1`, `{"seq":1,"seq":1`),
		"space":           edit(`{"seq"`, `{ "seq"`),
		"other case":      edit(`{"seq"`, `{"Seq"`),
		"mood":            edit(`"calm"`, `"glad"`),
		"outside":         edit(`[0,0,2,2]`, `[63,0,2,2]`),
		"negative":        edit(`[0,0,2,2]`, `[0,0,-2,-2]`),
		"overflow":        edit(`[0,0,2,2]`, `[0,0,4611686018427387904,4]`),
		"target outside":  edit(`[1,1,1,1]`, `[1,1,1,48]`),
		"target nameless": edit(`"go"`, `""`),
		"no targets":      edit(`[{"id":"go","box":[1,1,1,1]}]`, `null`),
		"long name":       edit(`"x"`, `"`+strings.Repeat("x", maxID+1)+`"`),
	} {
		if h, dirty, targets, pix, err := decodeFrame(kindFrame, body, testSize); err == nil {
			t.Errorf("%s: taken", name)
		} else if h.Seq != 0 || !dirty.Empty() || targets != nil || pix != nil {
			t.Errorf("%s: error, but also a result", name)
		}
	}
	if _, _, _, _, err := decodeFrame(kindEvent, good, testSize); err == nil {
		t.Error("an event was taken for a frame")
	}
}

func TestMessageCap(t *testing.T) {
	if err := writeMessage(new(bytes.Buffer), 'F', make([]byte, maxMessage)); err == nil {
		t.Error("wrote more than the cap")
	}
	for _, head := range []string{"\x00\x00\x00\x00", "\xff\xff\xff\xff", "\x00\x00\x04\x01", "\x00\x00\x00\x05abcd", "\x00\x00"} {
		if _, _, err := readMessage(strings.NewReader(head), maxInput); err == nil {
			t.Errorf("% x: taken", head)
		}
	}
}

func TestHelloBounds(t *testing.T) {
	for _, c := range []struct {
		h  hello
		ok bool
	}{
		{hello{1, 800, 480}, true}, {hello{1, 1920, 1080}, true}, {hello{1, 1, 1}, true},
		{hello{2, 800, 480}, false}, {hello{1, 0, 480}, false}, {hello{1, 800, -1}, false},
		{hello{1, 3840, 2160}, false}, {hello{1, 1 << 40, 1 << 40}, false},
	} {
		data, _ := json.Marshal(c.h)
		if _, err := decodeHello(kindHello, data); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.h, err)
		}
	}
}

// FuzzRead gives arbitrary bytes to both ends. What is taken must be what this
// package would have written.
func FuzzRead(f *testing.F) {
	add := func(kind byte, body ...[]byte) {
		var b bytes.Buffer
		if err := writeMessage(&b, kind, body...); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	for _, e := range []Event{{Kind: Key, Key: '5'}, {Kind: KeyUp, Key: KeyOK}, {Kind: TouchDown, X: 3, Y: 4}} {
		data, _ := encodeEvent(e)
		add(kindEvent, data)
	}
	data, _ := json.Marshal(hello{wireVersion, 800, 480})
	add(kindHello, data)
	add(kindFrame, frameBody(f, 3, display.Screen{ID: "idle", Title: "سلام", RTL: true},
		[]display.Target{{ID: "go", Rect: image.Rect(1, 1, 9, 9)}}, image.Rect(2, 2, 4, 5)))
	f.Fuzz(func(t *testing.T, data []byte) {
		kind, body, err := readMessage(bytes.NewReader(data), maxInput)
		if err != nil {
			return
		}
		if e, err := decodeEvent(kind, body, testSize); err == nil {
			again, err := encodeEvent(e)
			if err != nil || !bytes.Equal(again, body) {
				t.Errorf("event %q comes back as %q, %v", body, again, err)
			}
		}
		decodeHello(kind, body)
		if h, dirty, targets, pix, err := decodeFrame(kind, body, testSize); err == nil {
			if !dirty.In(image.Rectangle{Max: testSize}) || len(pix) != dirty.Dx()*dirty.Dy()*4 || len(targets) != len(h.Targets) {
				t.Errorf("frame %+v: dirty %v, %d bytes", h, dirty, len(pix))
			}
		}
	})
}
