package display

import (
	"fmt"
	"image"
	"strings"
)

// Screen is everything one screen says and asks. The zero value of a field means
// that the part is not there.
type Screen struct {
	ID    string // stable, ASCII, for tests and logs: "idle", "pin"
	Mood  Mood
	Lang  string // BCP 47, for shaping: "fa", "en"
	RTL   bool   // base direction; mirrors the whole layout
	Title string

	Lines     []string  // body, one paragraph each
	Facts     []Fact    // label and value, one row each
	Choices   []Choice  // buttons, most wanted first
	Input     *Input    // one field, with or without a digit pad
	QR        string    // content of a QR symbol, ASCII
	QRCaption string    // below the symbol
	Progress  *Progress // a bar of steps
	Token     TokenHint // may the token be pulled?
	Banner    string    // one quiet line at the foot: language key, clock quality
}

// Text in a Screen follows the Unicode bidirectional algorithm with the screen's
// base direction. A piece that runs the other way and holds spaces or signs, such
// as a name, a code in groups or a phrase in another language, has to be put
// between U+2066 or U+2067 and U+2069 by the caller, or its parts change places.

// Mood is the tone of a screen. Moods differ by sign and shape as well as by
// colour, so that nothing depends on telling colours apart.
type Mood uint8

// The four moods.
const (
	Calm  Mood = iota // nothing is wanted from anyone: idle, working
	Ask               // a person has to do or decide something
	Alarm             // something went wrong, or must not go on
	Done              // a result that will last
)

// String returns the mood's name in lower case.
func (m Mood) String() string {
	switch m {
	case Calm:
		return "calm"
	case Ask:
		return "ask"
	case Alarm:
		return "alarm"
	case Done:
		return "done"
	}
	return fmt.Sprintf("mood(%d)", uint8(m))
}

// Fact is one row of a table of two columns.
type Fact struct {
	Label, Value string
	// LTR marks a value that reads left to right whatever the screen does: a
	// serial number, a code in groups of digits, a digest. It is isolated here.
	LTR bool
}

// Choice is one button.
type Choice struct {
	ID      string // becomes the Target's ID
	Label   string
	Key     rune // keypad key that does the same, drawn on the button; 0 for none
	Primary bool // the one that goes on; at most one
	Hold    bool // has to be held down; drawn with a ring
	Held    int  // 0..100: how much of the hold is done
}

// Input is a field for something typed.
type Input struct {
	Prompt string
	Value  string // as it is to be seen; a PIN comes already masked
	Keypad bool   // draw a pad of digits that can be touched
}

// Progress is a row of steps, some done.
type Progress struct {
	Done, Total int
	Text        string
	MayPull     bool // used for the token's sign where Screen.Token says nothing
}

// TokenState says what may be done with the token now.
type TokenState uint8

// The states of TokenHint, each with its own sign.
const (
	TokenSilent TokenState = iota // no hint
	TokenInsert                   // put it in
	TokenKeep                     // do not pull it
	TokenFree                     // may be pulled
)

// String returns the state's name in lower case.
func (t TokenState) String() string {
	switch t {
	case TokenSilent:
		return "silent"
	case TokenInsert:
		return "insert"
	case TokenKeep:
		return "keep"
	case TokenFree:
		return "free"
	}
	return fmt.Sprintf("token(%d)", uint8(t))
}

// TokenHint is a sign with words: whether the token may be pulled is told by
// shape and by word, not by colour alone.
type TokenHint struct {
	State TokenState
	Text  string
}

// Target is a rectangle that can be touched. Choices carry their own IDs, the
// keypad "key:0" to "key:9", "key:back" and "key:ok".
type Target struct {
	ID   string
	Rect image.Rectangle
}

// Frame is a drawn Screen.
type Frame struct {
	Image   *image.RGBA
	Targets []Target
}

// At returns the ID of the target at a point.
func (f *Frame) At(p image.Point) (id string, ok bool) {
	for _, t := range f.Targets {
		if p.In(t.Rect) {
			return t.ID, true
		}
	}
	return "", false
}

// Text returns everything a person can read on the screen, in reading order, one
// piece a line and without the invisible marks that steer direction. It is what
// tests of a flow look at.
func (s Screen) Text() string {
	var b strings.Builder
	line := func(parts ...string) {
		var kept []string
		for _, p := range parts {
			if p = plain(p); p != "" {
				kept = append(kept, p)
			}
		}
		if len(kept) > 0 {
			b.WriteString(strings.Join(kept, " "))
			b.WriteByte('\n')
		}
	}
	line(s.Title)
	for _, l := range s.Lines {
		line(l)
	}
	for _, f := range s.Facts {
		line(f.Label+":", f.Value)
	}
	if s.Input != nil {
		line(s.Input.Prompt)
		line(s.Input.Value)
	}
	if s.Progress != nil {
		line(s.Progress.Text)
	}
	line(s.QRCaption)
	line(s.Token.Text)
	for _, c := range s.Choices {
		line(keyName(c.Key), c.Label)
	}
	line(s.Banner)
	return b.String()
}

// plain drops directional marks and turns every kind of space into one.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\u200e', r == '\u200f', r == '\u061c',
			r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// keyName is a keypad key in a Screen's Text.
func keyName(k rune) string {
	switch k {
	case 0:
		return ""
	case '\n':
		return "[OK]"
	case '\b':
		return "[<]"
	default:
		return "[" + string(k) + "]"
	}
}
