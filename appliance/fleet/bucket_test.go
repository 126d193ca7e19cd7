package fleet_test

import (
	"context"
	"crypto"
	"errors"
	"testing"
	"time"

	"mohr.internal/appliance/fleet"
	"mohr.internal/appliance/fleet/entry"
	"mohr.internal/appliance/fleetlink"
	"mohr.internal/appliance/fleetlog"
	"mohr.internal/kiosk"
	"mohr.internal/kiosk/cmp/cmptest"
)

// A certificate that one kiosk was given is found by another as soon as its log is
// acknowledged, by nothing but the public key on the token.
func TestPickUpAtAnotherKiosk(t *testing.T) {
	pki := must[*cmptest.PKI](t)(cmptest.New(cmptest.Options{Time: time.Now()}))
	key := must[crypto.Signer](t)(pki.NewKey())
	cert, err := pki.Citizen(key.Public(), cmptest.CertOptions{})
	if err != nil {
		t.Fatal(err)
	}
	here, there := start(t, "pickup-here", newJournal("here")), start(t, "pickup-there", newJournal("there"))
	issued := kiosk.Record{
		Renewal: kiosk.RenewalID{7, 7}, Clock: kiosk.ClockTrusted, State: kiosk.Issued.String(),
		Certificate: cert.Raw, Chain: [][]byte{pki.Issuing.Raw}, Confirmed: true,
	}
	must[uint64](t)(here.journal.Append(must[[]byte](t)(issued.Marshal())))
	here.acknowledged()

	p, ok, err := fleetlog.Find(t.Context(), there.server, cert.RawSubjectPublicKeyInfo)
	if err != nil || !ok || string(p.Certificate) != string(cert.Raw) || len(p.Chain) != 1 || p.Renewal != issued.Renewal {
		t.Fatalf("found %t, %+v, %v", ok, p, err)
	}
	if _, ok, err := fleetlog.Find(t.Context(), there.server, spki(t)); ok || err != nil {
		t.Errorf("for an unknown key: %t, %v", ok, err)
	}
	here.stored() // and nobody is named in it
	sealed := must[[]byte](t)(there.client.Lookup(t.Context(), entry.KeyIDOf(cert.RawSubjectPublicKeyInfo)))
	if _, err := entry.OpenPickup(sealed, spki(t)); err == nil {
		t.Error("opened with another key")
	}
	there.stop()
	if _, _, err := fleetlog.Find(t.Context(), there.server, spki(t)); !errors.Is(err, fleetlink.ErrOffline) {
		t.Errorf("without syncd: %v", err)
	}
}

// Storing is idempotent, and a later certificate for a key that is kept replaces the
// earlier one whichever comes first.
func TestPut(t *testing.T) {
	s := start(t, "put", newJournal(t.Name()))
	key := spki(t)
	id := entry.KeyIDOf(key)
	box := func(what string, notAfter int64) []byte {
		return must[[]byte](t)(entry.Pickup{Certificate: []byte(what)}.Seal(key, notAfter))
	}
	put := func(b []byte) error {
		for { // a replica that lags may make it wait, as Follow does
			err := s.client.Put(t.Context(), id, b)
			if err == nil || errors.Is(err, fleet.ErrConflict) {
				return err
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	for _, tt := range []struct {
		what     string
		notAfter int64
		there    string
		conflict bool
	}{
		{"first", 100, "first", false},
		{"first", 100, "first", false},
		{"second", 200, "second", false},
		{"first", 100, "second", false},
		{"other", 200, "second", true},
		{"second", 200, "second", false},
	} {
		if err := put(box(tt.what, tt.notAfter)); errors.Is(err, fleet.ErrConflict) != tt.conflict {
			t.Errorf("%s: %v", tt.what, err)
		}
		eventually(t, tt.there, func() bool {
			b, err := s.client.Lookup(t.Context(), id)
			if err != nil || b == nil {
				return false
			}
			p, err := entry.OpenPickup(b, key)
			return err == nil && string(p.Certificate) == tt.there
		})
	}
	if err := s.client.Put(t.Context(), id, []byte("nonsense")); err == nil {
		t.Error("nonsense stored")
	}
}

// A fleet that is away is an error within the time that was given, not a wait.
func TestLookupOffline(t *testing.T) {
	s := start(t, "offline", newJournal(t.Name()), "nats://127.0.0.1:1")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, _, err := fleetlog.Find(ctx, s.server, spki(t))
	var refused *fleetlink.RefusedError
	if !errors.As(err, &refused) {
		t.Errorf("%v", err)
	}
	eventually(t, "trouble in the status", func() bool { return s.log.Status().Trouble != "" && s.log.Status().Acknowledged.Seq == 0 })
}
