package receipt

import (
	"fmt"
	"strings"
)

// alphabet is RFC 9285, table 1: what QR codes hold in alphanumeric mode.
const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

// encode45 is RFC 9285, 4: two bytes to three characters, a last one to two,
// the least significant first.
func encode45(b []byte) string {
	out := make([]byte, 0, (len(b)+1)/2*3)
	for ; len(b) >= 2; b = b[2:] {
		n := int(b[0])<<8 | int(b[1])
		out = append(out, alphabet[n%45], alphabet[n/45%45], alphabet[n/45/45])
	}
	if len(b) == 1 {
		out = append(out, alphabet[b[0]%45], alphabet[b[0]/45])
	}
	return string(out)
}

// decode45 is its inverse. It accepts only what encode45 writes: no other
// characters, no lower case, no group above 65535 or 255, no lone character.
func decode45(s string) ([]byte, error) {
	if len(s)%3 == 1 {
		return nil, fmt.Errorf("%d characters: one is left over", len(s))
	}
	out := make([]byte, 0, len(s)/3*2+1)
	for i := 0; i < len(s); i += 3 {
		group := s[i:min(i+3, len(s))]
		n := 0
		for j := len(group) - 1; j >= 0; j-- {
			d := strings.IndexByte(alphabet, group[j])
			if d < 0 {
				return nil, fmt.Errorf("character %q at %d", group[j], i+j)
			}
			n = n*45 + d
		}
		switch {
		case len(group) == 3 && n <= 0xffff:
			out = append(out, byte(n>>8), byte(n))
		case len(group) == 2 && n <= 0xff:
			out = append(out, byte(n))
		default:
			return nil, fmt.Errorf("group %q at %d is too large", group, i)
		}
	}
	return out, nil
}
