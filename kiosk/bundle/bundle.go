// Package bundle carries unsent requests out of a kiosk in one file, by USB stick
// to another kiosk or to the head office, when no network comes.
//
// A Bundle is deterministic CBOR (RFC 8949, 4.2.1), sealed by age to those who
// may deliver it: requests name people. The requests are the stored PKIMessages,
// byte for byte, so delivering them twice, or delivering them here and later from
// the kiosk, is the same as once (RFC 9810, 5.1.1: transactionID).
//
// Not here: delivering (appliance/courier), and which requests are unsent
// (package kiosk).
package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"
	"github.com/fxamacker/cbor/v2"

	"mohr.internal/kiosk/cmp"
)

// Limits of a bundle.
const (
	MaxParcels = 100_000
	MaxBytes   = 256 << 20
)

// Bundle is the unsent work of one kiosk.
type Bundle struct {
	Version int      `cbor:"0,keyasint"`
	Kiosk   string   `cbor:"1,keyasint"`
	Created int64    `cbor:"2,keyasint"` // Unix seconds by the kiosk's clock
	Parcels []Parcel `cbor:"3,keyasint"`
}

// Parcel is one message to the CA.
type Parcel struct {
	ID  string `cbor:"0,keyasint"` // the outbox's name for it
	DER []byte `cbor:"1,keyasint"` // PKIMessage
}

const version = 1

var (
	encoder, _ = cbor.CoreDetEncOptions().EncMode()
	decoder, _ = cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, MaxNestedLevels: 4, MaxArrayElements: MaxParcels, MaxMapPairs: 16,
	}.DecMode()
)

// New collects parcels. A parcel that is no PKIMessage is refused here, where it
// can still be looked for, and not at the far end.
func New(kiosk string, created time.Time, parcels []Parcel) (*Bundle, error) {
	b := &Bundle{Version: version, Kiosk: kiosk, Created: created.Unix(), Parcels: parcels}
	return b, b.check()
}

func (b *Bundle) check() error {
	if b.Version != version {
		return fmt.Errorf("bundle: version %d, know %d", b.Version, version)
	}
	if len(b.Parcels) > MaxParcels {
		return fmt.Errorf("bundle: %d parcels, at most %d", len(b.Parcels), MaxParcels)
	}
	seen := map[string]bool{}
	for _, p := range b.Parcels {
		if p.ID == "" || len(p.ID) > 64 || seen[p.ID] {
			return fmt.Errorf("bundle: parcel id %.64q is empty, too long or there twice", p.ID)
		}
		seen[p.ID] = true
		if _, err := cmp.Parse(p.DER); err != nil {
			return fmt.Errorf("bundle: parcel %s: %w", p.ID, err)
		}
	}
	return nil
}

// Seal writes the bundle to w, readable by the recipients alone.
func (b *Bundle) Seal(w io.Writer, to ...age.Recipient) error {
	if len(to) == 0 {
		return errors.New("bundle: nobody to seal it to")
	}
	plain, err := encoder.Marshal(b)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if len(plain) > MaxBytes {
		return fmt.Errorf("bundle: %d bytes, at most %d", len(plain), MaxBytes)
	}
	sealed, err := age.Encrypt(w, to...)
	if err != nil {
		return fmt.Errorf("bundle: seal: %w", err)
	}
	if _, err := sealed.Write(plain); err != nil {
		return fmt.Errorf("bundle: seal: %w", err)
	}
	if err := sealed.Close(); err != nil {
		return fmt.Errorf("bundle: seal: %w", err)
	}
	return nil
}

// Open reads what Seal wrote, and nothing else.
func Open(r io.Reader, with ...age.Identity) (*Bundle, error) {
	opened, err := age.Decrypt(r, with...)
	if err != nil {
		return nil, fmt.Errorf("bundle: open: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(opened, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("bundle: open: %w", err)
	}
	return parse(plain)
}

func parse(plain []byte) (*Bundle, error) {
	if len(plain) > MaxBytes {
		return nil, fmt.Errorf("bundle: larger than %d bytes", MaxBytes)
	}
	b := new(Bundle)
	if err := decoder.Unmarshal(plain, b); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	again, err := encoder.Marshal(b)
	if err != nil || !bytes.Equal(again, plain) {
		return nil, errors.New("bundle: not in deterministic form")
	}
	return b, nil
}
