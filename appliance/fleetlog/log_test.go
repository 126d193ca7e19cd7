package fleetlog

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"mohr.internal/appliance/fleet/entry"
	"mohr.internal/appliance/journal"
	"mohr.internal/kiosk"
	"mohr.internal/kiosk/cmp/cmptest"
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

// Over the real journal on disk: the centre can check signature, chain and hash of
// what it opens, and the outside of it names nobody.
func TestRealJournal(t *testing.T) {
	j := must[*journal.Journal](t)(journal.Create(filepath.Join(t.TempDir(), "j"), journal.Options{SegmentBytes: 1 << 20, Segments: 2}))
	defer j.Close()
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	centre, second := must[*age.HybridIdentity](t)(age.GenerateHybridIdentity()), must[*age.HybridIdentity](t)(age.GenerateHybridIdentity())
	pki := must[*cmptest.PKI](t)(cmptest.New(cmptest.Options{Time: time.Now()}))
	token := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	cert, err := pki.Citizen(token.Public(), cmptest.CertOptions{})
	if err != nil {
		t.Fatal(err)
	}
	records := []kiosk.Record{
		{Clock: kiosk.ClockTrusted, Event: kiosk.EventStart, Notes: []string{"مریم"}},
		{Renewal: kiosk.RenewalID{1}, Clock: kiosk.ClockTrusted, State: "RequestSigned", Request: cert.Raw, Sealed: []byte("evidence")},
		{Renewal: kiosk.RenewalID{1}, Clock: kiosk.ClockTrusted, State: "Issued", Certificate: cert.Raw, Chain: [][]byte{pki.Issuing.Raw}, Answer: []byte("kup")},
		{Renewal: kiosk.RenewalID{1}, Clock: kiosk.ClockTrusted, State: "Issued", Certificate: cert.Raw, Answer: []byte("kup"), Confirmed: true},
		{Renewal: kiosk.RenewalID{1}, Clock: kiosk.ClockTrusted, State: "Issued", Certificate: cert.Raw, Answer: make([]byte, entry.MaxPickup)},
	}
	for _, r := range records {
		must[journal.Record](t)(j.Append(must[[]byte](t)(r.Marshal())))
	}
	cleared := entry.Head{}
	l := must[*Log](t)(New(Options{
		Kiosk: "desk-7", Journal: j, Recipients: []string{centre.Recipient().String(), second.Recipient().String()}, Key: key, Rand: rand.Reader,
		Cleared: func() (entry.Head, bool) { return cleared, cleared.Seq > 0 },
		Request: func(id kiosk.RenewalID) ([]byte, error) { return append([]byte("request of "), id[0]), nil },
	}))
	var prev [32]byte
	for seq := uint64(1); seq <= uint64(len(records)); seq++ {
		r := must1(l.Record(seq, nil))(t)
		e := must[entry.Entry](t)(entry.Parse(r.Entry))
		if err := e.Verify(&key.PublicKey); err != nil || e.Prev != prev || e.Head() != must[entry.Head](t)(l.Hash(seq)) {
			t.Errorf("record %d: %v, %+v", seq, err, e.Head())
		}
		prev = e.Hash
		for _, who := range []age.Identity{centre, second} {
			p := must[entry.Private](t)(entry.ParsePrivate(must[[]byte](t)(io.ReadAll(must[io.Reader](t)(age.Decrypt(bytes.NewReader(e.Sealed), who))))))
			if err := e.CheckHash(p.Payload); err != nil || p.Record != nil {
				t.Errorf("record %d: %v", seq, err)
			}
		}
		for _, secret := range [][]byte{[]byte("مریم"), []byte("0499370899"), []byte("Rezaei"), cert.Raw[40:80], []byte("evidence")} {
			if bytes.Contains(r.Entry, secret) || bytes.Contains(r.Pickup, secret) {
				t.Errorf("record %d shows %q", seq, secret)
			}
		}
		if (r.Pickup != nil) != (seq == 3 || seq == 4) { // the last is too large
			t.Errorf("record %d has a pick-up of %d bytes", seq, len(r.Pickup))
		}
		if r.Pickup != nil {
			p := must[entry.Pickup](t)(entry.OpenPickup(r.Pickup, cert.RawSubjectPublicKeyInfo))
			if !bytes.Equal(p.Certificate, cert.Raw) || string(p.Request) != "request of \x01" || (string(p.Answer) == "kup") != (seq == 3) || r.Key != entry.KeyIDOf(cert.RawSubjectPublicKeyInfo) {
				t.Errorf("%+v", p)
			}
		}
	}
	if l.Status().Trouble == "" {
		t.Error("a pick-up was left out in silence")
	}
	other := entry.Head{Journal: [8]byte{9}, Seq: 7, Hash: [32]byte{7}}
	if _, err := l.Record(1, &other); err == nil {
		t.Error("left a log that nobody has cleared")
	}
	cleared = other
	if _, err := l.Record(2, &other); err == nil {
		t.Error("left a log in the middle")
	}
	r := must1(l.Record(1, &other))(t)
	if e := must[entry.Entry](t)(entry.Parse(r.Entry)); e.After == nil || *e.After != other {
		t.Errorf("after %v", e.After)
	}
	if _, err := l.Record(6, nil); err == nil {
		t.Error("a record that is not there")
	}
}

func must1[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		return must[T](t)(v, err)
	}
}

// Where the journal is sealed on disk the centre gets both: the bytes that the hash
// covers, and the record in clear.
func TestSealedOnDisk(t *testing.T) {
	j := must[*journal.Journal](t)(journal.Create(filepath.Join(t.TempDir(), "j"), journal.Options{SegmentBytes: 1 << 20, Segments: 2}))
	defer j.Close()
	clear := must[[]byte](t)(kiosk.Record{Clock: kiosk.ClockTrusted, Event: kiosk.EventStart}.Marshal())
	must[journal.Record](t)(j.Append([]byte("sealed by the vault")))
	centre := must[*age.X25519Identity](t)(age.GenerateX25519Identity())
	var trouble error
	l := must[*Log](t)(New(Options{
		Kiosk: "desk-7", Journal: j, Recipients: []string{centre.Recipient().String()}, Rand: rand.Reader,
		Key:  must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		Open: func(seq uint64) ([]byte, error) { return clear, trouble },
	}))
	r := must1(l.Record(1, nil))(t)
	e := must[entry.Entry](t)(entry.Parse(r.Entry))
	p := must[entry.Private](t)(entry.ParsePrivate(must[[]byte](t)(io.ReadAll(must[io.Reader](t)(age.Decrypt(bytes.NewReader(e.Sealed), centre))))))
	if e.CheckHash(p.Payload) != nil || !bytes.Equal(p.Record, clear) || e.Public.Event != kiosk.EventStart {
		t.Errorf("%+v", p)
	}
	trouble = errors.New("another storage key")
	if _, err := l.Record(1, nil); !errors.Is(err, trouble) {
		t.Errorf("%v", err)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{Kiosk: "desk-7"}, {Kiosk: "a.b", Recipients: []string{"x"}}, {Kiosk: "desk-7", Recipients: []string{"x"}}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v accepted", o)
		}
	}
}
