package persian

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	lri = "\u2066" // LEFT-TO-RIGHT ISOLATE
	fsi = "\u2068" // FIRST STRONG ISOLATE
	pdi = "\u2069" // POP DIRECTIONAL ISOLATE
)

// LTR isolates a left-to-right run (a serial, a PIN mask, a date) so that a
// right-to-left line cannot reorder it. Isolates inside s are removed first: s
// could otherwise close ours.
func LTR(s string) string { return lri + dropIsolates(s) + pdi }

// Isolate wraps text of unknown direction, such as a name from a certificate.
func Isolate(s string) string { return fsi + dropIsolates(s) + pdi }

func dropIsolates(s string) string {
	return strings.Map(func(r rune) rune {
		if 0x2066 <= r && r <= 0x2069 {
			return -1
		}
		return r
	}, s)
}

// Oddity is a character in a name that a person could misread or not see.
type Oddity struct {
	Offset int // byte offset
	Rune   rune
	Why    string // bidi, invisible, control, presentation, look-alike, invalid
}

// Oddities lists the characters of s that must not be shown as they are:
// bidi controls, invisible and control characters, Arabic presentation forms,
// invalid UTF-8, and letters of a third script inside a word of Latin, Greek or
// Cyrillic letters. ZWNJ between two letters is ordinary Persian.
func Oddities(s string) []Oddity {
	var out []Oddity
	prev := rune(0)
	for i, r := range s {
		size := utf8.RuneLen(r)
		why := odd(r)
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n <= 1 {
				why, size = "invalid", 1
			}
		}
		if r == zwnj {
			next, _ := utf8.DecodeRuneInString(s[i+size:])
			if !joins(prev) || !joins(next) {
				why = "invisible"
			}
		}
		if why != "" {
			out = append(out, Oddity{i, r, why})
		}
		prev = r
	}
	return append(out, lookAlikes(s)...)
}

// joins tells the characters between which a ZWNJ has a visible meaning.
func joins(r rune) bool {
	return unicode.Is(unicode.Arabic, r) && (unicode.IsLetter(r) || unicode.IsMark(r)) && odd(r) == ""
}

// odd classifies one character without its neighbours.
func odd(r rune) string {
	switch {
	case r == zwnj:
		return "" // decided by its neighbours
	case unicode.Is(unicode.Bidi_Control, r):
		return "bidi"
	case unicode.IsControl(r), r == 0x2028, r == 0x2029:
		return "control"
	case unicode.Is(unicode.Cf, r), unicode.Is(unicode.Variation_Selector, r),
		unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r):
		return "invisible"
	case unicode.Is(unicode.Zs, r) && r != ' ':
		return "invisible"
	case 0xfb50 <= r && r <= 0xfdff, 0xfe70 <= r && r <= 0xfefe:
		return "presentation"
	case unicode.Is(unicode.Co, r), !unicode.IsGraphic(r):
		return "invisible"
	}
	return ""
}

// lookAlikes finds words that mix letters of Latin, Greek and Cyrillic and
// returns those letters that are not Latin, or for a word of Persian letters
// those that are not Arabic script.
func lookAlikes(s string) []Oddity {
	var out []Oddity
	type letter struct {
		at     int
		r      rune
		script string
	}
	var word []letter
	flush := func() {
		main := ""
		mixed := false
		for _, l := range word {
			if main == "" || l.script == "Arabic" || l.script == "Latin" && main != "Arabic" {
				if main != "" && main != l.script {
					mixed = true
				}
				main = l.script
			} else if l.script != main {
				mixed = true
			}
		}
		for _, l := range word {
			if mixed && l.script != main {
				out = append(out, Oddity{l.at, l.r, "look-alike"})
			}
		}
		word = word[:0]
	}
	for i, r := range s {
		switch {
		case !unicode.IsLetter(r), odd(r) != "":
			if r != zwnj {
				flush()
			}
		case unicode.Is(unicode.Latin, r):
			word = append(word, letter{i, r, "Latin"})
		case unicode.Is(unicode.Arabic, r):
			word = append(word, letter{i, r, "Arabic"})
		case unicode.Is(unicode.Cyrillic, r):
			word = append(word, letter{i, r, "Cyrillic"})
		case unicode.Is(unicode.Greek, r):
			word = append(word, letter{i, r, "Greek"})
		default:
			word = append(word, letter{i, r, "other"})
		}
	}
	flush()
	return out
}

// MaxShown bounds what Show makes of one value, in characters.
const MaxShown = 200

// Show returns s safe for a screen: each oddity is replaced by its code point
// in brackets, [U+202E], and a look-alike letter is followed by it. A longer
// text ends with an ellipsis after 200 characters.
func Show(s string) string {
	odd := make(map[int]Oddity)
	for _, o := range Oddities(s) {
		odd[o.Offset] = o
	}
	var b strings.Builder
	n := 0
	for i, r := range s {
		if n++; n > MaxShown {
			b.WriteString("…")
			break
		}
		o, isOdd := odd[i]
		if !isOdd || o.Why == "look-alike" {
			b.WriteRune(r)
		}
		if isOdd && o.Why == "invalid" {
			fmt.Fprintf(&b, "[%02X]", s[i])
		} else if isOdd {
			fmt.Fprintf(&b, "[U+%04X]", r)
		}
	}
	return b.String()
}

// IsRTL tells whether s has a letter of a right-to-left script.
func IsRTL(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsLetter(r) && unicode.In(r, unicode.Arabic, unicode.Hebrew, unicode.Syriac, unicode.Thaana)
	})
}
