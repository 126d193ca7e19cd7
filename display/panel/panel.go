package panel

import (
	"fmt"
	"image"

	"mohr.internal/display"
)

// Panel is one display with what belongs to it for input.
type Panel interface {
	// Show puts a frame on the panel. s is what f was drawn from; a panel that
	// has no use for it ignores it. The picture belongs to the panel until another one
	// was shown without an error. Show returns at once or after a bounded time,
	// and an error only where the frame can never be shown: wrong size, panel
	// closed. A panel that is away for now shows the latest frame on its return.
	Show(s display.Screen, f *display.Frame) error
	// Events gives input as it comes. Nobody listening means input is lost, not
	// that the panel stops. The channel is closed by Close.
	Events() <-chan Event
	// Size is what to render for. It can change only with a Resized event.
	Size() image.Point
	Close() error
}

// Kind is what happened.
type Kind uint8

// The kinds of Event.
const (
	Key       Kind = iota + 1 // a key went down
	KeyUp                     // a key was let go; only from panels that can tell
	TouchDown                 // a finger or the mouse went down at X, Y
	TouchUp                   // and up again
	Resized                   // Size has a new answer: render again
)

// The keys of a keypad that are not digits.
const (
	KeyOK       = '\n'
	KeyBack     = '\b'
	KeyLanguage = 'L'
	KeyCancel   = 'C'
)

// Event is one input.
type Event struct {
	Kind Kind
	Key  rune // Key, KeyUp: '0'..'9', KeyOK, KeyBack, KeyLanguage, KeyCancel
	X, Y int  // TouchDown, TouchUp
}

var kindNames = map[Kind]string{
	Key: "key", KeyUp: "keyup", TouchDown: "down", TouchUp: "up", Resized: "resized",
}

// String returns the kind's name, as on the wire.
func (k Kind) String() string {
	if n, ok := kindNames[k]; ok {
		return n
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// ValidKey says whether r is a key a keypad has.
func ValidKey(r rune) bool {
	switch r {
	case KeyOK, KeyBack, KeyLanguage, KeyCancel:
		return true
	}
	return r >= '0' && r <= '9'
}

// check refuses events a panel of this size cannot have sent.
func (e Event) check(size image.Point) error {
	switch e.Kind {
	case Key, KeyUp:
		if !ValidKey(e.Key) {
			return fmt.Errorf("panel: no such key: %q", e.Key)
		}
		if e.X != 0 || e.Y != 0 {
			return fmt.Errorf("panel: key event with a place: %d,%d", e.X, e.Y)
		}
	case TouchDown, TouchUp:
		if e.Key != 0 {
			return fmt.Errorf("panel: touch event with a key: %q", e.Key)
		}
		if !(image.Point{X: e.X, Y: e.Y}).In(image.Rectangle{Max: size}) {
			return fmt.Errorf("panel: touch at %d,%d is outside %v", e.X, e.Y, size)
		}
	default:
		return fmt.Errorf("panel: no such event: %v", e.Kind)
	}
	return nil
}
