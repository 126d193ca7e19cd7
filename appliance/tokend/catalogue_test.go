package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/tokenlink"
)

// A model that was filled in since the program was built comes as a signed file. A
// file that is not newer or not the publisher's changes nothing and stops nothing,
// and the log says so once.
func TestCatalogueFile(t *testing.T) {
	const rows = "\nmodel,vid,pids,classes,others,modules,pcsc,arm64,confidence,note\nSetin,1209,0001,0b,,libnowhere.so,yes,yes,H,for the test\n"
	for name, row := range map[string]struct {
		file  string
		spoil bool
		model string
		log   string
	}{
		"newer":        {file: "version,999999" + rows, model: "Setin", log: "msg=catalogue version=999999"},
		"older":        {file: "version,1" + rows, log: "not newer than the one in use"},
		"broken":       {file: "version,999999\nmodel", log: "line"},
		"not signed":   {file: "version,999999" + rows, spoil: true, log: "not signed by the publisher"},
		"not there":    {log: "no such file"},
		"no signature": {file: "-", log: "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			dir := t.TempDir()
			put := func(name string, b []byte) string {
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			pub, private, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			der, err := x509.MarshalPKIXPublicKey(pub)
			if err != nil {
				t.Fatal(err)
			}
			d.config.Catalogue = &config.Profile{
				File: filepath.Join(dir, "catalogue.csv"), Signature: filepath.Join(dir, "catalogue.sig"),
				PublisherKey: put("publisher.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
			}
			if row.file != "" {
				put("catalogue.csv", []byte(row.file))
			}
			if len(row.file) > 1 {
				sig := ed25519.Sign(private, []byte(row.file))
				if row.spoil {
					sig[0] ^= 1
				}
				put("catalogue.sig", sig)
			}
			d.start()
			d.insert("unknown")
			got := d.next(d.watch(), tokenlink.Snapshot).Devices[0]
			want := tokenlink.RuleUnknown
			if row.model != "" {
				want = tokenlink.RuleNoModule
			}
			if got.Model != row.model || got.Reason != want {
				t.Errorf("%+v", got)
			}
			d.cmd.Process.Kill()
			d.cmd.Wait()
			log := d.stderr.String()
			ignored := 1
			if row.model != "" {
				ignored = 0
			}
			if !strings.Contains(log, row.log) || strings.Count(log, "catalogue file ignored") != ignored {
				t.Errorf("want %q and %d files ignored", row.log, ignored)
			}
		})
	}
}
