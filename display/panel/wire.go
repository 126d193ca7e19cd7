package panel

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"strings"

	"mohr.internal/display"
)

const (
	wireVersion = 1
	// maxMessage caps every message in either direction: 1920x1080 RGBA is
	// 8.3 MB. maxInput caps what the kiosk reads, which is only hello and events.
	maxMessage = 16 << 20
	maxInput   = 1 << 10
	maxHeader  = 256 << 10
	maxTargets = 64
	maxID      = 64
)

// Kinds of message; see the package comment.
const (
	kindHello = 'H'
	kindFrame = 'F'
	kindEvent = 'E'
)

// hello is the desk's first message.
type hello struct {
	Version int `json:"version"`
	Width   int `json:"width"`
	Height  int `json:"height"`
}

func (h hello) check() error {
	if h.Version != wireVersion {
		return fmt.Errorf("panel: version %d, want %d", h.Version, wireVersion)
	}
	if h.Width < 1 || h.Height < 1 || h.Width > 1<<14 || h.Height > 1<<14 ||
		h.Width*h.Height*4 > maxMessage-maxHeader-5 {
		return fmt.Errorf("panel: no panel has %dx%d", h.Width, h.Height)
	}
	return nil
}

// box is a rectangle on the wire: x, y, width, height.
type box [4]int

func toBox(r image.Rectangle) box { return box{r.Min.X, r.Min.Y, r.Dx(), r.Dy()} }

// rect gives the rectangle if it lies within size.
func (b box) rect(size image.Point) (image.Rectangle, error) {
	x, y, w, h := b[0], b[1], b[2], b[3]
	if x < 0 || y < 0 || w < 0 || h < 0 || x > size.X || y > size.Y || w > size.X-x || h > size.Y-y {
		return image.Rectangle{}, fmt.Errorf("panel: rectangle %v is outside %v", b, size)
	}
	return image.Rect(x, y, x+w, y+h), nil
}

// target is a display.Target on the wire.
type target struct {
	ID  string `json:"id"`
	Box box    `json:"box"`
}

// header says what the pixels after it are.
type header struct {
	Seq     uint64   `json:"seq"` // 1, 2, 3 … within a connection
	Screen  string   `json:"screen"`
	Mood    string   `json:"mood"`
	Lang    string   `json:"lang"`
	RTL     bool     `json:"rtl"`
	Title   string   `json:"title"`
	Text    string   `json:"text"`
	Dirty   box      `json:"dirty"`
	Targets []target `json:"targets"`
}

// event is an Event on the wire.
type event struct {
	Kind string `json:"kind"`
	Key  string `json:"key,omitempty"`
	X    int    `json:"x"`
	Y    int    `json:"y"`
}

// writeMessage writes kind and the parts of one body.
func writeMessage(w io.Writer, kind byte, parts ...[]byte) error {
	n := 1
	for _, p := range parts {
		n += len(p)
	}
	if n > maxMessage {
		return fmt.Errorf("panel: message of %d bytes, cap is %d", n, maxMessage)
	}
	buf := make([]byte, 0, n+4)
	buf = binary.BigEndian.AppendUint32(buf, uint32(n))
	buf = append(buf, kind)
	for _, p := range parts {
		buf = append(buf, p...)
	}
	_, err := w.Write(buf)
	return err
}

// readMessage reads one message of at most limit bytes.
func readMessage(r io.Reader, limit int) (kind byte, body []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 1 || n > uint32(limit) {
		return 0, nil, fmt.Errorf("panel: message of %d bytes, cap is %d", n, limit)
	}
	buf := make([]byte, n)
	if _, err := io.ReadFull(r, buf); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return buf[0], buf[1:], nil
}

// strict decodes JSON that must be byte for byte what this package would have
// written, so unknown and repeated members and other spellings are refused.
func strict(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("panel: %w", err)
	}
	again, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("panel: %w", err)
	}
	if !bytes.Equal(again, data) {
		return errors.New("panel: message is not in its one form")
	}
	return nil
}

func decodeHello(kind byte, body []byte) (image.Point, error) {
	var h hello
	if kind != kindHello {
		return image.Point{}, fmt.Errorf("panel: message of kind %q, want hello", kind)
	}
	if err := strict(body, &h); err != nil {
		return image.Point{}, err
	}
	return image.Pt(h.Width, h.Height), h.check()
}

func encodeEvent(e Event) ([]byte, error) {
	w := event{Kind: e.Kind.String(), X: e.X, Y: e.Y}
	if e.Key != 0 {
		w.Key = string(e.Key)
	}
	return json.Marshal(w)
}

func decodeEvent(kind byte, body []byte, size image.Point) (Event, error) {
	var w event
	if kind != kindEvent {
		return Event{}, fmt.Errorf("panel: message of kind %q, want event", kind)
	}
	if err := strict(body, &w); err != nil {
		return Event{}, err
	}
	e := Event{X: w.X, Y: w.Y}
	for k, name := range kindNames {
		if name == w.Kind {
			e.Kind = k
		}
	}
	if key := []rune(w.Key); len(key) == 1 {
		e.Key = key[0]
	} else if len(key) > 1 {
		return Event{}, fmt.Errorf("panel: no such key: %q", w.Key)
	}
	return e, e.check(size)
}

// encodeHeader describes a frame; dirty is what its pixels cover.
func encodeHeader(seq uint64, s display.Screen, targets []display.Target, dirty image.Rectangle) ([]byte, error) {
	h := header{
		Seq: seq, Screen: valid(s.ID), Mood: s.Mood.String(), Lang: valid(s.Lang), RTL: s.RTL,
		Title: valid(s.Title), Text: valid(s.Text()), Dirty: toBox(dirty), Targets: []target{},
	}
	for _, t := range targets {
		h.Targets = append(h.Targets, target{valid(t.ID), toBox(t.Rect)})
		if t.ID == "" || len(h.Targets[len(h.Targets)-1].ID) > maxID {
			return nil, fmt.Errorf("panel: screen %q: bad target %q", s.ID, t.ID)
		}
	}
	if len(targets) > maxTargets || len(h.Screen) > maxID || !isMood(h.Mood) {
		return nil, fmt.Errorf("panel: screen %q: bad name, mood %v or %d targets", s.ID, s.Mood, len(targets))
	}
	data, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("panel: %w", err)
	}
	if len(data) > maxHeader {
		return nil, fmt.Errorf("panel: screen %q: header of %d bytes, cap is %d", s.ID, len(data), maxHeader)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...), nil
}

// decodeFrame takes a frame apart; the pixels alias body.
func decodeFrame(kind byte, body []byte, size image.Point) (h header, dirty image.Rectangle, targets []display.Target, pix []byte, err error) {
	fail := func(err error) (header, image.Rectangle, []display.Target, []byte, error) {
		return header{}, image.Rectangle{}, nil, nil, err
	}
	if kind != kindFrame {
		return fail(fmt.Errorf("panel: message of kind %q, want frame", kind))
	}
	if len(body) < 4 {
		return fail(io.ErrUnexpectedEOF)
	}
	n := binary.BigEndian.Uint32(body)
	if n > maxHeader || int(n) > len(body)-4 {
		return fail(fmt.Errorf("panel: header of %d bytes in a message of %d", n, len(body)))
	}
	if err := strict(body[4:4+n], &h); err != nil {
		return fail(err)
	}
	pix = body[4+n:]
	if dirty, err = h.Dirty.rect(size); err != nil {
		return fail(err)
	}
	if want := dirty.Dx() * dirty.Dy() * 4; len(pix) != want {
		return fail(fmt.Errorf("panel: %d bytes of pixels for %v, want %d", len(pix), dirty, want))
	}
	if len(h.Screen) > maxID || len(h.Targets) > maxTargets || h.Targets == nil || !isMood(h.Mood) {
		return fail(fmt.Errorf("panel: frame %d: bad screen, mood or targets", h.Seq))
	}
	for _, t := range h.Targets {
		r, err := t.Box.rect(size)
		if err != nil {
			return fail(err)
		}
		if t.ID == "" || len(t.ID) > maxID {
			return fail(fmt.Errorf("panel: bad target %q", t.ID))
		}
		targets = append(targets, display.Target{ID: t.ID, Rect: r})
	}
	return h, dirty, targets, pix, nil
}

func isMood(name string) bool {
	for m := display.Calm; m <= display.Done; m++ {
		if m.String() == name {
			return true
		}
	}
	return false
}

// valid makes text fit for JSON that has one form only.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
