package nationalid

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestNational(t *testing.T) {
	for s, want := range map[string]bool{
		"0499370899": true, "0790419904": true, "0084575948": true, "0963695398": true,
		"0684159415": false, "1111111111": false, "0000000000": false, "9999999999": false,
		"": false, "049937089": false, "04993708990": false, "049937089a": false, "۰۴۹۹۳۷۰۸۹۹": false, " 0499370899": false,
	} {
		if National(s) != want {
			t.Errorf("National(%q) = %v", s, !want)
		}
	}
}

func TestLegal(t *testing.T) {
	for s, want := range map[string]bool{
		"10380284790": true, "10380284791": false, "10380284780": false,
		"10000000000": false, "": false, "1038028479": false, "103802847900": false, "1038028479x": false,
	} {
		if Legal(s) != want {
			t.Errorf("Legal(%q) = %v", s, !want)
		}
	}
}

// TestOneCheckDigit: of the ten numbers with the same front exactly one is
// valid, or none where the front is all one digit; a legal id with an all-zero
// middle has none.
func TestOneCheckDigit(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		front := fmt.Sprintf("%09d", rng.IntN(1e9))
		if n := count(National, front); n != 1 {
			t.Errorf("%s: %d check digits", front, n)
		}
		front = fmt.Sprintf("%010d", rng.Int64N(1e10))
		want := 1
		if front[3:9] == "000000" {
			want = 0
		}
		if n := count(Legal, front); n != want {
			t.Errorf("%s: %d check digits, want %d", front, n, want)
		}
	}
	for d := range 10 {
		if front := strings.Repeat(fmt.Sprint(d), 9); National(front + fmt.Sprint(d)) {
			t.Errorf("%s repeated is valid", front)
		}
	}
	for d := range 10 {
		if front := fmt.Sprintf("123000000%d", d); count(Legal, front) != 0 {
			t.Errorf("legal id %s has a check digit", front)
		}
	}
}

func count(valid func(string) bool, front string) int {
	n := 0
	for d := range 10 {
		if valid(front + fmt.Sprint(d)) {
			n++
		}
	}
	return n
}

// TestSlips: what the checksum is for. A national code finds every wrong digit
// but the pairs that the rule "r < 2 is the digit itself" folds together, and
// every exchange of neighbours with the same exceptions.
func TestSlips(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	missed, all := 0, 0
	for range 5000 {
		s := valid(rng)
		for i := range 10 {
			for d := byte('0'); d <= '9'; d++ {
				if s[i] == d {
					continue
				}
				all++
				if National(s[:i] + string(d) + s[i+1:]) {
					missed++
				}
			}
		}
	}
	if share := float64(missed) / float64(all); share > 0.02 {
		t.Errorf("%.3f of single wrong digits pass", share)
	}
}

// valid makes a valid national code.
func valid(rng *rand.Rand) string {
	front := fmt.Sprintf("%09d", rng.IntN(1e9))
	for d := range 10 {
		if s := front + fmt.Sprint(d); National(s) {
			return s
		}
	}
	return valid(rng)
}

func TestValid(t *testing.T) {
	for _, tt := range []struct {
		kind, s string
		want    bool
	}{
		{KindNational, "0499370899", true}, {KindNational, "10380284790", false},
		{KindLegal, "10380284790", true}, {KindLegal, "0499370899", false},
		{KindNone, "X1", true}, {KindNone, "", false}, {"other", "0499370899", false}, {"", "0499370899", false},
	} {
		if got := Valid(tt.kind, tt.s); got != tt.want {
			t.Errorf("Valid(%q, %q) = %v", tt.kind, tt.s, got)
		}
		if Known(tt.kind) != (tt.kind != "other" && tt.kind != "") {
			t.Errorf("Known(%q) = %v", tt.kind, Known(tt.kind))
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"0499370899": "0499370899", "۰۴۹۹۳۷۰۸۹۹": "0499370899", "٠٤٩-937 0899": "0499370899",
		"\u20660499370899\u2069": "0499370899", "ab12": "AB12", "": "", " - ": "",
		"0499370899\n": "", "049937089é": "", "０４９": "",
		strings.Repeat("1", MaxLength): strings.Repeat("1", MaxLength), strings.Repeat("1", MaxLength+1): "",
		strings.Repeat(" ", 8*MaxLength) + "1": "",
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%+q) = %q, want %q", in, got, want)
		}
	}
}

func TestPad(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		ok       bool
	}{
		{"499370899", "0499370899", true}, {"84575948", "0084575948", true},
		{"499370898", "0499370898", false}, {"0499370899", "", false}, {"4575948", "", false}, {"", "", false}, {"49937089x", "049937089x", false},
	} {
		if got, ok := Pad(tt.in); ok != tt.ok || got != tt.want {
			t.Errorf("Pad(%q) = %q, %v", tt.in, got, ok)
		}
	}
}

func TestEqual(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"0499370899", "0499370899", true}, {"۰۴۹۹۳۷۰۸۹۹", "049-937-0899", true}, {"a1", "A1", true},
		{"0499370899", "0790419904", false}, {"0499370899", "04993708990", false}, {"499370899", "0499370899", false},
		{"", "", false}, {"", "0499370899", false}, {"é", "é", false}, {"é", "", false},
	} {
		if got := Equal(tt.a, tt.b); got != tt.want {
			t.Errorf("Equal(%q, %q) = %v", tt.a, tt.b, got)
		}
	}
}

func TestMask(t *testing.T) {
	for in, want := range map[string]string{
		"0499370899": "049****899", "۰۴۹۹۳۷۰۸۹۹": "049****899", "10380284790": "103*****790",
		"12345678": "123**678", "1234567": "*******", "": "", "é": "",
	} {
		if got := Mask(in); got != want {
			t.Errorf("Mask(%q) = %q, want %q", in, got, want)
		}
	}
}

// FuzzNumber: nothing panics, Clean is stable, and a mask never tells more than
// six characters.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"", "0499370899", "۰۴۹۹۳۷۰۸۹۹", "10380284790", "\u206612", "\xff", "PNOIR-0499370899", "499370899"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c := Clean(s)
		if Clean(c) != c || len(c) > MaxLength {
			t.Errorf("Clean(%q) = %q, again %q", s, c, Clean(c))
		}
		for _, kind := range []string{KindNational, KindLegal, KindNone} {
			Valid(kind, s)
		}
		if p, ok := Pad(s); ok && !National(p) {
			t.Errorf("Pad(%q) = %q is not valid", s, p)
		}
		if m := Mask(s); len(m) != len(c) || len(m)-strings.Count(m, "*") > 6 {
			t.Errorf("Mask(%q) = %q", s, m)
		}
		if Equal(s, s) != (c != "") {
			t.Errorf("Equal(%q, itself) = %v", s, Equal(s, s))
		}
	})
}
