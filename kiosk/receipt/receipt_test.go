package receipt

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"testing"
	"time"
)

// testKey derives a key from a name, so that vectors can be made again.
func testKey(t testing.TB, name string) *ecdsa.PrivateKey {
	t.Helper()
	sum := sha256.Sum256([]byte("mohr receipt test key: " + name))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func testReceipt() Receipt {
	return Receipt{
		Time: time.Date(2026, 5, 4, 9, 30, 12, 0, time.UTC), Clock: ClockKept, State: Recorded,
		Tracking: 481516234, Request: sha256.Sum256([]byte("request")), OldCert: [16]byte(sha256.New().Sum(nil)),
		Seq: 1207, Kiosk: 417,
	}
}

func testTrust(t testing.TB, name string) TrustList {
	t.Helper()
	pub := &testKey(t, name).PublicKey
	kid, err := KeyIDOf(pub)
	if err != nil {
		t.Fatal(err)
	}
	return TrustList{kid: {
		Public: pub, Kiosk: 417, Name: "دفتر پیشخوان ۷۲۱۶",
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2027, 12, 31, 23, 59, 59, 0, time.UTC),
	}}
}

func sign(t testing.TB, r Receipt, name string) Signed {
	t.Helper()
	s, err := r.Sign(testKey(t, name), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rule is the rule of a refusal, "" for none.
func rule(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var r *Refusal
	if !errors.As(err, &r) {
		t.Fatalf("%v is not a Refusal", err)
	}
	return r.Rule
}

func TestSignVerify(t *testing.T) {
	s := sign(t, testReceipt(), "one")
	r, k, err := testTrust(t, "one").Verify(s.Text)
	if err != nil {
		t.Fatal(err)
	}
	if r != testReceipt() || k.Kiosk != 417 {
		t.Errorf("read %+v", r)
	}
	t.Logf("%d bytes, %d characters", len(s.Bytes), len(s.Text))
}
