package canary

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf16"
)

// forms calls add with every form of a word. The same bytes may come twice.
func forms(word string, add func(name string, b []byte)) {
	for kind, text := range spellings(word) {
		coded := map[string][]byte{"UTF-8": []byte(text), "UTF-16LE": wide(binary.LittleEndian, text), "UTF-16BE": wide(binary.BigEndian, text)}
		for code, b := range coded {
			name := kind + code
			add(name, b)
			for skip := range 3 {
				add(name+" in base64", inBase64(base64.RawStdEncoding, b, skip))
				add(name+" in base64url", inBase64(base64.RawURLEncoding, b, skip))
			}
			add(name+" in hex", []byte(hex.EncodeToString(b)))
			add(name+" in HEX", []byte(strings.ToUpper(hex.EncodeToString(b))))
		}
		for skip := range 2 {
			add(kind+"base45", inBase45([]byte(text), skip))
		}
		add(kind+"\\u escapes", escaped(text, "%04x"))
		add(kind+"\\U escapes", escaped(text, "%04X"))
		add(kind+"per-cent signs", []byte(url.QueryEscape(text)))
	}
	if n, err := strconv.ParseUint(word, 10, 64); err == nil {
		numbers(n, word, add)
	}
}

// spellings are the ways to write a word, by name.
func spellings(word string) map[string]string {
	latin := strings.NewReplacer("ي", "ی", "ك", "ک").Replace(word)
	all := map[string]string{
		"": word, "Persian ye and kaf, ": latin, "Arabic ye and kaf, ": strings.NewReplacer("ی", "ي", "ک", "ك").Replace(word),
		"lower case, ": strings.ToLower(word), "upper case, ": strings.ToUpper(word), "without ZWNJ, ": strings.ReplaceAll(word, "\u200c", ""),
		"Persian digits, ": digits(word, '۰'), "Arabic digits, ": digits(word, '٠'),
	}
	for name, text := range all {
		if name != "" && text == word {
			delete(all, name)
		}
	}
	return all
}

func digits(word string, zero rune) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return zero + r - '0'
		}
		return r
	}, word)
}

func wide(order binary.AppendByteOrder, text string) (b []byte) {
	for _, u := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

// inBase64 is what base64 shows of b, whatever stands before and after it, if b
// begins skip bytes into a group of three.
func inBase64(e *base64.Encoding, b []byte, skip int) []byte {
	s := e.EncodeToString(append(make([]byte, skip), b...))
	first := (skip*8 + 5) / 6       // characters that hold bits of what stands before
	last := (skip + len(b)) * 8 / 6 // whole characters of b
	return []byte(s[min(first, last):last])
}

// inBase45 likewise, with groups of two bytes in three characters (RFC 9285).
func inBase45(b []byte, skip int) (out []byte) {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
	for b = b[min(skip, len(b)):]; len(b) >= 2; b = b[2:] {
		n := int(b[0])<<8 | int(b[1])
		out = append(out, alphabet[n%45], alphabet[n/45%45], alphabet[n/45/45])
	}
	return out
}

func escaped(text, format string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(text)) {
		if u < 0x80 {
			out = append(out, byte(u))
			continue
		}
		out = fmt.Appendf(append(out, `\u`...), format, u)
	}
	return out
}

// numbers adds the forms of a word of digits that are no text.
func numbers(n uint64, word string, add func(name string, b []byte)) {
	big := binary.BigEndian.AppendUint64(nil, n)
	size := max(least, (bits.Len64(n)+7)/8) // of any longer number the rest is zeros
	add("number, big end first", big[8-size:])
	add("number, little end first", binary.LittleEndian.AppendUint64(nil, n)[:size])
	short := big
	for len(short) > 1 && short[0] == 0 && short[1] < 0x80 {
		short = short[1:]
	}
	if short[0] >= 0x80 {
		short = append([]byte{0}, short...)
	}
	add("INTEGER in DER", append([]byte{2, byte(len(short))}, short...))
	if n > 1<<32-1 {
		add("integer in CBOR", append([]byte{0x1b}, big...))
	} else {
		add("integer in CBOR", append([]byte{0x1a}, big[4:]...))
	}
	if len(word)%2 == 0 {
		packed, _ := hex.DecodeString(word) // decimal digits are hex digits
		add("packed decimals", packed)
		swapped := make([]byte, len(packed))
		for i, b := range packed {
			swapped[i] = b<<4 | b>>4
		}
		add("packed decimals, swapped", swapped)
	}
}
