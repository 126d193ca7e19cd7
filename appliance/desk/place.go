package desk

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"filippo.io/age"

	"mohr.internal/appliance/config"
	"mohr.internal/kiosk/cmp/cmptest"
	"mohr.internal/kiosk/profile"
	"mohr.internal/kiosk/receipt"
)

// Device is one device on the bench.
type Device struct {
	Kind    Kind
	Role    string // citizen, officer, other
	Title   string
	TitleFa string
	Note    string

	Token       *SoftToken        // nil: no SoftHSM token
	Card        *Card             // nil: no virtual card
	Person      cmptest.Person    // the holder
	Certificate *x509.Certificate // nil: none
	KeyID       []byte            // CKA_ID of the first key pair
}

// Place is a folder with all that one kiosk and its CA need. See Provision.
type Place struct {
	Dir     string
	Size    image.Point // of the panel
	Devices []*Device
	PKI     *cmptest.PKI
	Profile *profile.Profile // as signed
	Trust   receipt.TrustList
	// Evidence opens what the kiosk sealed for the CA.
	Evidence age.Identity

	Kioskd config.Kioskd
	Tokend config.Tokend
	Syncd  config.Syncd // its CA URL is filled in by the World

	site string // folder of an appliance's files, see ProvisionSite
}

// Device returns the device of a kind, nil if the place has none.
func (p *Place) Device(k Kind) *Device {
	for _, d := range p.Devices {
		if d.Kind == k {
			return d
		}
	}
	return nil
}

// Path returns the path of something in the place's folder.
func (p *Place) Path(elem ...string) string {
	return filepath.Join(append([]string{p.Dir}, elem...)...)
}

// TrustFile is the list of receipt keys that mohrctl verify takes.
func (p *Place) TrustFile() string { return p.Path("pki", "receipt-keys.json") }

// ConfigFile is the configuration of one of the programs.
func (p *Place) ConfigFile(program string) string {
	if p.site != "" {
		return filepath.Join(p.site, program+".json")
	}
	return p.Path("etc", program+".json")
}

// LogFile is what a program wrote.
func (p *Place) LogFile(program string) string { return p.Path("log", program+".log") }

// shift sets by how much the kiosk's clock is off.
func (p *Place) shift(by time.Duration) error {
	return replace(p.Kioskd.Clock.Path, []byte(strconv.FormatInt(int64(by/time.Second), 10)+"\n"))
}

// replace writes a file so that a reader sees the old or the new one.
func replace(path string, data []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return fmt.Errorf("desk: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("desk: %w", err)
	}
	return nil
}

// writeConfig writes one program's configuration. Each program reads it strictly and says what it
// does not like; Validate here finds it before anything is started.
func (p *Place) writeConfig(program string, c interface{ Validate() error }) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("desk: configuration of %s: %w", program, err)
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("desk: configuration of %s: %w", program, err)
	}
	return replace(p.ConfigFile(program), append(data, '\n'))
}
