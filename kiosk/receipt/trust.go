package receipt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// KeyID names a kiosk's receipt key: the first 8 bytes of SHA-256 over its
// SubjectPublicKeyInfo. It is a name, not a proof; the list maps it to one key.
type KeyID [8]byte

func (k KeyID) String() string { return hex.EncodeToString(k[:]) }

// Key is what is known of a kiosk's receipt key.
type Key struct {
	Public    *ecdsa.PublicKey // P-256
	Kiosk     uint32
	Name      string // of the office, for people
	NotBefore time.Time
	NotAfter  time.Time
	Revoked   bool // nothing it ever signed is accepted: a thief sets the date himself
}

// TrustList holds the keys of all kiosks. The zero list trusts nobody.
type TrustList map[KeyID]Key

// spkiP256 begins the SubjectPublicKeyInfo (RFC 5480, 2) of every
// uncompressed P-256 key; the point's 65 bytes follow.
var spkiP256, _ = hex.DecodeString("3059301306072a8648ce3d020106082a8648ce3d030107034200")

// SPKI is the DER of a P-256 public key.
func SPKI(pub *ecdsa.PublicKey) ([]byte, error) {
	if pub == nil || pub.Curve != elliptic.P256() {
		return nil, fmt.Errorf("receipt: key is not P-256")
	}
	point, err := pub.Bytes()
	if err != nil {
		return nil, fmt.Errorf("receipt: key: %w", err)
	}
	return append(bytes.Clone(spkiP256), point...), nil
}

// KeyIDOf names a P-256 key.
func KeyIDOf(pub *ecdsa.PublicKey) (KeyID, error) {
	spki, err := SPKI(pub)
	if err != nil {
		return KeyID{}, err
	}
	sum := sha256.Sum256(spki)
	return KeyID(sum[:8]), nil
}

// maxTrust bounds the file: ten thousand kiosks need about 3 MB.
const maxTrust = 16 << 20

type trustFile struct {
	Version int        `json:"version"`
	Keys    []trustKey `json:"keys"`
}

type trustKey struct {
	KID       string `json:"kid"`
	Kiosk     uint32 `json:"kiosk"`
	Name      string `json:"name"`
	SPKI      []byte `json:"spki"`
	NotBefore string `json:"notBefore"`
	NotAfter  string `json:"notAfter"`
	Revoked   bool   `json:"revoked"`
}

// Marshal writes the list as a file, keys in order of their names.
func (t TrustList) Marshal() ([]byte, error) {
	f := trustFile{Version: 1, Keys: []trustKey{}}
	for kid, k := range t {
		spki, err := SPKI(k.Public)
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, kid)
		}
		f.Keys = append(f.Keys, trustKey{
			KID: kid.String(), Kiosk: k.Kiosk, Name: k.Name, SPKI: spki,
			NotBefore: k.NotBefore.UTC().Format(time.RFC3339), NotAfter: k.NotAfter.UTC().Format(time.RFC3339), Revoked: k.Revoked,
		})
	}
	slices.SortFunc(f.Keys, func(a, b trustKey) int { return bytes.Compare([]byte(a.KID), []byte(b.KID)) })
	out, err := f.marshal()
	if err != nil {
		return nil, err
	}
	if _, err := ParseTrustList(out); err != nil {
		return nil, err
	}
	return out, nil
}

func (f trustFile) marshal() ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(f); err != nil {
		return nil, fmt.Errorf("receipt: trust list: %w", err)
	}
	return out.Bytes(), nil
}

// ParseTrustList reads what Marshal writes, white space aside: the file is
// made by a program, and keys twice, in another case or unknown are refused
// because they do not come out of the encoder again. RCPT-TRUST.
func ParseTrustList(b []byte) (TrustList, error) {
	refuse := func(err error, format string, a ...any) (TrustList, error) {
		return nil, &Refusal{Rule: "RCPT-TRUST", Why: fmt.Sprintf(format, a...), Err: err}
	}
	if len(b) > maxTrust {
		return refuse(nil, "%d bytes", len(b))
	}
	var f trustFile
	if err := json.Unmarshal(b, &f); err != nil {
		return refuse(err, "not the JSON of a trust list")
	}
	if f.Version != 1 {
		return refuse(nil, "version %d, want 1", f.Version)
	}
	t := make(TrustList, len(f.Keys))
	for i, k := range f.Keys {
		key, kid, err := k.parse()
		if err != nil {
			return refuse(err, "key %d (%.16q)", i, k.KID)
		}
		if i > 0 && f.Keys[i-1].KID >= k.KID {
			return refuse(nil, "key %d (%s) is twice or out of order", i, k.KID)
		}
		t[kid] = key
	}
	again, err := f.marshal()
	if err != nil {
		return refuse(err, "does not encode")
	}
	var got, want bytes.Buffer
	if json.Compact(&got, b) != nil || json.Compact(&want, again) != nil || !bytes.Equal(got.Bytes(), want.Bytes()) {
		return refuse(nil, "a key is unknown, missing, twice, out of order or spelt differently")
	}
	return t, nil
}

func (k trustKey) parse() (Key, KeyID, error) {
	fail := func(format string, a ...any) (Key, KeyID, error) {
		return Key{}, KeyID{}, fmt.Errorf(format, a...)
	}
	point, ok := bytes.CutPrefix(k.SPKI, spkiP256)
	if !ok {
		return fail("spki: not an uncompressed P-256 key")
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return fail("spki: %w", err)
	}
	kid, err := KeyIDOf(pub)
	if err != nil {
		return fail("spki: %w", err)
	}
	if k.KID != kid.String() {
		return fail("kid %.16q is not that of the key, %s", k.KID, kid)
	}
	if k.Kiosk == 0 {
		return fail("kiosk: 0")
	}
	if k.Name == "" || len(k.Name) > 200 || !utf8.ValidString(k.Name) {
		return fail("name: empty, longer than 200 bytes or not UTF-8")
	}
	from, err := instant(k.NotBefore)
	if err != nil {
		return fail("notBefore: %w", err)
	}
	to, err := instant(k.NotAfter)
	if err != nil {
		return fail("notAfter: %w", err)
	}
	if to.Before(from) {
		return fail("notAfter %s is before notBefore %s", k.NotAfter, k.NotBefore)
	}
	return Key{Public: pub, Kiosk: k.Kiosk, Name: k.Name, NotBefore: from, NotAfter: to, Revoked: k.Revoked}, kid, nil
}

// instant takes RFC 3339 in UTC, whole seconds, written in the one way.
func instant(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, err
	}
	if t = t.UTC(); t.Format(time.RFC3339) != s {
		return time.Time{}, fmt.Errorf("%.32q is not UTC in whole seconds", s)
	}
	return t, nil
}
