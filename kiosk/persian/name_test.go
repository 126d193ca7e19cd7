package persian

import "testing"

func TestNormalize(t *testing.T) {
	for _, tt := range []struct{ why, in, want string }{
		{"empty", "", ""},
		{"Arabic ye and kaf", "مريم كاظمي", "مریم کاظمی"},
		{"alef maksura", "موسى", "موسی"},
		{"tatweel and vowels", "مـــحَمَّد", "محمد"},
		{"spaces", "  علی \u00a0\t رضا ", "علی رضا"},
		{"ZWNJ kept between letters", "علی\u200cرضا", "علی\u200cرضا"},
		{"ZWNJ at the edges", "\u200cعلی\u200c", "علی"},
		{"ZWNJ beside a space", "علی\u200c رضا", "علی رضا"},
		{"ZWNJ after a space", "علی \u200cرضا", "علی رضا"},
		{"ZWNJ doubled", "علی\u200c\u200cرضا", "علی\u200cرضا"},
		{"composed letters", "\u0627\u0653ذر", "آذر"},
		{"hamza stays", "رئیسی", "رئیسی"},
		{"Latin stays", "Maryam Rezaei [Sign]", "Maryam Rezaei [Sign]"},
	} {
		if got := Normalize(tt.in); got != tt.want {
			t.Errorf("%s: Normalize(%+q) = %+q, want %+q", tt.why, tt.in, got, tt.want)
		}
	}
}

func TestSameName(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"مريم رضائي", "مریم رضایی", true},
		{"علی\u200cرضا", "علی رضا", true},
		{"علی\u200cرضا", "علیرضا", true},
		{"آذر", "اذر", true},
		{"رحمة", "رحمه", true},
		{"Rezaei", "REZAEI", true},
		{"شعبه ۲", "شعبه 2", true},
		{"مریم", "مرم", false},
		{"رضا", "رضایی", false},
		{"", "", false},
		{"", "مریم", false},
		{" ", "\u200c", false},
	} {
		if got := SameName(tt.a, tt.b); got != tt.want {
			t.Errorf("SameName(%q, %q) = %v", tt.a, tt.b, got)
		}
	}
}
