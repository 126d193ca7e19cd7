package entry

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"strings"
	"testing"
)

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func testKey(t testing.TB) *ecdsa.PrivateKey {
	return must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
}

func example() Entry {
	request := sha256.Sum256([]byte("request"))
	e := Entry{
		Kiosk: "desk-7", Journal: [8]byte{1}, Seq: 2, Prev: [32]byte{2}, Sealed: []byte("age-encryption.org/v1"),
		Public: Public{Renewal: [16]byte{3}, Time: 1_800_000_000, Clock: "trusted", State: "RequestSigned", Rule: "ID-MISMATCH", Request: request[:]},
	}
	e.Hash = RecordHash(e.Journal, e.Seq, e.Prev, []byte("payload"))
	return e
}

func TestEntry(t *testing.T) {
	key := testKey(t)
	e := example()
	b := must[[]byte](t)(e.Marshal(key, rand.Reader))
	got := must[Entry](t)(Parse(b))
	if got.Head() != e.Head() || got.Public.State != e.Public.State || !bytes.Equal(got.Sealed, e.Sealed) || got.After != nil {
		t.Errorf("%+v", got)
	}
	if err := got.Verify(&key.PublicKey); err != nil {
		t.Error(err)
	}
	if err := got.Verify(&testKey(t).PublicKey); err == nil {
		t.Error("verified with another key")
	}
	if err := got.CheckHash([]byte("payload")); err != nil {
		t.Error(err)
	}
	if err := got.CheckHash([]byte("Payload")); err == nil {
		t.Error("another payload has the hash")
	}
	again := must[[]byte](t)(got.encode())
	if !bytes.Equal(again, b) {
		t.Error("not the same bytes")
	}
	for i := range b { // no change of a byte stays unseen
		changed := bytes.Clone(b)
		changed[i] ^= 1
		if e, err := Parse(changed); err == nil && e.Verify(&key.PublicKey) == nil {
			t.Fatalf("byte %d changed and nobody noticed", i)
		}
		if _, err := Parse(b[:i]); err == nil {
			t.Fatalf("cut to %d", i)
		}
	}
}

// Each row breaks one rule; neither side lets it through.
func TestRules(t *testing.T) {
	for name, change := range map[string]func(*Entry){
		"kiosk missing":       func(e *Entry) { e.Kiosk = "" },
		"kiosk of 65":         func(e *Entry) { e.Kiosk = strings.Repeat("k", 65) },
		"kiosk with a dot":    func(e *Entry) { e.Kiosk = "a.b" },
		"kiosk with wildcard": func(e *Entry) { e.Kiosk = ">" },
		"record 0":            func(e *Entry) { e.Seq = 0 },
		"first with previous": func(e *Entry) { e.Seq = 1 },
		"second without":      func(e *Entry) { e.Prev = [32]byte{} },
		"no hash":             func(e *Entry) { e.Hash = [32]byte{} },
		"nothing sealed":      func(e *Entry) { e.Sealed = nil },
		"too much sealed":     func(e *Entry) { e.Sealed = make([]byte, MaxSealed+1) },
		"no clock":            func(e *Entry) { e.Public.Clock = "" },
		"state and event":     func(e *Entry) { e.Public.Event = "start" },
		"neither":             func(e *Entry) { e.Public.State = "" },
		"a name as a rule":    func(e *Entry) { e.Public.Rule = "مریم" },
		"words as a rule":     func(e *Entry) { e.Public.Rule = "Maryam Rezaei" },
		"long rule":           func(e *Entry) { e.Public.Rule = strings.Repeat("R", 65) },
		"short request hash":  func(e *Entry) { e.Public.Request = e.Public.Request[:31] },
		"DER as request hash": func(e *Entry) { e.Public.Request = make([]byte, 33) },
		"leaves itself":       func(e *Entry) { h := e.Head(); e.After = &h },
		"leaves nothing":      func(e *Entry) { e.After = &Head{} },
	} {
		e := example()
		change(&e)
		if _, err := e.Marshal(testKey(t), rand.Reader); err == nil {
			t.Errorf("%s: marshalled", name)
		}
		e.Version, e.Signature = version, []byte{1}
		if b, err := e.encode(); err == nil {
			if _, err := Parse(b); err == nil {
				t.Errorf("%s: parsed", name)
			}
		}
	}
	for name, change := range map[string]func(*Entry){
		"version":           func(e *Entry) { e.Version = 2 },
		"no signature":      func(e *Entry) { e.Signature = nil },
		"endless signature": func(e *Entry) { e.Signature = make([]byte, maxSignature+1) },
	} {
		e := example()
		e.Version, e.Signature = version, []byte{1}
		change(&e)
		if _, err := Parse(must[[]byte](t)(e.encode())); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
	if _, err := Parse(make([]byte, MaxEntry+1)); err == nil {
		t.Error("too large: parsed")
	}
}

func TestPickup(t *testing.T) {
	spki := must[[]byte](t)(x509.MarshalPKIXPublicKey(&testKey(t).PublicKey))
	p := Pickup{Renewal: [16]byte{1}, Certificate: []byte("certificate of Maryam"), Chain: [][]byte{[]byte("issuer")}, Answer: []byte("kup"), Request: []byte("kur")}
	b := must[[]byte](t)(p.Seal(spki, 1234))
	if again := must[[]byte](t)(p.Seal(spki, 1234)); !bytes.Equal(again, b) {
		t.Error("sealed twice gives different bytes")
	}
	if bytes.Contains(b, []byte("Maryam")) || bytes.Contains(b, spki[len(spki)-64:]) {
		t.Error("readable")
	}
	got := must[Pickup](t)(OpenPickup(b, spki))
	if got.Renewal != p.Renewal || !bytes.Equal(got.Certificate, p.Certificate) || len(got.Chain) != 1 || !bytes.Equal(got.Answer, p.Answer) || !bytes.Equal(got.Request, p.Request) {
		t.Errorf("%+v", got)
	}
	if n, err := PickupNotAfter(b); n != 1234 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for i := range b {
		changed := bytes.Clone(b)
		changed[i] ^= 1
		if _, err := OpenPickup(changed, spki); err == nil {
			t.Fatalf("byte %d changed and nobody noticed", i)
		}
		if _, err := OpenPickup(b[:i], spki); err == nil {
			t.Fatalf("cut to %d", i)
		}
	}
	for name, bad := range map[string]Pickup{"no certificate": {}, "long chain": {Certificate: []byte{1}, Chain: make([][]byte, maxChain+1)}, "huge": {Certificate: make([]byte, MaxPickup)}} {
		if _, err := bad.Seal(spki, 0); err == nil {
			t.Errorf("%s: sealed", name)
		}
	}
}

func TestPrivate(t *testing.T) {
	for _, p := range []Private{{Payload: []byte("a")}, {Payload: []byte("a"), Record: []byte("b")}} {
		got := must[Private](t)(ParsePrivate(must[[]byte](t)(p.Marshal())))
		if !bytes.Equal(got.Payload, p.Payload) || !bytes.Equal(got.Record, p.Record) {
			t.Errorf("%+v", got)
		}
	}
	if _, err := ParsePrivate([]byte("nonsense")); err == nil {
		t.Error("nonsense parsed")
	}
}

// What is accepted is exactly what would be written.
func FuzzParse(f *testing.F) {
	e := example()
	f.Add(must[[]byte](f)(e.Marshal(testKey(f), rand.Reader)))
	h := Head{Journal: [8]byte{9}, Seq: 4, Hash: [32]byte{8}}
	e.After = &h
	f.Add(must[[]byte](f)(e.Marshal(testKey(f), rand.Reader)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := Parse(b); err == nil {
			if again, err := e.encode(); err != nil || !bytes.Equal(again, b) {
				t.Errorf("%x came back as %x, %v", b, again, err)
			}
		}
	})
}

func FuzzOpenPickup(f *testing.F) {
	spki := []byte("public key")
	f.Add(must[[]byte](f)(Pickup{Certificate: []byte("c"), Chain: [][]byte{{1}}}.Seal(spki, 99)))
	f.Add(must[[]byte](f)(Pickup{Renewal: [16]byte{1}, Certificate: []byte("c"), Answer: []byte("a"), Request: []byte("r")}.Seal(spki, 99)))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := OpenPickup(b, spki)
		n, nerr := PickupNotAfter(b)
		if err == nil && nerr != nil {
			t.Error(nerr)
		}
		if err != nil {
			return
		}
		if again, err := p.Seal(spki, n); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x came back as %x, %v", b, again, err)
		}
	})
}
