package persian

import (
	"strconv"
	"strings"
)

const (
	persianZero = '\u06f0'
	arabicZero  = '\u0660'
)

// Digits replaces ASCII and Arabic digits by Persian ones, for dates and
// counts on a Persian screen.
func Digits(s string) string {
	return strings.Map(func(r rune) rune {
		if d, ok := digit(r); ok {
			return persianZero + d
		}
		return r
	}, s)
}

// Number writes a count as a language does: Persian digits in Persian.
func Number(n int, lang string) string {
	if lang == "fa" {
		return Digits(strconv.Itoa(n))
	}
	return strconv.Itoa(n)
}

// ASCII replaces Persian and Arabic digits by ASCII ones and leaves all else.
func ASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if d, ok := digit(r); ok {
			return '0' + d
		}
		return r
	}, s)
}

// digit returns the value of a digit in any of the three rows.
func digit(r rune) (rune, bool) {
	for _, zero := range [...]rune{'0', persianZero, arabicZero} {
		if zero <= r && r <= zero+9 {
			return r - zero, true
		}
	}
	return 0, false
}
