package persian

import (
	"strings"
	"unicode"
)

// spelling maps characters that stand for the same Persian letter to the one
// used in Persian text. Both keyboards are met in certificates and documents.
var spelling = strings.NewReplacer(
	// base letter and combining mark to the composed letter (NFC for these)
	"\u0627\u0653", "\u0622", "\u0627\u0654", "\u0623", "\u0627\u0655", "\u0625",
	"\u0648\u0654", "\u0624", "\u064a\u0654", "\u0626", "\u06cc\u0654", "\u0626",
	"\u0647\u0654", "\u06c0", "\u06d5\u0654", "\u06c0",
	"\u064a", "\u06cc", // Arabic ye
	"\u0649", "\u06cc", // alef maksura
	"\u0643", "\u06a9", // Arabic kaf
	"\u06aa", "\u06a9", // swash kaf
	"\u06be", "\u0647", // heh doachashmee
	"\u06c1", "\u0647", // heh goal
	"\u06d5", "\u0647", // ae
	"\u0640", "", // tatweel
)

// Normalize brings a name to one spelling for display and storage: Persian ye
// and kaf, no tatweel, no vowel marks, single spaces, ZWNJ only between two
// letters. Digits become Persian only where the text shows them; see Digits.
func Normalize(s string) string {
	s = spelling.Replace(strings.ToValidUTF8(s, "\ufffd")) // bytes left over by a deletion must not join
	var out []rune
	for _, r := range s {
		switch {
		case isMark(r):
			continue
		case unicode.IsSpace(r):
			r = ' '
		}
		last := lastRune(out)
		switch {
		case r == ' ' && (last == ' ' || len(out) == 0):
			continue
		case r == ' ' && last == zwnj:
			out[len(out)-1] = ' '
			continue
		case r == zwnj && !unicode.IsLetter(last):
			continue
		case last == zwnj && !unicode.IsLetter(r):
			out = out[:len(out)-1]
		}
		out = append(out, r)
	}
	for len(out) > 0 && (out[len(out)-1] == ' ' || out[len(out)-1] == zwnj) {
		out = out[:len(out)-1]
	}
	return string(out)
}

const zwnj = '\u200c'

// lastRune is 0 for an empty slice.
func lastRune(s []rune) rune {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1]
}

// isMark tells the short vowels and other marks that are left out in names,
// and a hamza or madda that found no letter to compose with.
func isMark(r rune) bool { return 0x064b <= r && r <= 0x065f || r == 0x0670 }

// folds joins letters that clerks write either way. Only for comparing.
var folds = strings.NewReplacer(
	"\u0622", "\u0627", "\u0623", "\u0627", "\u0625", "\u0627", "\u0671", "\u0627",
	"\u0624", "\u0648", "\u0626", "\u06cc", "\u06c0", "\u0647", "\u0629", "\u0647",
	"\u0621", "", " ", "", "\u200c", "", "-", "",
)

// Key returns the form under which two spellings of one name are equal. It is
// for comparing only and must not be shown.
func Key(s string) string {
	return strings.ToLower(ASCII(folds.Replace(Normalize(s))))
}

// SameName tells whether two names differ in spelling at most. Two empty names
// are not the same: nothing was compared.
func SameName(a, b string) bool {
	k := Key(a)
	return k != "" && k == Key(b)
}
