package canary

import (
	"bytes"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

var secrets = []Secret{
	{"number", "0499370899"}, {"PIN", "73918264"}, {"name", "Khoshghadam"}, {"Persian name", "خوش\u200cقدم یکتا"},
}

func scanner(t testing.TB) *Scanner {
	t.Helper()
	s, err := New(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func find(s *Scanner, b []byte) (hits []Hit) {
	s.Bytes(b, func(h Hit) { hits = append(hits, h) })
	return hits
}

// Other people's encoders, with other things before and behind: what they write is found.
func TestFoundInOthersEncodings(t *testing.T) {
	must := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, row := range []struct {
		name   string
		b      []byte
		secret string
	}{
		{"DER UTF8String", must(asn1.MarshalWithParams("خوش\u200cقدم یکتا", "utf8")), "Persian name"},
		{"DER PrintableString", must(asn1.MarshalWithParams("0499370899", "printable")), "number"},
		{"DER NumericString", must(asn1.MarshalWithParams("73918264", "numeric")), "PIN"},
		{"DER INTEGER", must(asn1.Marshal(499370899)), "number"},
		{"DER INTEGER", must(asn1.Marshal([]int{1, 73918264})), "PIN"},
		{"CBOR text", must(cbor.Marshal([]string{"x", "Khoshghadam"})), "name"},
		{"CBOR integer", must(cbor.Marshal(map[int]int{1: 499370899})), "number"},
		{"CBOR bytes", must(cbor.Marshal([]byte("73918264"))), "PIN"},
		{"JSON", must(json.Marshal(map[string]string{"a": "khoshghadam"})), "name"},
		{"ASCII JSON", []byte(`{"a":"` + `\u062e\u0648\u0634\u200c\u0642\u062f\u0645 \u06cc\u06a9\u062a\u0627` + `"}`), "Persian name"},
		{"JSON of a []byte", must(json.Marshal([]byte("xy73918264"))), "PIN"},
		{"Persian digits", []byte("کد ملی ۰۴۹۹۳۷۰۸۹۹"), "number"},
		{"Arabic digits", []byte("٧٣٩١٨٢٦٤"), "PIN"},
		{"Arabic ye and kaf", []byte("خوش\u200cقدم يكتا"), "Persian name"},
		{"without ZWNJ", []byte("خوشقدم یکتا"), "Persian name"},
		{"UTF-16", []byte("7\x003\x009\x001\x008\x002\x006\x004\x00"), "PIN"},
		{"hex", []byte(hex.EncodeToString([]byte("Khoshghadam"))), "name"},
		{"hex, upper case", []byte(strings.ToUpper(hex.EncodeToString([]byte("0499370899")))), "number"},
		{"packed decimals", []byte{1, 0x04, 0x99, 0x37, 0x08, 0x99, 2}, "number"},
		{"query", []byte("name=%D8%AE%D9%88%D8%B4%E2%80%8C%D9%82%D8%AF%D9%85+%DB%8C%DA%A9%D8%AA%D8%A7"), "Persian name"},
		{"base45", []byte(inBase45([]byte("ab73918264"), 0)), "PIN"},
		{"base45, in mid-group", []byte(inBase45([]byte("a73918264b"), 0)), "PIN"},
	} {
		hits := find(scanner(t), append([]byte("before"), append(row.b, "behind"...)...))
		if !slices.ContainsFunc(hits, func(h Hit) bool { return h.Secret.Name == row.secret }) {
			t.Errorf("%s: %s not found, but %v", row.name, row.secret, hits)
		}
	}
}

// In base64 a word is found wherever it stands, whatever is round it.
func TestFoundInBase64(t *testing.T) {
	s := scanner(t)
	r := rand.New(rand.NewPCG(1, 1))
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		for _, secret := range secrets {
			for before := range 9 {
				b := make([]byte, before, 64)
				for i := range b {
					b[i] = byte(r.Uint32())
				}
				text := e.EncodeToString(append(append(b, secret.Word...), byte(r.Uint32()), byte(r.Uint32())))
				if len(find(s, []byte(text))) == 0 {
					t.Errorf("%s behind %d bytes is not found in %s", secret.Name, before, text)
				}
			}
		}
	}
}

// Positive control of the whole list: each form is found.
func TestEveryFormIsFound(t *testing.T) {
	s := scanner(t)
	if n := len(s.Forms()); n < 250 {
		t.Errorf("only %d forms", n)
	}
	const apart = 1000
	disk := make([]byte, (len(s.Forms())+1)*apart)
	for i, f := range s.Forms() {
		copy(disk[i*apart+i%7:], f.Bytes)
	}
	found := map[string]int64{}
	s.Bytes(disk, func(h Hit) {
		if h.Offset%apart < 7 { // others are parts of it
			found[string(h.Bytes)] = h.Offset
		}
	})
	for i, f := range s.Forms() {
		if at, ok := found[string(f.Bytes)]; !ok || at/apart != int64(i) && !bytes.HasPrefix(disk[at:], f.Bytes) {
			t.Errorf("%s of %s is not found: %v", f.Name, f.Secret.Name, ok)
		}
	}
}

// What lies across the edge of what is read at once is found, and at both ends.
func TestFoundAtTheEdges(t *testing.T) {
	s := scanner(t)
	const window = 1 << 20
	word := []byte(secrets[3].Word)
	for _, at := range []int{0, 1, window - len(word), window - len(word) + 1, window - len(word)/2, window - 1, window, 2*window + 5 - len(word)} {
		disk := make([]byte, 2*window+5)
		copy(disk[at:], word)
		var got []int64
		if err := s.Read(bytes.NewReader(disk), int64(len(disk)), func(h Hit) {
			if bytes.Equal(h.Bytes, word) {
				got = append(got, h.Offset)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(got, int64(at)) {
			t.Errorf("put at %d, found at %v", at, got)
		}
	}
}

// Noise holds none of them.
func TestNothingInNoise(t *testing.T) {
	s := scanner(t)
	noise := make([]byte, 4<<20)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	if hits := find(s, noise); len(hits) != 0 {
		t.Errorf("found %v", hits)
	}
}

func TestShortWord(t *testing.T) {
	if _, err := New(Secret{"PIN", "1234"}); err == nil || strings.Contains(err.Error(), "1234") {
		t.Errorf("%v", err)
	}
}

func BenchmarkRead(b *testing.B) {
	s := scanner(b)
	noise := make([]byte, 16<<20)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	b.SetBytes(int64(len(noise)))
	for b.Loop() {
		s.Read(bytes.NewReader(noise), int64(len(noise)), func(Hit) {})
	}
}
