package desk

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"mohr.internal/appliance/config"
	"mohr.internal/kiosk/profile"
)

// Perm is where an appliance keeps everything that is its own: the folder of a Site on its /perm.
const Perm = "/perm/mohr"

// SiteOptions of ProvisionSite. Dir, Time and CA are needed.
type SiteOptions struct {
	Dir      string // empty or new
	Time     time.Time
	CA       string // URL of the CA as the appliance reaches it
	Kinds    []Kind // virtual cards to make; nil makes Citizen, Officer and Second
	Language string // "" means "fa"
	RSA      bool   // RSA-2048 for the CA's own keys

	// Ports are the sysfs names of the USB ports by role; nil means 1-1 citizen and 1-2 officer.
	Ports []config.Port
	// Keypad is the port of the keypad; "" means 1-3.
	Keypad string
	// ModuleDirs are the folders that PKCS#11 modules are searched in; nil means the image's.
	ModuleDirs []string

	Profile func(*profile.Profile) // changes the profile before it is signed
	Kioskd  func(*config.Kioskd)   // changes kioskd's configuration before it is written
	Tokend  func(*config.Tokend)   // and tokend's

	IdleTimeout time.Duration // zero means two minutes
}

// ProvisionSite makes a Place for an appliance. The folder site in it is what belongs at Perm on the appliance,
// the rest is the office's and the CA's: pki, tokens (virtual cards) and the key that opens evidence.
func ProvisionSite(ctx context.Context, o SiteOptions) (*Place, error) {
	if o.CA == "" {
		return nil, errors.New("desk: site: no URL of the CA given")
	}
	if o.Kinds == nil {
		o.Kinds = []Kind{Citizen, Officer, Second}
	}
	if o.Ports == nil {
		o.Ports = []config.Port{{Port: "1-1", Role: "citizen"}, {Port: "1-2", Role: "officer"}}
	}
	if o.Keypad == "" {
		o.Keypad = "1-3"
	}
	if o.ModuleDirs == nil {
		o.ModuleDirs = []string{"/usr/lib/mohr"}
	}
	desk := Options{
		Dir: o.Dir, Time: o.Time, Kinds: o.Kinds, Language: o.Language, RSA: o.RSA, Cards: true, Profile: o.Profile,
		IdleTimeout: o.IdleTimeout, Size: image.Point{X: 1, Y: 1},
	}
	p, err := found(ctx, &desk)
	if err != nil {
		return nil, err
	}
	p.configure(desk)
	p.settle(o)
	for _, f := range []struct{ from, to string }{
		{p.Path("keys", "storage.key"), p.Kioskd.Keys.Storage.Key},
		{p.Path("keys", "receipt.key"), p.Kioskd.Keys.Receipt.Key},
		{p.Path("keys", "ra.key"), p.Kioskd.Keys.RA.Key},
		{p.Path("keys", "ra.pem"), p.Kioskd.Keys.RA.Certificate},
		{p.Path("keys", "chain.pem"), p.Kioskd.Keys.RA.Chain},
		{p.Path("etc", "profile.json"), p.Kioskd.Profile.File},
		{p.Path("etc", "profile.sig"), p.Kioskd.Profile.Signature},
		{p.Path("etc", "publisher.pem"), p.Kioskd.Profile.PublisherKey},
		{p.Path("pki", "crl.der"), p.Kioskd.Trust.CRL},
	} {
		data, err := os.ReadFile(f.from)
		if err != nil {
			return nil, fmt.Errorf("desk: site: %w", err)
		}
		to := p.OnSite(f.to)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return nil, fmt.Errorf("desk: site: %w", err)
		}
		if err := write(to, data); err != nil {
			return nil, err
		}
	}
	if key, ok := p.Evidence.(fmt.Stringer); ok {
		if err := write(p.Path("pki", "evidence.txt"), []byte(key.String()+"\n")); err != nil {
			return nil, err
		}
	}
	j := p.Kioskd.Journal
	j.Dir = p.OnSite(j.Dir)
	if err := makeJournal(j); err != nil {
		return nil, err
	}
	return p, errors.Join(
		p.writeConfig("kioskd", &p.Kioskd), p.writeConfig("tokend", &p.Tokend), p.writeConfig("syncd", &p.Syncd))
}

// Site is the folder of a site, empty for a desk.
func (p *Place) Site() string { return p.site }

// OnSite is where in the folder of the site a file of the appliance lies.
func (p *Place) OnSite(onAppliance string) string {
	rel, err := filepath.Rel(Perm, onAppliance)
	if err != nil || !filepath.IsLocal(rel) {
		return onAppliance // is not the site's
	}
	return filepath.Join(p.site, rel)
}

// settle turns the configurations of a desk into those of an appliance.
func (p *Place) settle(o SiteOptions) {
	p.site = p.Path("site")
	at := func(elem ...string) string { return path.Join(append([]string{Perm}, elem...)...) }
	k := &p.Kioskd
	k.Perm = Perm
	k.Journal = config.Journal{Dir: at("journal"), SegmentBytes: 1 << 20, Segments: 24}
	k.Tokend, k.Outbox = "/run/mohr/tokend.sock", "/run/mohr/outbox.sock"
	k.Panel = config.Panel{Kind: "framebuffer", Path: "/dev/fb0", Keypad: &config.Keypad{Port: o.Keypad}}
	k.Profile = config.Profile{File: at("profile.json"), Signature: at("profile.sig"), PublisherKey: at("publisher.pem")}
	k.Keys = config.Keys{
		RA:      config.RAKey{Key: at("keys", "ra.key"), Certificate: at("keys", "ra.pem"), Chain: at("keys", "chain.pem")},
		Receipt: config.File{Key: at("keys", "receipt.key")},
		Storage: config.File{Key: at("keys", "storage.key")},
	}
	k.Trust.CRL = at("crl.der")
	k.Clock = config.Clock{Source: "system"}
	if o.Kioskd != nil {
		o.Kioskd(k)
	}
	p.Tokend = config.Tokend{
		Socket:     k.Tokend,
		ModuleDirs: o.ModuleDirs, PCSCD: "/usr/sbin/pcscd",
		USB: config.USB{
			Enabled: true, Sysfs: "/sys", Rescan: config.Duration(2 * time.Second), Admit: true,
			Ports:   append(slices.Clone(o.Ports), config.Port{Port: o.Keypad, Role: "keypad"}),
			Readers: []config.Reader{{VID: 0x08e6, PID: 0x4433, Cards: "MyEID card"}}, // QEMU's, with a virtual card
		},
	}
	if o.Tokend != nil {
		o.Tokend(&p.Tokend)
	}
	p.Syncd.Outbox, p.Syncd.CA.URL = k.Outbox, o.CA
}
