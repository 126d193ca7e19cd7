package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"

	"mohr.internal/appliance/journal"
	"mohr.internal/appliance/vault"
	"mohr.internal/kiosk"
	"mohr.internal/kiosk/receipt"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"mohrctl": main}) }

// The command as people use it; each script says what it expects and why.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Setup: func(env *testscript.Env) error {
		if err := errors.Join(writeReceipt(env.WorkDir), writeAge(env.WorkDir)); err != nil {
			return err
		}
		return errors.Join(writeJournal(env.WorkDir), writeReceipted(env.WorkDir))
	}})
}

// writeAge makes an identity and its recipient.
func writeAge(dir string) error {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "identity.txt"), []byte(id.String()+"\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "recipient.txt"), []byte(id.Recipient().String()+"\n"), 0o600))
}

// writeReceipt makes receipt.txt, changed.txt and the list of keys to verify with.
func writeReceipt(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	id, err := receipt.KeyIDOf(&key.PublicKey)
	if err != nil {
		return err
	}
	now := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	trust, err := receipt.TrustList{id: {
		Public: &key.PublicKey, Kiosk: 7, Name: "Office 7", NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
	}}.Marshal()
	if err != nil {
		return err
	}
	signed, err := receipt.Receipt{
		Time: now, Clock: receipt.ClockTrusted, State: receipt.Recorded, Tracking: 123456789, Request: [32]byte{1}, Seq: 1, Kiosk: 7,
	}.Sign(key, rand.Reader)
	if err != nil {
		return err
	}
	changed := []byte(signed.Text)
	if changed[50]++; changed[50] == '9'+1 {
		changed[50] = '0'
	}
	for name, b := range map[string][]byte{"receipt.txt": []byte(signed.Text + "\n"), "changed.txt": changed, "keys.json": trust} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// writeJournal makes a small journal with one abandoned renewal, and its key.
func writeJournal(dir string) error {
	key, err := vault.NewKey(rand.Reader)
	if err != nil {
		return err
	}
	keyFile := filepath.Join(dir, "storage.key")
	if err := os.WriteFile(keyFile, key, 0o600); err != nil {
		return err
	}
	v, err := vault.Load(keyFile, rand.Reader)
	if err != nil {
		return err
	}
	plain, err := journal.Create(filepath.Join(dir, "journal"), journal.Options{SegmentBytes: 1 << 20, Segments: 1})
	if err != nil {
		return err
	}
	defer plain.Close()
	j := vault.Over(plain, v)
	id := kiosk.RenewalID{0xab, 0xcd}
	for _, r := range []kiosk.Record{
		{Event: kiosk.EventStart, Clock: kiosk.ClockUnproven},
		{Renewal: id, State: kiosk.TokenRead.String(), Clock: kiosk.ClockTrusted, Time: 1793523600},
		{Renewal: id, State: kiosk.Abandoned.String(), Clock: kiosk.ClockTrusted, Time: 1793523660, Rule: kiosk.RuleTokenRemoved},
	} {
		b, err := r.Marshal()
		if err != nil {
			return err
		}
		if _, err := j.Append(b); err != nil {
			return err
		}
	}
	return nil
}
