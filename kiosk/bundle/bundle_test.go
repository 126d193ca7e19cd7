package bundle

import (
	"bytes"
	"crypto/rand"
	"testing"
	"time"

	"filippo.io/age"

	"mohr.internal/kiosk/cmp"
	"mohr.internal/kiosk/cmp/cmptest"
)

var start = time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)

// message is some PKIMessage.
func message(t testing.TB) []byte {
	t.Helper()
	pki, err := cmptest.New(cmptest.Options{Time: start})
	if err != nil {
		t.Fatal(err)
	}
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := pki.Citizen(key.Public(), cmptest.CertOptions{})
	if err != nil {
		t.Fatal(err)
	}
	der, err := cmp.KUR{
		OldCert: cert, OldKey: key, TransactionID: make([]byte, 16), SenderNonce: make([]byte, 16), Time: start, Recipient: pki.Issuing.RawSubject,
	}.Build(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestSealAndOpen(t *testing.T) {
	der := message(t)
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	b, err := New("kiosk-1", start, []Parcel{{"a.request", der}, {"b.request", der}})
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := b.Seal(&file, id.Recipient()); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(file.Bytes(), []byte("a.request")) || bytes.Contains(file.Bytes(), der[40:60]) {
		t.Error("the content shows")
	}
	got, err := Open(bytes.NewReader(file.Bytes()), id)
	if err != nil || got.Kiosk != "kiosk-1" || got.Created != start.Unix() || len(got.Parcels) != 2 || !bytes.Equal(got.Parcels[1].DER, der) {
		t.Errorf("%+v, %v", got, err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(bytes.NewReader(file.Bytes()), other); err == nil {
		t.Error("opened by a stranger")
	}
	for n := 0; n < file.Len(); n += 97 {
		if _, err := Open(bytes.NewReader(file.Bytes()[:n]), id); err == nil {
			t.Fatalf("opened when cut to %d bytes", n)
		}
	}
	if err := b.Seal(&file); err == nil {
		t.Error("sealed to nobody")
	}
}

func TestRefuses(t *testing.T) {
	der := message(t)
	for name, parcels := range map[string][]Parcel{
		"no id": {{"", der}}, "the same id twice": {{"a", der}, {"a", der}}, "no message": {{"a", []byte("x")}}, "nothing in it": {{"a", nil}},
	} {
		if _, err := New("k", start, parcels); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	der := message(f)
	for _, parcels := range [][]Parcel{nil, {{"a", der}}, {{"a", der}, {"b", der}}} {
		b, err := New("kiosk", start, parcels)
		if err != nil {
			f.Fatal(err)
		}
		plain, err := encoder.Marshal(b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plain)
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		b, err := parse(plain)
		if err != nil {
			return
		}
		if again, err := encoder.Marshal(b); err != nil || !bytes.Equal(again, plain) {
			t.Errorf("marshals to other bytes, %v", err)
		}
	})
}
