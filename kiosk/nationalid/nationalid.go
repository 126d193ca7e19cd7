// Package nationalid checks, compares and masks the numbers by which a person
// or an organisation is known: the Iranian national code of 10 digits and the
// legal id (shenase-ye melli) of 11 digits.
//
// A checksum finds typing mistakes. It says nothing about whether the number
// was ever given out, so a valid number proves no identity.
package nationalid

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"

	"mohr.internal/kiosk/persian"
)

// Checksum kinds, as a profile names them.
const (
	KindNational = "ir-national-10"
	KindLegal    = "ir-legal-11"
	KindNone     = "none"
)

// MaxLength bounds what Clean keeps; no number here is longer.
const MaxLength = 32

// Known tells whether kind names a checksum of this package.
func Known(kind string) bool {
	return kind == KindNational || kind == KindLegal || kind == KindNone
}

// Valid checks a cleaned number by the kind's length and checksum. KindNone
// accepts any number that is not empty; an unknown kind accepts none.
func Valid(kind, s string) bool {
	switch kind {
	case KindNational:
		return National(s)
	case KindLegal:
		return Legal(s)
	case KindNone:
		return s != ""
	}
	return false
}

// National checks a national code: ten ASCII digits, not all equal, last digit
// r if r < 2, else 11-r, with r = sum of digit i times 10-i, modulo 11.
func National(s string) bool {
	d, ok := digits(s, 10)
	if !ok {
		return false
	}
	sum, same := 0, true
	for i, v := range d[:9] {
		sum += v * (10 - i)
		same = same && v == d[9]
	}
	r := sum % 11
	if r >= 2 {
		r = 11 - r
	}
	return !same && d[9] == r
}

// Legal checks a legal id: eleven ASCII digits, digits 3..8 not all zero, last
// digit = sum of (k + digit i) times weight, modulo 11, 10 counting as 0, with
// k = digit 9 plus 2.
func Legal(s string) bool {
	d, ok := digits(s, 11)
	if !ok {
		return false
	}
	weights := [5]int{29, 27, 23, 19, 17}
	k, sum, middle := d[9]+2, 0, 0
	for i, v := range d[:10] {
		sum += (k + v) * weights[i%5]
		if i >= 3 && i <= 8 {
			middle += v
		}
	}
	return middle != 0 && d[10] == sum%11%10
}

// digits splits s into exactly n ASCII digits.
func digits(s string, n int) ([]int, bool) {
	if len(s) != n {
		return nil, false
	}
	out := make([]int, n)
	for i := range n {
		if s[i] < '0' || s[i] > '9' {
			return nil, false
		}
		out[i] = int(s[i] - '0')
	}
	return out, true
}

// Clean brings a number as typed or as written in a certificate to ASCII
// digits and capitals: spaces, hyphens, dots and invisible marks are dropped.
// It returns "" for anything longer than MaxLength or with other characters.
func Clean(s string) string {
	if len(s) > 8*MaxLength {
		return ""
	}
	out := make([]byte, 0, MaxLength)
	for _, r := range persian.ASCII(s) {
		switch {
		case '0' <= r && r <= '9', 'A' <= r && r <= 'Z':
			out = append(out, byte(r))
		case 'a' <= r && r <= 'z':
			out = append(out, byte(r-'a'+'A'))
		case strings.ContainsRune(" -./\u00a0\u200b\u200c\u200e\u200f\u2066\u2067\u2068\u2069", r):
		default:
			return ""
		}
		if len(out) > MaxLength {
			return ""
		}
	}
	return string(out)
}

// Pad returns a number of 8 or 9 digits with its leading zeros, if it is a
// valid national code then. People and programs drop them; the caller asks for
// consent before it uses the result.
func Pad(s string) (string, bool) {
	if len(s) != 8 && len(s) != 9 {
		return "", false
	}
	padded := strings.Repeat("0", 10-len(s)) + s
	return padded, National(padded)
}

// Equal compares two numbers after Clean, in time that does not depend on
// where they differ. Empty or unreadable numbers equal nothing.
func Equal(a, b string) bool {
	ca, cb := Clean(a), Clean(b)
	ha, hb := sha256.Sum256([]byte(ca)), sha256.Sum256([]byte(cb))
	return subtle.ConstantTimeCompare(ha[:], hb[:]) == 1 && ca != "" && cb != ""
}

// Mask hides the middle of a number for screens: 049****904. Of a number under
// eight characters nothing is left.
func Mask(s string) string {
	s = Clean(s)
	if len(s) < 8 {
		return strings.Repeat("*", len(s))
	}
	return s[:3] + strings.Repeat("*", len(s)-6) + s[len(s)-3:]
}
