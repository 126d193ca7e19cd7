package persian

import (
	"testing"
	"unicode/utf8"
)

func TestDigits(t *testing.T) {
	for _, tt := range []struct{ in, persian, ascii string }{
		{"", "", ""},
		{"0123456789", "۰۱۲۳۴۵۶۷۸۹", "0123456789"},
		{"٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹", "0123456789"},
		{"۰۱۲۳۴۵۶۷۸۹", "۰۱۲۳۴۵۶۷۸۹", "0123456789"},
		{"کد ۱2٣", "کد ۱۲۳", "کد 123"},
		{"/:٪\u065f\u066a\u06ef\u06fa", "/:٪\u065f\u066a\u06ef\u06fa", "/:٪\u065f\u066a\u06ef\u06fa"}, // neighbours of the rows
	} {
		if got := Digits(tt.in); got != tt.persian {
			t.Errorf("Digits(%q) = %q, want %q", tt.in, got, tt.persian)
		}
		if got := ASCII(tt.in); got != tt.ascii {
			t.Errorf("ASCII(%q) = %q, want %q", tt.in, got, tt.ascii)
		}
	}
}

func TestNumber(t *testing.T) {
	if got := Number(-20, "fa"); got != "-۲۰" {
		t.Errorf("fa: %q", got)
	}
	if got := Number(20, "en"); got != "20" {
		t.Errorf("en: %q", got)
	}
}

// FuzzText runs everything that takes text from a certificate: no panic, valid
// output, and a second run changes nothing more.
func FuzzText(f *testing.F) {
	for _, s := range []string{
		"", "مريم رضائي", "علي\u200cرضا", "\u200c", " \u200c ", "a\u202eb", "аdmin", "\xff\xfe", "شرکت\u0640\u0640\u064b نمونه",
		"\u0627\u0653\u0627\u0654", "ﻻ", "x\u2066y", "\u200c\u200c\u200cا\u200c\u200cب", "ÿ\u0300", "A\u0410\u0391ا",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n := Normalize(s)
		if Normalize(n) != n {
			t.Errorf("Normalize(%q) = %q, again %q", s, n, Normalize(n))
		}
		if k := Key(s); Key(n) != k || Key(k) != k {
			t.Errorf("Key(%q) = %q, of the normal form %q, again %q", s, k, Key(n), Key(k))
		}
		shown := Show(s)
		if !utf8.ValidString(shown) {
			t.Errorf("Show(%q) = %q is not UTF-8", s, shown)
		}
		for _, o := range Oddities(shown) {
			if o.Why != "look-alike" {
				t.Errorf("Show(%q) = %q still has %+v", s, shown, o)
			}
		}
		if ASCII(Digits(s)) != ASCII(s) {
			t.Errorf("digits of %q do not come back", s)
		}
	})
}
