package receipt

import (
	"bytes"
	"testing"
)

// fixed is the same receipt in every worker: RFC 6979.
func fixed(f *testing.F) Signed {
	s, err := testReceipt().Sign(testKey(f, "one"), nil)
	if err != nil {
		f.Fatal(err)
	}
	return s
}

// FuzzDecode: what is taken is written back the same.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{Prefix, Prefix + "BB8", "kr1:", fixed(f).Text} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := Decode(text)
		if err != nil {
			if rule(t, err) == "" || b != nil {
				t.Fatalf("%v and bytes", err)
			}
			return
		}
		if Encode(b) != text {
			t.Fatalf("%q is written back as %q", text, Encode(b))
		}
	})
}

// FuzzVerify: nothing is taken but the receipts that were signed, and what
// Parse takes has one encoding.
func FuzzVerify(f *testing.F) {
	trust := testTrust(f, "one")
	known := map[string]bool{}
	for _, v := range formCases(f) {
		b, err := Decode(v.text)
		if err == nil {
			f.Add(b)
		}
		known[v.text] = v.want == ""
	}
	s := fixed(f)
	f.Add(s.Bytes)
	known[s.Text] = true
	f.Fuzz(func(t *testing.T, b []byte) {
		r, kid, msg, err := parse(b)
		if err == nil {
			again, err := r.message(kid)
			if err != nil {
				t.Fatal(err)
			}
			again.Signature = msg.Signature
			if enc, err := again.MarshalCBOR(); err != nil || !bytes.Equal(enc, b) {
				t.Fatalf("%x is written back as %x (%v)", b, enc, err)
			}
		} else if rule(t, err) == "" || r != (Receipt{}) {
			t.Fatalf("%v and a receipt", err)
		}
		if _, _, err := trust.Verify(Encode(b)); err == nil && !known[Encode(b)] {
			t.Fatalf("taken, never signed: %x", b)
		}
	})
}

// FuzzTrustList: what is taken is written back the same, but for white space.
func FuzzTrustList(f *testing.F) {
	b, err := vectorTrust(f).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version":1,"keys":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseTrustList(b)
		if err != nil {
			if rule(t, err) != "RCPT-TRUST" || l != nil {
				t.Fatalf("%v", err)
			}
			return
		}
		if _, err := l.Marshal(); err != nil {
			t.Fatalf("taken, but cannot be written: %v", err)
		}
	})
}
