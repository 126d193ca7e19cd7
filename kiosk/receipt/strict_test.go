package receipt

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	qrcode "github.com/skip2/go-qrcode"
)

// Every flipped bit of the bytes is refused.
func TestEveryBit(t *testing.T) {
	for _, r := range []Receipt{testReceipt(), largest()} {
		s, trust := sign(t, r, "one"), testTrust(t, "one")
		for kid, k := range trust {
			k.Kiosk = r.Kiosk
			trust[kid] = k
		}
		if _, _, err := trust.Verify(s.Text); err != nil {
			t.Fatal(err)
		}
		b := bytes.Clone(s.Bytes)
		for i := range len(b) * 8 {
			b[i/8] ^= 1 << (i % 8)
			got, key, err := trust.Verify(Encode(b))
			if rule(t, err) == "" || got != (Receipt{}) || key.Public != nil {
				t.Fatalf("byte %d bit %d: %v", i/8, i%8, err)
			}
			b[i/8] ^= 1 << (i % 8)
		}
	}
}

// Every single change of a character, every missing and every added one.
func TestEveryCharacter(t *testing.T) {
	s, trust := sign(t, testReceipt(), "one"), testTrust(t, "one")
	refused := func(text, what string, i int) {
		t.Helper()
		if _, _, err := trust.Verify(text); rule(t, err) == "" {
			t.Fatalf("%s at %d taken", what, i)
		}
	}
	others := alphabet + "abz\n\t\x00\x80#&=_\"'é"
	for i := range len(s.Text) + 1 {
		for j := range len(others) {
			c := others[j : j+1]
			if i < len(s.Text) && c != s.Text[i:i+1] {
				refused(s.Text[:i]+c+s.Text[i+1:], "changed character", i)
			}
			if j%7 == i%7 {
				refused(s.Text[:i]+c+s.Text[i:], "added character", i)
			}
		}
		if i < len(s.Text) {
			refused(s.Text[:i], "cut", i)
			refused(s.Text[:i]+s.Text[i+1:], "missing character", i)
			if i > 0 && s.Text[i] != s.Text[i-1] {
				refused(s.Text[:i-1]+s.Text[i:i+1]+s.Text[i-1:i]+s.Text[i+1:], "swapped characters", i)
			}
		}
	}
	refused(s.Text+s.Text, "twice", 0)
	refused(strings.ToLower(s.Text), "lower case", 0)
}

// largest has every field at its largest.
func largest() Receipt {
	r := testReceipt()
	r.Tracking, r.Seq, r.Kiosk, r.HeadSeq = 1<<64-1, 1<<64-1, 1<<32-1, 1<<64-1
	for i := range r.Head {
		r.Head[i] = 0xff
	}
	return r
}

// The sizes that the package comment and the kiosk's screen count on.
func TestSize(t *testing.T) {
	usual := testReceipt()
	edge := usual
	edge.Tracking, edge.Seq, edge.Kiosk = 1<<32-1, 1<<32-1, 1<<16-1
	checkpoint := edge
	checkpoint.Head, checkpoint.HeadSeq = largest().Head, 1<<32-1
	longest := largest()
	longest.Time = time.Unix(lastTime, 0)
	smallest := Receipt{Time: time.Unix(0, 0), Clock: ClockUnproven, State: Refused, Tracking: 1, Seq: 1, Kiosk: 1}
	for _, c := range []struct {
		name       string
		r          Receipt
		bytes, chs int
		version    int
	}{
		{"usual", usual, 169, 258, 9},
		{"largest within version 9", edge, 171, 261, 9},
		{"with a checkpoint", checkpoint, 195, 297, 10},
		{"with a checkpoint and large numbers", largest(), 209, 318, 11},
		{"smallest", smallest, minBytes, 159, 7},
		{"largest", longest, maxBytes, 324, 11},
	} {
		s := sign(t, c.r, "one")
		if len(s.Bytes) != c.bytes || len(s.Text) != c.chs {
			t.Errorf("%s: %d bytes, %d characters, want %d and %d", c.name, len(s.Bytes), len(s.Text), c.bytes, c.chs)
		}
		q, err := qrcode.New(s.Text, qrcode.Medium)
		if err != nil {
			t.Fatal(err)
		}
		if q.VersionNumber != c.version {
			t.Errorf("%s: QR version %d, want %d", c.name, q.VersionNumber, c.version)
		}
	}
}

// RFC 9285, 4.3 and 4.4, and the edges of both groups.
func TestBase45(t *testing.T) {
	for plain, text := range map[string]string{"AB": "BB8", "Hello!!": "%69 VD92EX0", "base-45": "UJCLQE7W581", "ietf!": "QED8WEX0", "": "", "\xff\xff": "FGW", "\xff": "U5"} {
		if got := encode45([]byte(plain)); got != text {
			t.Errorf("encode %q: %q, want %q", plain, got, text)
		}
		if got, err := decode45(text); err != nil || string(got) != plain {
			t.Errorf("decode %q: %q, %v", text, got, err)
		}
	}
	for _, bad := range []string{"A", "GGW", "FGX", ":::", "V5", "::", "bb8", "BB8A", "B!8", "BB\n", "\u0130B8"} {
		if got, err := decode45(bad); err == nil {
			t.Errorf("decode %q: %q", bad, got)
		}
	}
	for a := range 45 { // all texts of two characters
		for b := range 45 {
			text := alphabet[a:a+1] + alphabet[b:b+1]
			if got, err := decode45(text); (err == nil) != (a+45*b < 256) || err == nil && encode45(got) != text {
				t.Errorf("%q: %v", text, err)
			}
		}
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sigStructure is RFC 9052, 4.4, put together by hand, apart from the library
// that Sign uses.
func sigStructure(protected, payload []byte) []byte {
	bstr := func(b []byte) []byte {
		switch n := len(b); {
		case n < 24:
			return append([]byte{0x40 | byte(n)}, b...)
		default:
			return append([]byte{0x58, byte(n)}, b...)
		}
	}
	out := append([]byte{0x84, 0x6a}, "Signature1"...)
	out = append(out, bstr(protected)...)
	out = append(out, 0x40)
	return append(out, bstr(payload)...)
}

// forge signs any two byte strings with the right key, and packs them.
func forge(t testing.TB, protected, payload []byte, name string) (sig []byte, packed []byte) {
	t.Helper()
	digest := sha256.Sum256(sigStructure(protected, payload))
	sig, err := es256{testKey(t, name)}.Sign(nil, sigStructure(protected, payload))
	if err != nil {
		t.Fatal(err)
	}
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	if !ecdsa.Verify(&testKey(t, name).PublicKey, digest[:], r, s) {
		t.Fatal("forged signature does not verify")
	}
	b, err := cbor.Marshal(cbor.Tag{Number: 18, Content: []any{protected, map[int]int{}, payload, sig}})
	if err != nil {
		t.Fatal(err)
	}
	return sig, b
}

// What Sign makes verifies without go-cose, over the structure of RFC 9052.
func TestIndependent(t *testing.T) {
	s := sign(t, testReceipt(), "one")
	var msg struct {
		_           struct{} `cbor:",toarray"`
		Protected   []byte
		Unprotected map[int]int
		Payload     []byte
		Signature   []byte
	}
	if s.Bytes[0] != 0xd2 {
		t.Fatalf("tag %x", s.Bytes[0])
	}
	if err := cbor.Unmarshal(s.Bytes[1:], &msg); err != nil {
		t.Fatal(err)
	}
	want := "a2 01 26 04 48" + s.Key.String()
	if !bytes.Equal(msg.Protected, unhex(t, want)) {
		t.Errorf("protected %x, want %s", msg.Protected, want)
	}
	digest := sha256.Sum256(sigStructure(msg.Protected, msg.Payload))
	r, v := new(big.Int).SetBytes(msg.Signature[:32]), new(big.Int).SetBytes(msg.Signature[32:])
	if !ecdsa.Verify(&testKey(t, "one").PublicKey, digest[:], r, v) {
		t.Error("does not verify")
	}
}

// vector is a text and what Verify must say: the rule, or "" if it is good.
type vector struct{ name, text, want string }

// Everything here is signed by the right key: only form is wrong.
func TestForm(t *testing.T) {
	trust := testTrust(t, "one")
	for _, c := range formCases(t) {
		_, _, err := trust.Verify(c.text)
		if got := rule(t, err); got != c.want {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func formCases(t testing.TB) (out []vector) {
	kid, _ := KeyIDOf(&testKey(t, "one").PublicKey)
	k := kid.String()
	protected := "a2 01 26 04 48" + k
	req, old, head := "5820"+strings.Repeat("11", 32), "50"+strings.Repeat("22", 16), "50"+strings.Repeat("33", 16)
	iat := "06 1a 69f86a00" // 2026
	private := "3a 00010000"
	full := "a9 01 01 02 1a 1cb34c8a 03" + req + "04" + old + "05 19 04b7 07 19 01a1 08 02 09" + head + "0a 19 0100"
	const noRequest = "04 50 22222222222222222222222222222222 05 19 04b7 07 19 01a1 08 02"
	good := "a2" + iat + private + full
	for _, c := range []struct {
		name, protected, payload, want string
	}{
		{"good", protected, good, ""},
		{"no old certificate", protected, "a2" + iat + private + "a6 01 01 02 1a 1cb34c8a 03" + req + "05 19 04b7 07 19 01a1 08 02", ""},
		{"refused without request", protected, "a2" + iat + private + "a6 01 03 02 1a 1cb34c8a" + noRequest, ""},

		{"recorded without request", protected, "a2" + iat + private + "a6 01 01 02 1a 1cb34c8a" + noRequest, "RCPT-FIELD"},
		{"accepted without request", protected, "a2" + iat + private + "a6 01 02 02 1a 1cb34c8a" + noRequest, "RCPT-FIELD"},
		{"state 0", protected, strings.Replace(good, "a9 01 01", "a9 01 00", 1), "RCPT-FIELD"},
		{"state 4", protected, strings.Replace(good, "a9 01 01", "a9 01 04", 1), "RCPT-FIELD"},
		{"clock 0", protected, strings.Replace(good, "08 02", "08 00", 1), "RCPT-FIELD"},
		{"clock 4", protected, strings.Replace(good, "08 02", "08 04", 1), "RCPT-FIELD"},
		{"no tracking number", protected, strings.Replace(good, "02 1a 1cb34c8a", "02 00", 1), "RCPT-FIELD"},
		{"sequence number 0", protected, strings.Replace(good, "05 19 04b7", "05 00", 1), "RCPT-FIELD"},
		{"kiosk 0", protected, strings.Replace(good, "07 19 01a1", "07 00", 1), "RCPT-FIELD"},
		{"checkpoint without its record", protected, strings.Replace(strings.Replace(good, "a9 01", "a8 01", 1), "0a 19 0100", "", 1), "RCPT-FIELD"},
		{"record without its checkpoint", protected, strings.Replace(strings.Replace(good, "a9 01", "a8 01", 1), "09"+head, "", 1), "RCPT-FIELD"},
		{"checkpoint at record 0", protected, strings.Replace(good, "0a 19 0100", "0a 00", 1), "RCPT-CBOR"},
		{"after the year 9999", protected, strings.Replace(good, iat, "06 1b 0000003afff44180", 1), "RCPT-FIELD"},
		{"time beyond int64", protected, strings.Replace(good, iat, "06 1b ffffffffffffffff", 1), "RCPT-FIELD"},

		{"key twice", protected, "a2" + iat + private + strings.Replace(full, "a9 01 01", "aa 01 01 01 01", 1), "RCPT-CBOR"},
		{"claim twice", protected, "a3" + iat + iat + private + full, "RCPT-CBOR"},
		{"keys out of order", protected, "a2" + private + full + iat, "RCPT-CBOR"},
		{"unknown key", protected, "a2" + iat + private + strings.Replace(full, "a9", "aa", 1) + "0b 01", "RCPT-CBOR"},
		{"unknown claim", protected, "a3 01 61 61" + iat + private + full, "RCPT-CBOR"},
		{"text key", protected, "a2" + iat + private + strings.Replace(full, "a9", "aa", 1) + "61 61 01", "RCPT-CBOR"},
		{"missing key", protected, "a2" + iat + private + strings.Replace(strings.Replace(full, "a9", "a8", 1), "08 02", "", 1), "RCPT-CBOR"},
		{"missing claim", protected, "a1" + private + full, "RCPT-CBOR"},
		{"long integer", protected, strings.Replace(good, "a9 01 01", "a9 01 18 01", 1), "RCPT-CBOR"},
		{"long length", protected, strings.Replace(good, "035820", "03590020", 1), "RCPT-CBOR"},
		{"float", protected, strings.Replace(good, iat, "06 fb 41da7e1a80000000", 1), "RCPT-CBOR"},
		{"negative time", protected, strings.Replace(good, iat, "06 20", 1), "RCPT-CBOR"},
		{"time with a tag", protected, strings.Replace(good, iat, "06 c1 1a 69f86a00", 1), "RCPT-CBOR"},
		{"null", protected, strings.Replace(good, "08 02", "08 f6", 1), "RCPT-CBOR"},
		{"indefinite map", protected, "bf" + iat + private + full + "ff", "RCPT-CBOR"},
		{"indefinite bytes", protected, strings.Replace(good, "03"+req, "03 5f"+req+"ff", 1), "RCPT-CBOR"},
		{"short request", protected, strings.Replace(good, req, "581f"+strings.Repeat("11", 31), 1), "RCPT-CBOR"},
		{"long request", protected, strings.Replace(good, req, "5821"+strings.Repeat("11", 33), 1), "RCPT-CBOR"},
		{"request as text", protected, strings.Replace(good, req, "7820"+strings.Repeat("31", 32), 1), "RCPT-CBOR"},
		{"empty request", protected, strings.Replace(good, req, "40", 1), "RCPT-CBOR"},
		{"zero request", protected, strings.Replace(good, req, "5820"+strings.Repeat("00", 32), 1), "RCPT-CBOR"},
		{"zero checkpoint", protected, strings.Replace(good, head, "50"+strings.Repeat("00", 16), 1), "RCPT-CBOR"},
		{"kiosk of 33 bits", protected, strings.Replace(good, "07 19 01a1", "07 1b 0000000100000000", 1), "RCPT-CBOR"},
		{"trailing bytes in the payload", protected, good + "00", "RCPT-CBOR"},
		{"payload is an array", protected, "82 01" + full, "RCPT-CBOR"},

		{"no algorithm", "a1 04 48" + k, good, "RCPT-CBOR"},
		{"ES384", "a2 01 38 22 04 48" + k, good, "RCPT-CBOR"},
		{"EdDSA", "a2 01 27 04 48" + k, good, "RCPT-CBOR"},
		{"algorithm as text", "a2 01 65 4553323536 04 48" + k, good, "RCPT-CBOR"},
		{"no kid", "a1 01 26", good, "RCPT-CBOR"},
		{"short kid", "a2 01 26 04 47" + k[:14], good, "RCPT-CBOR"},
		{"long kid", "a2 01 26 04 49" + k + "00", good, "RCPT-CBOR"},
		{"protected out of order", "a2 04 48" + k + "01 26", good, "RCPT-CBOR"},
		{"protected twice", "a3 01 26 01 26 04 48" + k, good, "RCPT-CBOR"},
		{"more in protected", "a3 01 26 03 00 04 48" + k, good, "RCPT-CBOR"},
		{"critical header", "a3 01 26 02 81 03 04 48" + k, good, "RCPT-CBOR"},
		{"long protected", "a2 01 26 04 5808" + k, good, "RCPT-CBOR"},
	} {
		_, b := forge(t, unhex(t, c.protected), unhex(t, c.payload), "one")
		out = append(out, vector{"payload or header: " + c.name, Encode(b), c.want})
	}

	// The envelope round a good payload.
	p, m := unhex(t, protected), unhex(t, good)
	sig, b := forge(t, p, m, "one")
	pack := func(v any) []byte {
		out, err := cbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	high := bytes.Clone(sig)
	s := new(big.Int).SetBytes(sig[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(high[32:])
	zero := bytes.Clone(sig)
	clear(zero[:32])
	envelope := func(unprotected any, sig []byte) []byte {
		return pack(cbor.Tag{Number: 18, Content: []any{p, unprotected, m, sig}})
	}
	none := map[int]int{}
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"good", envelope(none, sig), ""},
		{"no tag", b[1:], "RCPT-CBOR"},
		{"tag 17", append([]byte{0xd1}, b[1:]...), "RCPT-CBOR"},
		{"tag 18 in two bytes", append([]byte{0xd8, 18}, b[1:]...), "RCPT-CBOR"},
		{"tagged twice", append([]byte{0xd2}, b...), "RCPT-CBOR"},
		{"three parts", pack(cbor.Tag{Number: 18, Content: []any{p, none, m}}), "RCPT-CBOR"},
		{"five parts", pack(cbor.Tag{Number: 18, Content: []any{p, none, m, sig, 1}}), "RCPT-CBOR"},
		{"trailing byte", append(bytes.Clone(b), 0), "RCPT-CBOR"},
		{"something unprotected", envelope(map[int]int{-70000: 1}, sig), "RCPT-CBOR"},
		{"kid unprotected too", envelope(map[int][]byte{4: kid[:]}, sig), "RCPT-CBOR"},
		{"unprotected is an array", envelope([]int{}, sig), "RCPT-CBOR"},
		{"detached payload", pack(cbor.Tag{Number: 18, Content: []any{p, none, nil, append(m, sig...)}}), "RCPT-CBOR"},
		{"indefinite array", append([]byte{0xd2, 0x9f}, append(bytes.Clone(b[2:]), 0xff)...), "RCPT-CBOR"},
		{"short signature", envelope(none, sig[:63]), "RCPT-SIGNATURE"},
		{"long signature", envelope(none, append(bytes.Clone(sig), 0)), "RCPT-SIGNATURE"},
		{"s in the upper half", envelope(none, high), "RCPT-SIGNATURE"},
		{"r is zero", envelope(none, zero), "RCPT-SIGNATURE"},
		{"nothing", nil, "RCPT-SIZE"},
		{"short", b[:minBytes-1], "RCPT-SIZE"},
		{"short enough to look at", b[:minBytes], "RCPT-CBOR"},
		{"long enough to look at", append(bytes.Clone(b), make([]byte, maxBytes-len(b))...), "RCPT-CBOR"},
		{"long", append(bytes.Clone(b), make([]byte, maxBytes+1-len(b))...), "RCPT-SIZE"},
	} {
		out = append(out, vector{"envelope: " + c.name, Encode(c.b), c.want})
	}
	return out
}

// tokenKey behaves as a key in a token: it insists on being told the hash,
// and its s is in the upper half whenever it likes.
type tokenKey struct {
	*ecdsa.PrivateKey
	answer func(der []byte) ([]byte, error)
}

func (k tokenKey) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 || len(digest) != 32 {
		return nil, errors.New("wrong hash")
	}
	der, err := k.PrivateKey.Sign(rand, digest, opts)
	if err != nil {
		return nil, err
	}
	return k.answer(der)
}

type rs struct{ R, S *big.Int }

func TestSigners(t *testing.T) {
	key, trust := testKey(t, "one"), testTrust(t, "one")
	n := elliptic.P256().Params().N
	change := func(f func(*rs)) func([]byte) ([]byte, error) {
		return func(der []byte) ([]byte, error) {
			var v rs
			if _, err := asn1.Unmarshal(der, &v); err != nil {
				return nil, err
			}
			f(&v)
			return asn1.Marshal(v)
		}
	}
	removed := errors.New("token removed")
	for _, c := range []struct {
		name   string
		answer func([]byte) ([]byte, error)
		ok     bool
	}{
		{"lower half", change(func(v *rs) {
			if v.S.Cmp(halfOrder) > 0 {
				v.S.Sub(n, v.S)
			}
		}), true},
		{"upper half", change(func(v *rs) {
			if v.S.Cmp(halfOrder) <= 0 {
				v.S.Sub(n, v.S)
			}
		}), true},
		{"removed", func([]byte) ([]byte, error) { return nil, removed }, false},
		{"nothing", func([]byte) ([]byte, error) { return nil, nil }, false},
		{"raw", func([]byte) ([]byte, error) { return make([]byte, 64), nil }, false},
		{"trailing bytes", func(der []byte) ([]byte, error) { return append(der, 0), nil }, false},
		{"negative", change(func(v *rs) { v.S.Neg(v.S) }), false},
		{"zero", change(func(v *rs) { v.R.SetInt64(0) }), false},
		{"too large", change(func(v *rs) { v.R.Add(v.R, new(big.Int).Lsh(n, 8)) }), false},
		{"other signature", change(func(v *rs) { v.R.Xor(v.R, big.NewInt(1)) }), false},
	} {
		s, err := testReceipt().Sign(tokenKey{key, c.answer}, rand.Reader)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil && (s.Bytes != nil || s.Text != "") {
			t.Errorf("%s: a receipt beside the error", c.name)
		}
		if err == nil {
			if _, _, err := trust.Verify(s.Text); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if c.name == "removed" && !errors.Is(err, removed) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	for _, k := range []crypto.Signer{p384, rsaKey} {
		if _, err := testReceipt().Sign(k, rand.Reader); err == nil {
			t.Errorf("signed with %T", k)
		}
	}
	bad := testReceipt()
	bad.Seq = 0
	if _, err := bad.Sign(key, rand.Reader); rule(t, err) != "RCPT-FIELD" {
		t.Error(err)
	}
}
