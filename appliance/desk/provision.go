package desk

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"sync"
	"time"

	"filippo.io/age"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/journal"
	"mohr.internal/appliance/vault"
	"mohr.internal/kiosk/cmp/cmptest"
	"mohr.internal/kiosk/profile"
	"mohr.internal/kiosk/receipt"
	"mohr.internal/usb/usbtest/card"
)

// The office and the kiosk of every Place.
const (
	office      = "demo-office"
	kioskID     = "demo-kiosk-1"
	kioskNumber = 1
	deskModel   = "SoftHSM"
)

// Options of Provision. Dir and Time are needed.
type Options struct {
	Dir      string      // empty or new; the sockets are in it, so its path must be short (80 bytes do)
	Time     time.Time   // now
	Kinds    []Kind      // devices to make; nil makes Citizen, Officer, Second and Unknown
	Size     image.Point // of the panel; zero means 800x480
	Language string      // first language of the screens; "" means "fa"
	RSA      bool        // RSA-2048 for the CA's own keys, as in the field; otherwise P-256, which is fast
	Module   string      // PKCS#11 module; "" means SoftHSM
	Cards    bool        // virtual cards with RSA-2048 keys in place of SoftHSM tokens, for a Site

	// Profile changes the profile before it is signed.
	Profile func(*profile.Profile)
	// Kioskd changes kioskd's configuration before it is written and the journal is made.
	Kioskd func(*config.Kioskd)
	// IdleTimeout is when an abandoned ceremony ends; zero means two minutes.
	IdleTimeout time.Duration
}

// Provision makes a Place in o.Dir: PKI, tokens, keys, signed profile, an empty journal and configuration files.
func Provision(ctx context.Context, o Options) (*Place, error) {
	p, err := found(ctx, &o)
	if err != nil {
		return nil, err
	}
	p.configure(o)
	if o.Kioskd != nil {
		o.Kioskd(&p.Kioskd)
	}
	if err := p.shift(0); err != nil {
		return nil, err
	}
	if err := makeJournal(p.Kioskd.Journal); err != nil {
		return nil, err
	}
	if err := p.writeConfig("kioskd", &p.Kioskd); err != nil {
		return nil, err
	}
	return p, p.writeConfig("tokend", &p.Tokend)
}

// found makes all of a Place that is the same wherever its kiosk stands, and sets what o leaves open.
func found(ctx context.Context, o *Options) (*Place, error) {
	if o.Dir == "" || o.Time.IsZero() {
		return nil, errors.New("desk: provision: no folder or no time given")
	}
	if o.Kinds == nil {
		o.Kinds = []Kind{Citizen, Officer, Second, Unknown}
	}
	if o.Size == (image.Point{}) {
		o.Size = image.Point{X: 800, Y: 480}
	}
	if o.Language == "" {
		o.Language = "fa"
	}
	if o.Module == "" {
		o.Module = SoftHSM
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = 2 * time.Minute
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("desk: provision: %w", err)
	}
	p := &Place{Dir: dir, Size: o.Size}
	for _, sub := range []string{"etc", "keys", "log", "perm", "pki", "run", "tokens"} {
		if err := os.MkdirAll(p.Path(sub), 0o700); err != nil {
			return nil, fmt.Errorf("desk: provision: %w", err)
		}
	}
	if p.PKI, err = cmptest.New(cmptest.Options{Time: o.Time, Seed: "desk", RSA: o.RSA}); err != nil {
		return nil, fmt.Errorf("desk: provision: %w", err)
	}
	if err := p.makeDevices(ctx, *o); err != nil {
		return nil, err
	}
	if err := p.PKI.Write(p.Path("pki"), o.Time); err != nil { // after the devices: the CRL knows the revoked
		return nil, fmt.Errorf("desk: provision: %w", err)
	}
	if err := errors.Join(p.makeKeys(o.Time), p.makeProfile(*o)); err != nil {
		return nil, err
	}
	return p, nil
}

func makeJournal(c config.Journal) error {
	j, err := journal.Create(c.Dir, journal.Options{SegmentBytes: c.SegmentBytes, Segments: c.Segments})
	if err != nil {
		return fmt.Errorf("desk: provision: %w", err)
	}
	if err := j.Close(); err != nil {
		return fmt.Errorf("desk: provision: %w", err)
	}
	return nil
}

// makeDevices makes all tokens at the same time: the key generation inside them is what takes long.
func (p *Place) makeDevices(ctx context.Context, o Options) error {
	errs := make([]error, len(o.Kinds))
	var wait sync.WaitGroup
	for i, name := range o.Kinds {
		k, ok := kinds[name]
		if !ok || p.Device(name) != nil {
			return fmt.Errorf("desk: provision: device %q is unknown or asked for twice", name)
		}
		d := &Device{Kind: name, Role: k.role, Title: k.title, TitleFa: k.titleFa, Note: k.note}
		p.Devices = append(p.Devices, d)
		if k.pin == "" {
			continue
		}
		if o.Cards {
			d.Card = &Card{State: p.Path("tokens", string(name)+".card"), Label: "mohr-" + string(name), PIN: k.pin}
		} else {
			d.Token = &SoftToken{Dir: p.Path("tokens", string(name)), Module: o.Module, Label: "mohr-" + string(name), PIN: k.pin}
		}
		wait.Go(func() { errs[i] = p.makeToken(ctx, d, k) })
	}
	wait.Wait()
	return errors.Join(errs...)
}

func (p *Place) makeToken(ctx context.Context, d *Device, k kind) error {
	d.Person = k.person()
	bare := k.keyType == "none"
	if !bare {
		d.KeyID = []byte{card.IssuedID}
	}
	issue := func(spki []byte) ([]byte, error) { return p.issue(d, k, spki) }
	switch {
	case d.Card != nil && bare:
		return d.Card.make("", nil)
	case d.Card != nil && k.keyType != "" || d.Card != nil && d.Kind == LowTries:
		return fmt.Errorf("desk: token %s cannot be a virtual card", d.Kind)
	case d.Card != nil:
		return d.Card.make(d.Person.CommonName(), issue)
	}
	if err := d.Token.create(ctx); err != nil || bare {
		return err
	}
	keyType := k.keyType
	if keyType == "" {
		keyType = "rsa:2048"
	}
	spki, err := d.Token.generate(ctx, d.KeyID, "first key", keyType)
	if err != nil {
		return err
	}
	certificate, err := issue(spki)
	if err != nil {
		return err
	}
	if err := d.Token.write(ctx, d.KeyID, d.Person.CommonName(), certificate); err != nil {
		return err
	}
	if d.Kind == LowTries {
		// A wrong PIN, sent once by another hand. The tool's failure is what is wanted.
		if _, err := d.Token.Tool(ctx, "--login", "--pin", "000000", "--list-objects"); err == nil {
			return fmt.Errorf("desk: token %s: took a wrong PIN", d.Kind)
		}
	}
	return nil
}

// person is the holder of a device.
func (k kind) person() cmptest.Person {
	switch {
	case k.keyType == "none" || k.options.Person.Family != "":
		return k.options.Person
	case k.officer:
		return cmptest.Officer
	case k.options.MissingTitle:
		return cmptest.Staff
	case k.options.ForeignNational:
		return cmptest.ForeignNational
	default:
		return cmptest.Citizen
	}
}

// issue makes the certificate of a device for its public key.
func (p *Place) issue(d *Device, k kind, spki []byte) ([]byte, error) {
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fmt.Errorf("desk: token %s: %w", d.Kind, err)
	}
	by := p.PKI.Citizen
	if k.officer {
		by = p.PKI.Officer
	}
	if d.Certificate, err = by(key, k.options); err != nil {
		return nil, fmt.Errorf("desk: token %s: %w", d.Kind, err)
	}
	return d.Certificate.Raw, nil
}

// makeKeys makes the kiosk's own keys and tells the world which receipts to trust.
func (p *Place) makeKeys(now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("desk: receipt key: %w", err)
	}
	kid, err := receipt.KeyIDOf(&key.PublicKey)
	if err != nil {
		return fmt.Errorf("desk: receipt key: %w", err)
	}
	p.Trust = receipt.TrustList{kid: {
		Public: &key.PublicKey, Kiosk: kioskNumber, Name: "دفتر نمونه",
		NotBefore: now.AddDate(0, 0, -1).UTC().Truncate(time.Second), NotAfter: now.AddDate(2, 0, 0).UTC().Truncate(time.Second),
	}}
	trust, err := p.Trust.Marshal()
	if err != nil {
		return fmt.Errorf("desk: receipt key: %w", err)
	}
	receiptPEM, err := cmptest.KeyPEM(key)
	if err != nil {
		return fmt.Errorf("desk: receipt key: %w", err)
	}
	raPEM, err := cmptest.KeyPEM(p.PKI.KioskKey)
	if err != nil {
		return fmt.Errorf("desk: kiosk key: %w", err)
	}
	storage, err := vault.NewKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("desk: storage key: %w", err)
	}
	return errors.Join(
		write(p.TrustFile(), trust),
		write(p.Path("keys", "storage.key"), storage),
		write(p.Path("keys", "receipt.key"), receiptPEM),
		write(p.Path("keys", "ra.key"), raPEM),
		write(p.Path("keys", "ra.pem"), cmptest.CertificatesPEM(p.PKI.Kiosk)),
		write(p.Path("keys", "chain.pem"), cmptest.CertificatesPEM(p.PKI.Issuing)),
	)
}

// makeProfile fills in the demo profile and signs it with a publisher key that is thrown away.
func (p *Place) makeProfile(o Options) error {
	prof, err := profile.Template("demo")
	if err != nil {
		return fmt.Errorf("desk: %w", err)
	}
	sealed, err := age.GenerateHybridIdentity()
	if err != nil {
		return fmt.Errorf("desk: evidence key: %w", err)
	}
	p.Evidence = sealed
	prof.Recipients = []string{sealed.Recipient().String()}
	prof.Anchors = []profile.Certificate{{Certificate: p.PKI.Root}}
	prof.Chain = []profile.Certificate{{Certificate: p.PKI.Issuing}}
	for _, d := range p.Devices {
		if !kinds[d.Kind].officer {
			continue
		}
		prof.Officers = append(prof.Officers, profile.Officer{
			Name:          profile.Text{"fa": d.Person.GivenFa + " " + d.Person.FamilyFa, "en": d.Person.Given + " " + d.Person.Family},
			Office:        office,
			Certificate:   sha256.Sum256(d.Certificate.Raw),
			TrainingUntil: o.Time.AddDate(1, 0, 0).UTC().Truncate(time.Second),
			NotAfter:      o.Time.AddDate(1, 0, 0).UTC().Truncate(time.Second),
		})
	}
	if o.Profile != nil {
		o.Profile(prof)
	}
	file, err := prof.Encode()
	if err != nil {
		return fmt.Errorf("desk: %w", err)
	}
	publisher, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("desk: publisher key: %w", err)
	}
	sig, err := profile.Sign(file, private)
	if err != nil {
		return fmt.Errorf("desk: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(publisher)
	if err != nil {
		return fmt.Errorf("desk: publisher key: %w", err)
	}
	if p.Profile, err = profile.Open(file, sig, publisher, 0, o.Time); err != nil {
		return fmt.Errorf("desk: %w", err)
	}
	return errors.Join(
		write(p.Path("etc", "profile.json"), file),
		write(p.Path("etc", "profile.sig"), sig),
		write(p.Path("etc", "publisher.pem"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})),
	)
}

// configure fills in the three programs' configurations.
func (p *Place) configure(o Options) {
	p.Kioskd = config.Kioskd{
		Perm:    p.Path("perm"),
		Journal: config.Journal{Dir: p.Path("perm", "journal"), SegmentBytes: 1 << 20, Segments: 24},
		Tokend:  p.Path("run", "tokend.sock"),
		Outbox:  p.Path("run", "outbox.sock"),
		Panel:   config.Panel{Kind: "socket", Path: p.Path("run", "panel.sock"), Width: o.Size.X, Height: o.Size.Y},
		Profile: config.Profile{File: p.Path("etc", "profile.json"), Signature: p.Path("etc", "profile.sig"), PublisherKey: p.Path("etc", "publisher.pem")},
		Kiosk:   config.Kiosk{ID: kioskID, Number: kioskNumber},
		Office:  office,
		Keys: config.Keys{
			RA:      config.RAKey{Key: p.Path("keys", "ra.key"), Certificate: p.Path("keys", "ra.pem"), Chain: p.Path("keys", "chain.pem")},
			Receipt: config.File{Key: p.Path("keys", "receipt.key")},
			Storage: config.File{Key: p.Path("keys", "storage.key")},
		},
		Trust:       config.Trust{CRL: p.Path("pki", "crl.der")},
		CA:          config.CAName{Recipient: p.PKI.Issuing.Subject.CommonName},
		IdleTimeout: config.Duration(o.IdleTimeout),
		Clock:       config.Clock{Source: "file", Path: p.Path("etc", "clock")},
		Language:    o.Language,
	}
	bench := &config.Desk{Socket: p.Path("run", "bench.sock")}
	for _, d := range p.Devices {
		k := kinds[d.Kind]
		c := config.DeskDevice{Key: string(d.Kind), Role: d.Role, VID: config.Hex16(k.vid), PID: config.Hex16(k.pid), Classes: []config.Hex8{config.Hex8(k.class)}}
		if d.Token != nil {
			c.VID, c.PID, c.Classes = 0x1209, 0x0001, []config.Hex8{0x0b}
			c.Model, c.Module = deskModel, d.Token.Module
			c.Env = map[string]string{"SOFTHSM2_CONF": d.Token.Conf()}
		}
		bench.Devices = append(bench.Devices, c)
	}
	p.Tokend = config.Tokend{
		Socket: p.Kioskd.Tokend, USB: config.USB{Ports: []config.Port{}},
		ModuleDirs: []string{}, Modules: []config.Module{}, Desk: bench,
	}
	p.Syncd = config.Syncd{
		Outbox:   p.Kioskd.Outbox,
		Timeouts: config.Timeouts{Connect: config.Duration(2 * time.Second), Request: config.Duration(5 * time.Second)},
		Backoff:  config.Backoff{Min: config.Duration(200 * time.Millisecond), Max: config.Duration(2 * time.Second)},
	}
}

func write(path string, data []byte) error {
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("desk: %w", err)
	}
	return nil
}
