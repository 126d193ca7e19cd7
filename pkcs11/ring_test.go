package pkcs11

import (
	"strings"
	"testing"
)

func TestRing(t *testing.T) {
	tests := []struct {
		writes []string
		want   string
	}{
		{nil, ""},
		{[]string{"abc"}, "abc"},
		{[]string{"abcd", "ef", "gh"}, "abcdefgh"},
		{[]string{"abcdefgh", "i"}, "bcdefghi"},
		{[]string{"ab", strings.Repeat("x", 100) + "12345678"}, "12345678"},
		{[]string{"abcdefg", "1234"}, "defg1234"},
	}
	for _, tt := range tests {
		r := newRing(8)
		for _, s := range tt.writes {
			if n, err := r.Write([]byte(s)); n != len(s) || err != nil {
				t.Errorf("%q: wrote %d, %v", s, n, err)
			}
		}
		if got := string(r.Bytes()); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.writes, got, tt.want)
		}
	}
}
