package config

import (
	"regexp"
	"strings"
	"time"

	"mohr.internal/appliance/journal/bounds"
)

// Kioskd is the configuration of the ceremony program.
type Kioskd struct {
	Perm    string  `json:"perm"` // folder that survives a restart; nothing outside it is written
	Journal Journal `json:"journal"`
	Tokend  string  `json:"tokend"` // tokend's socket; kioskd dials it
	Outbox  string  `json:"outbox"` // socket that kioskd listens on for syncd
	Panel   Panel   `json:"panel"`
	Profile Profile `json:"profile"`
	Kiosk   Kiosk   `json:"kiosk"`
	Office  string  `json:"office"` // name of the counter office, as in the profile's list
	Keys    Keys    `json:"keys"`
	Trust   Trust   `json:"trust"`
	CA      CAName  `json:"ca"`

	Fleet *FleetSocket `json:"fleet,omitempty"` // optional: an office by itself has none

	IdleTimeout Duration `json:"idle_timeout"` // back to the first screen after so long without a touch
	Clock       Clock    `json:"clock"`
	Language    string   `json:"language"` // first language of the screens: "fa" or "en"
}

// Journal says where the two copies of the record log lie and how much room
// is filled with zeros at first start.
type Journal struct {
	Dir          string `json:"dir"`
	SegmentBytes int64  `json:"segment_bytes"` // see package journal/bounds
	Segments     int    `json:"segments"`      // in each copy
}

// Panel names the display. Kind "socket" is a Unix socket that kioskd dials; the
// other end draws the pixels and has the keys. Kind "framebuffer" is a device like
// /dev/fb0, whose driver says how large it is, with a USB keypad.
type Panel struct {
	Kind   string  `json:"kind"`
	Path   string  `json:"path"`
	Width  int     `json:"width,omitempty"`  // only with "socket", and then required
	Height int     `json:"height,omitempty"` // likewise
	Keypad *Keypad `json:"keypad,omitempty"` // optional, only with "framebuffer"
}

// Keypad is the one USB port whose keyboard is listened to.
type Keypad struct {
	Port string `json:"port"` // sysfs name, like "1-3" or "1-1.2"
}

// Profile names the country and CA rules (of tokend: the token catalogue), their detached Ed25519 signature and
// the public key that must have made it.
type Profile struct {
	File         string `json:"file"`
	Signature    string `json:"signature"`
	PublisherKey string `json:"publisher_key"`
}

func (p *Profile) check(c *checker, key string) {
	c.path(key+".file", p.File)
	c.path(key+".signature", p.Signature)
	c.path(key+".publisher_key", p.PublisherKey)
}

// Kiosk names this box: ID in attestations and logs, Number in receipts.
type Kiosk struct {
	ID     string `json:"id"`
	Number uint32 `json:"number"` // 1 or more
}

// Keys are the kiosk's own key files: the RA key that signs the nested message,
// with its certificate and chain, the receipt key, and the key that seals the journal.
type Keys struct {
	RA      RAKey `json:"ra"`
	Receipt File  `json:"receipt"`
	Storage File  `json:"storage"`
}

// RAKey is a private key (PKCS#8 PEM) with its certificate and chain (PEM).
type RAKey struct {
	Key         string `json:"key"`
	Certificate string `json:"certificate"`
	Chain       string `json:"chain"`
}

// File is one key file.
type File struct {
	Key string `json:"key"`
}

// FleetSocket is where kioskd shows its journal to syncd.
type FleetSocket struct {
	Socket string `json:"socket"`
}

// Trust is what the kiosk knows of revoked certificates.
type Trust struct {
	CRL string `json:"crl"` // DER or PEM file, checked against the profile's anchors
}

// CAName names the CA that requests are addressed to.
type CAName struct {
	Recipient string `json:"recipient"` // common name of a CA certificate in the profile's anchors
}

// Clock says where the time of day comes from. Source "system" is the system's
// clock. Source "file" is the system's clock plus the seconds in the file Path,
// read again each time (see ReadOffset); it is for the desk and for tests.
type Clock struct {
	Source string `json:"source"`
	Path   string `json:"path,omitempty"` // only with source "file"
}

// Validate names every bad key.
func (k *Kioskd) Validate() error {
	var c checker
	c.path("perm", k.Perm)
	c.path("journal.dir", k.Journal.Dir)
	k.Journal.check(&c)
	c.socket("tokend", k.Tokend)
	c.socket("outbox", k.Outbox)
	k.Panel.check(&c)
	k.Profile.check(&c, "profile")
	c.name("kiosk.id", k.Kiosk.ID)
	c.within("kiosk.number", int64(k.Kiosk.Number), 1, 1<<32-1)
	c.text("office", k.Office)
	c.path("keys.ra.key", k.Keys.RA.Key)
	c.path("keys.ra.certificate", k.Keys.RA.Certificate)
	c.path("keys.ra.chain", k.Keys.RA.Chain)
	c.path("keys.receipt.key", k.Keys.Receipt.Key)
	c.path("keys.storage.key", k.Keys.Storage.Key)
	c.path("trust.crl", k.Trust.CRL)
	c.text("ca.recipient", k.CA.Recipient)
	if k.Fleet != nil {
		c.socket("fleet.socket", k.Fleet.Socket)
		if strings.Contains(k.Kiosk.ID, ".") {
			c.bad("kiosk.id", "%q: a dot is not allowed in a fleet, where the name is a part of a subject", k.Kiosk.ID)
		}
	}
	c.duration("idle_timeout", k.IdleTimeout, time.Second, time.Hour)
	k.Clock.check(&c)
	c.oneOf("language", k.Language, "fa", "en")
	return c.err()
}

var usbPort = regexp.MustCompile(`^[1-9][0-9]*-[1-9][0-9]*(\.[1-9][0-9]*)*$`)

func (p Panel) check(c *checker) {
	c.oneOf("panel.kind", p.Kind, "socket", "framebuffer")
	if p.Kind == "framebuffer" {
		c.path("panel.path", p.Path)
		if p.Width != 0 || p.Height != 0 {
			c.bad("panel.width", "only allowed with panel.kind \"socket\": a framebuffer's driver says its size")
		}
	} else {
		c.socket("panel.path", p.Path)
		c.within("panel.width", int64(p.Width), 320, 7680)
		c.within("panel.height", int64(p.Height), 240, 4320)
	}
	switch {
	case p.Keypad == nil:
	case p.Kind != "framebuffer":
		c.bad("panel.keypad", "only allowed with panel.kind \"framebuffer\"")
	case len(p.Keypad.Port) > 32 || !usbPort.MatchString(p.Keypad.Port):
		c.bad("panel.keypad.port", "%.40q is not the sysfs name of a USB port, like \"1-3\" or \"1-1.2\"", p.Keypad.Port)
	}
}

// check asks the journal's own bounds, and wants room for a citizen in its last 5 %.
func (j Journal) check(c *checker) {
	bytes, segments := bounds.Segment(j.SegmentBytes), bounds.Segments(j.Segments)
	if bytes != nil {
		c.bad("journal.segment_bytes", "%v", bytes)
	}
	if segments != nil {
		c.bad("journal.segments", "%v", segments)
	}
	if bytes != nil || segments != nil {
		return
	}
	if quota := bounds.Quota(j.SegmentBytes, j.Segments); quota < bounds.MinQuota {
		c.bad("journal.segments", "%d of %d bytes have room for %d bytes of records, want at least %d", j.Segments, j.SegmentBytes, quota, int64(bounds.MinQuota))
	}
}

func (k Clock) check(c *checker) {
	c.oneOf("clock.source", k.Source, "system", "file")
	switch {
	case k.Source == "file":
		c.path("clock.path", k.Path)
	case k.Path != "":
		c.bad("clock.path", "only allowed with clock.source \"file\"")
	}
}
