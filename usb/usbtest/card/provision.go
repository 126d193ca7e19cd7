package card

import (
	"encoding/binary"
	"fmt"
	"time"
)

// PINs of a card that Initialise has made. They are for tests and no secret.
const (
	UserPIN = "1234"
	UserPUK = "4321567"
	SOPIN   = "12345678"
	SOPUK   = "87654321"
)

// References of these PINs in OpenSC's profile for MyEID (myeid.profile).
const (
	userReference = 1
	soReference   = 3
)

// Profile is what differs between one initialised card and another.
type Profile struct {
	Label string    // of the token; 32 bytes at most
	Made  time.Time // goes into TokenInfo; a fixed day if zero
	PIN   string    // of the user; UserPIN if empty
}

// Initialise does with commands what these do through OpenSC 0.23, and leaves
// the same files with the same contents (PKCS #15 v1.1, 6):
//
//	pkcs15-init -E
//	pkcs15-init -C --so-pin 12345678 --so-puk 87654321 --label LABEL
//	pkcs15-init -P -a 1 -l User --pin 1234 --puk 4321567 --so-pin 12345678
//	pkcs15-init -F
func (c *Card) Initialise(p Profile) error {
	if p.Label == "" || len(p.Label) > 32 {
		return fmt.Errorf("card: label %q", p.Label)
	}
	if p.PIN == "" {
		p.PIN = UserPIN
	}
	if len(p.PIN) < 4 || len(p.PIN) > pinSize {
		return fmt.Errorf("card: PIN of %d characters", len(p.PIN))
	}
	if p.Made.IsZero() {
		p.Made = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	c.Reset()
	steps := []step{
		{insPutData, 0x01e0, []byte{0xff, 0xff, 0x11, 0x3f, 0xff, 0x11, 0x1f, 0xff}},
		{insPutData, 0x0100 | soReference, pinRecord(SOPIN, SOPUK)},
		{insPutData, 0x0100 | userReference, pinRecord(p.PIN, UserPUK)},
	}
	for _, f := range c.profileFiles(p) {
		steps = append(steps, f.steps()...)
	}
	steps = append(steps, step{insActivate, 0x0400, aid})
	for _, s := range steps {
		if status := s.run(c); status != OK {
			return fmt.Errorf("card: initialise: command %02x %04x: %v", s.instruction, s.parameters, status)
		}
	}
	c.Reset()
	return nil
}

type step struct {
	instruction byte
	parameters  uint16
	data        []byte
}

func (s step) run(c *Card) Status {
	raw := []byte{0, s.instruction, byte(s.parameters >> 8), byte(s.parameters), byte(len(s.data))}
	answer := c.Transmit(append(raw, s.data...))
	return Status(binary.BigEndian.Uint16(answer[len(answer)-2:]))
}

// pinRecord is the data of PUT DATA 01nn: three tries, ten for the PUK.
func pinRecord(pin, puk string) []byte {
	return append(append(padded(pin), padded(puk)...), 3, 10, 0)
}

func padded(pin string) []byte {
	b := []byte("\xff\xff\xff\xff\xff\xff\xff\xff")
	copy(b, pin)
	return b
}

// profileFile is an EF of myeid.profile.
type profileFile struct {
	path    []byte // of its DF, from the MF
	id      uint16
	size    int
	access  Access
	content []byte
}

// steps selects the DF, creates the file and writes it in pieces.
func (f profileFile) steps() []step {
	list := []step{{insSelect, 0x000c, []byte{idMF >> 8, idMF & 0xff}}}
	if len(f.path) > 0 {
		list = append(list, step{insSelect, 0x080c, f.path})
	}
	template := tlv(0x80, byte(f.size>>8), byte(f.size))
	template = append(template, tlv(0x82, byte(Transparent))...)
	template = append(template, tlv(0x83, byte(f.id>>8), byte(f.id))...)
	template = append(template, tlv(0x86, f.access[:]...)...)
	list = append(list, step{insCreateFile, 0, tlv(0x62, template...)})
	return append(list, f.updates()...)
}

// updates writes the content of the current file in pieces.
func (f profileFile) updates() (list []step) {
	const piece = 255
	for at := 0; at < len(f.content); at += piece {
		list = append(list, step{insUpdateBinary, uint16(at), f.content[at:min(at+piece, len(f.content))]})
	}
	return list
}

// profileFiles is the file system, in the order in which pkcs15-init comes to
// need the files.
func (c *Card) profileFiles(p Profile) []profileFile {
	application := []byte{idApplication >> 8, idApplication & 0xff}
	user, so := Access{0x01, 0x3f, 0xff}, Access{0x03, 0x3f, 0xff}
	info := c.tokenInfo(p)
	return []profileFile{
		{application, 0x4402, 1530, user, nil}, // PrKDF
		{application, 0x5031, 255, user, odf()},
		{application, 0x4404, 1530, user, nil}, // PuKDF
		{application, 0x4407, 1530, user, nil}, // SKDF
		{application, 0x4403, 1530, user, nil}, // CDF
		{application, 0x4405, 510, user, nil},  // CDF, trusted
		{application, 0x4406, 1530, user, nil}, // DODF
		{application, 0x4401, 255, so, aodf()},
		{application, 0x5032, len(info), so, info},
		{application, 0x4946, 128, so, tlv(0x01, []byte("pkcs15")...)}, // OpenSC's own: name of the profile
		{nil, 0x2f00, 128, so, dir(p.Label)},
	}
}

// odf is EF(ODF): where each directory file is (PKCS #15, 6.3). A0 private keys,
// A1 public keys, A3 secret keys, A4 and A5 certificates, A7 data, A8 PINs.
func odf() []byte {
	var b []byte
	for _, d := range []struct{ tag, file byte }{{0xa0, 0x02}, {0xa1, 0x04}, {0xa3, 0x07}, {0xa4, 0x03}, {0xa5, 0x05}, {0xa7, 0x06}, {0xa8, 0x01}} {
		path := tlv(0x04, 0x3f, 0x00, 0x50, 0x15, 0x44, d.file)
		b = append(b, tlv(d.tag, tlv(0x30, path...)...)...)
	}
	return b
}

// aodf is EF(AODF): the PINs (PKCS #15, 6.9): label and flags; authentication id;
// PIN flags, type ASCII, lengths 4 to 8 stored as 8, reference, padding FF.
func aodf() []byte {
	pin := func(label string, id, unused, flags, reference byte) []byte {
		common := append(tlv(0x0c, []byte(label)...), 0x03, 0x02, 0x06, 0xc0)
		attributes := append(tlv(0x03, unused, flags), 0x0a, 1, 1, 0x02, 1, 4, 0x02, 1, 8, 0x02, 1, 8, 0x80, 1, reference, 0x04, 1, 0xff)
		b := append(tlv(0x30, common...), tlv(0x30, tlv(0x04, id)...)...)
		return tlv(0x30, append(b, tlv(0xa1, tlv(0x30, attributes...)...)...)...)
	}
	// Bits initialized and needs-padding, for the SO also soPin: eight bits, six
	// without it.
	return append(pin("Security Officer PIN", 0xff, 0x00, 0x0d, soReference), pin("User", 0x01, 0x02, 0x0c, userReference)...)
}

// tokenInfo is EF(TokenInfo) (PKCS #15, 6.10): serial number, manufacturer,
// label, flags, the AES algorithms that OpenSC lists for every MyEID, last update.
func (c *Card) tokenInfo(p Profile) []byte {
	b := append(tlv(0x02, 0), tlv(0x04, c.serial[:]...)...)
	b = append(b, tlv(0x0c, []byte("Aventra Ltd.")...)...)
	b = append(b, tlv(0x80, []byte(p.Label)...)...)
	b = append(b, 0x03, 0x02, 0x04, 0x30)
	var list []byte
	for i, a := range []struct{ mechanism, oid byte }{{0x81, 1}, {0x82, 2}, {0x81, 41}, {0x82, 42}} { // CKM_AES_ECB, CBC; 128, 256 bits
		algorithm := append(tlv(0x02, byte(i+1)), tlv(0x02, 0x10, a.mechanism)...)
		algorithm = append(algorithm, 0x05, 0, 0x03, 2, 2, 0x0c)
		algorithm = append(algorithm, tlv(0x06, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, a.oid)...)
		list = append(list, tlv(0x30, append(algorithm, tlv(0x02, 0)...)...)...)
	}
	b = append(b, tlv(0xa2, list...)...)
	b = append(b, tlv(0xa5, tlv(0x18, []byte(p.Made.UTC().Format("20060102150405Z"))...)...)...)
	return tlv(0x30, b...)
}

// dir is EF(DIR): the application template (ISO/IEC 7816-4, 8.2.1.1).
func dir(label string) []byte {
	b := append(tlv(0x4f, aid...), tlv(0x50, []byte(label)...)...)
	return tlv(0x61, append(b, tlv(0x51, idMF>>8, idMF&0xff, idApplication>>8, idApplication&0xff)...)...)
}
