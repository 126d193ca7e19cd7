package desk

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/journal"
	"mohr.internal/usb/usbtest/card"
)

// A site is what the programs of an appliance load: their configuration, with paths of
// the appliance, and behind each path a file.
func TestSite(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short")
	}
	p, err := ProvisionSite(t.Context(), SiteOptions{Dir: t.TempDir(), Time: time.Now(), CA: "http://10.0.2.2:8080/cmp", Kinds: []Kind{Citizen, Officer, Bare}})
	if err != nil {
		t.Fatal(err)
	}
	k, err := config.LoadKioskd(filepath.Join(p.Site(), "kioskd.json"))
	if err != nil {
		t.Fatal(err)
	}
	tk, err := config.LoadTokend(filepath.Join(p.Site(), "tokend.json"))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := config.LoadSyncd(filepath.Join(p.Site(), "syncd.json")); err != nil || s.CA.URL != "http://10.0.2.2:8080/cmp" || s.Outbox != k.Outbox {
		t.Fatalf("%+v, %v", s, err)
	}
	if k.Panel.Kind != "framebuffer" || k.Clock.Source != "system" || tk.Desk != nil || !tk.USB.Enabled || tk.Socket != k.Tokend {
		t.Errorf("%+v\n%+v", k, tk)
	}
	for _, path := range []string{k.Keys.RA.Key, k.Keys.RA.Certificate, k.Keys.RA.Chain, k.Keys.Receipt.Key, k.Keys.Storage.Key,
		k.Profile.File, k.Profile.Signature, k.Profile.PublisherKey, k.Trust.CRL} {
		if f, err := os.Stat(p.OnSite(path)); err != nil || f.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, f, err)
		}
	}
	j, err := journal.Open(p.OnSite(k.Journal.Dir), journal.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	// Nothing of the office or the CA is on the appliance.
	err = filepath.WalkDir(p.Site(), func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(p.Dir)) || bytes.Contains(b, []byte("AGE-SECRET-KEY")) {
			t.Errorf("%s tells of the place it was made in", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for _, d := range p.Devices {
		c, err := card.Load(d.Card.State, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := card.Inventory{PrivateKeys: 1, PublicKeys: 1, Certificates: 1, KeyFiles: 1}
		if d.Kind == Bare {
			want = card.Inventory{}
		}
		if n := c.Inventory(); n != want || (d.Certificate != nil) != (want.Certificates == 1) {
			t.Errorf("%s: %+v", d.Kind, n)
		}
	}
}

func TestSiteRefuses(t *testing.T) {
	for _, o := range []SiteOptions{
		{Dir: t.TempDir(), Time: time.Now()},
		{Time: time.Now(), CA: "http://10.0.2.2/cmp"},
		{Dir: t.TempDir(), Time: time.Now(), CA: "ftp://10.0.2.2/cmp", Kinds: []Kind{Bare}},
		{Dir: t.TempDir(), Time: time.Now(), CA: "http://10.0.2.2/cmp", Kinds: []Kind{P256}},
	} {
		if _, err := ProvisionSite(t.Context(), o); err == nil {
			t.Errorf("%+v: made", o)
		}
	}
}

func TestOnSite(t *testing.T) {
	p := &Place{site: "/x"}
	for in, want := range map[string]string{
		"/perm/mohr/keys/a": "/x/keys/a", "/perm/mohr": "/x", "/perm/other": "/perm/other", "/run/mohr/a": "/run/mohr/a",
	} {
		if got := p.OnSite(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
