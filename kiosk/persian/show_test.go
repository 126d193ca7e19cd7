package persian

import (
	"strings"
	"testing"
)

func TestShow(t *testing.T) {
	for _, tt := range []struct{ why, in, want string }{
		{"", "مریم رضایی", "مریم رضایی"},
		{"", "Maryam Rezaei [Sign]", "Maryam Rezaei [Sign]"},
		{"", "علی\u200cرضا", "علی\u200cرضا"},
		{"look-alike", "Abب", "A[U+0041]b[U+0062]ب"},
		{"bidi", "a\u202eb", "a[U+202E]b"},
		{"bidi", "a\u200fb", "a[U+200F]b"},
		{"bidi", "\u2067", "[U+2067]"},
		{"control", "a\nb", "a[U+000A]b"},
		{"control", "a\u2028b", "a[U+2028]b"},
		{"invisible", "a\u200bb", "a[U+200B]b"},
		{"invisible", "a\ufeff", "a[U+FEFF]"},
		{"invisible", "a\u00a0b", "a[U+00A0]b"},
		{"invisible", "a\u200cb", "a[U+200C]b"},
		{"invisible", "علی\u200c", "علی[U+200C]"},
		{"invisible", "a\ufe0f", "a[U+FE0F]"},
		{"invisible", "a\U000e0041", "a[U+E0041]"},
		{"invisible", "a\ue000", "a[U+E000]"},
		{"invisible", "a\u115f", "a[U+115F]"},
		{"presentation", "\ufefb", "[U+FEFB]"},
		{"invalid", "a\xffb", "a[FF]b"},
		{"look-alike", "Pаrs", "Pа[U+0430]rs"},
		{"look-alike", "ΑB", "Α[U+0391]B"},
		{"", "Парс Pars", "Парс Pars"},
		{"", "ΑΒΓ", "ΑΒΓ"},
	} {
		if got := Show(tt.in); got != tt.want {
			t.Errorf("Show(%+q) = %+q, want %+q", tt.in, got, tt.want)
		}
		odd := Oddities(tt.in)
		if tt.why == "" && len(odd) > 0 || tt.why != "" && (len(odd) == 0 || odd[0].Why != tt.why) {
			t.Errorf("Oddities(%+q) = %+v, want %q", tt.in, odd, tt.why)
		}
	}
}

func TestShowLength(t *testing.T) {
	if got := Show(strings.Repeat("ب", MaxShown)); got != strings.Repeat("ب", MaxShown) {
		t.Errorf("%d characters are cut", MaxShown)
	}
	if got := Show(strings.Repeat("ب", MaxShown+1)); got != strings.Repeat("ب", MaxShown)+"…" {
		t.Errorf("%d characters: %q", MaxShown+1, got)
	}
}

func TestIsolates(t *testing.T) {
	if got := LTR("12\u206934"); got != "\u20661234\u2069" {
		t.Errorf("LTR = %+q", got)
	}
	if got := Isolate("ب\u2066"); got != "\u2068ب\u2069" {
		t.Errorf("Isolate = %+q", got)
	}
}

func TestIsRTL(t *testing.T) {
	for s, want := range map[string]bool{"": false, "123": false, "Reza": false, "رضا": true, "x ب": true, "۱۲۳": false} {
		if IsRTL(s) != want {
			t.Errorf("IsRTL(%q) = %v", s, !want)
		}
	}
}
