package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mohr.internal/appliance/journal"
	"mohr.internal/appliance/vault"
	"mohr.internal/kiosk"
	"mohr.internal/kiosk/audit"
	"mohr.internal/kiosk/receipt"
)

// served is the journal of a kiosk that has served one citizen, and both receipts.
type served struct {
	sealed   []journal.Record // as on disk
	vault    *vault.Vault
	receipts [2]string
	trust    receipt.TrustList
}

// atReceipts are the records of both receipts.
var atReceipts = [2]uint64{8, 11}

// newServed goes through all states, with a checkpoint in both receipts.
func newServed(dir, keyFile string) (*served, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	id, err := receipt.KeyIDOf(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	now := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	s := &served{trust: receipt.TrustList{id: {
		Public: &key.PublicKey, Kiosk: 7, Name: "Office 7", NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
	}}}
	if s.vault, err = vault.Load(keyFile, rand.Reader); err != nil {
		return nil, err
	}
	plain, err := journal.Create(dir, journal.Options{SegmentBytes: 1 << 20, Segments: 1})
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	j := vault.Over(plain, s.vault)
	request := []byte("request")
	records := []kiosk.Record{{Event: kiosk.EventStart}}
	for state := kiosk.TokenRead; state <= kiosk.Loaded; state++ {
		records = append(records, kiosk.Record{Renewal: kiosk.RenewalID{1}, State: state.String()})
	}
	given := 0
	for _, r := range records {
		r.Clock, r.Time = kiosk.ClockTrusted, now.Unix()
		what, ok := map[string]receipt.State{kiosk.Receipted.String(): receipt.Recorded, kiosk.Loaded.String(): receipt.Accepted}[r.State]
		if ok {
			seq, head := j.Head()
			signed, err := receipt.Receipt{
				Time: now, Clock: receipt.ClockTrusted, State: what, Tracking: 123456789, Request: sha256.Sum256(request),
				Seq: uint64(given + 1), Kiosk: 7, HeadSeq: seq, Head: [16]byte(head[:16]),
			}.Sign(key, rand.Reader)
			if err != nil {
				return nil, err
			}
			s.receipts[given], r.Receipt = signed.Text, signed.Text
			given++
			r.ReceiptSeq = uint64(given)
		}
		b, err := r.Marshal()
		if err != nil {
			return nil, err
		}
		if _, err := j.Append(b); err != nil {
			return nil, err
		}
	}
	return s, plain.Replay(1, func(r journal.Record) error {
		s.sealed = append(s.sealed, r)
		return nil
	})
}

// writeReceipted makes the journal "first" and the receipts that were given from it.
func writeReceipted(dir string) error {
	file := func(name string) string { return filepath.Join(dir, name) }
	s, err := newServed(file("first"), file("storage.key"))
	if err != nil {
		return err
	}
	trust, err := s.trust.Marshal()
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(file("served-keys.json"), trust, 0o600),
		os.WriteFile(file("recorded.txt"), []byte(s.receipts[0]+"\n"), 0o600),
		os.WriteFile(file("accepted.txt"), []byte(s.receipts[1]+"\n"), 0o600))
}

// A journal that was put back by n records, for every n: a receipt from after that
// says so, and how much is missing at least; one from before does not.
func TestReceiptAfterRollBack(t *testing.T) {
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(writeJournal(dir)) // for its key
	s, err := newServed(filepath.Join(dir, "served"), filepath.Join(dir, "storage.key"))
	must(err)
	if len(s.sealed) != int(atReceipts[1]) {
		t.Fatalf("%d records", len(s.sealed))
	}
	for last := 0; last <= len(s.sealed); last++ {
		var chain audit.Chain
		for _, r := range s.sealed[:last] {
			payload, err := s.vault.Open(r.Payload)
			must(err)
			record, err := kiosk.ParseRecord(payload)
			must(err)
			chain.Add(r.Seq, r.Hash, record.Receipt)
		}
		for i, text := range s.receipts {
			given, _, err := s.trust.Verify(text)
			must(err)
			err = held(&chain, given, text)
			missing := int(atReceipts[i]) - last
			switch {
			case missing <= 0 && err != nil:
				t.Errorf("%d records, receipt %d: %v", last, i+1, err)
			case missing > 0 && (err == nil || !strings.Contains(err.Error(), fmt.Sprintf("at least %d records are missing", missing))):
				t.Errorf("%d records, receipt %d, %d missing: %v", last, i+1, missing, err)
			}
		}
	}
}
