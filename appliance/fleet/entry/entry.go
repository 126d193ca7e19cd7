package entry

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/fxamacker/cbor/v2"
)

const (
	// MaxSealed bounds the sealed part: twice the largest journal record, and what age
	// adds for eight hybrid recipients.
	MaxSealed = 560 << 10
	// MaxEntry bounds one entry.
	MaxEntry = MaxSealed + 4<<10

	version      = 1
	maxKiosk     = 64
	maxWord      = 64
	maxSignature = 80 // ECDSA on P-256 in DER has at most 72
)

// Head names one record of one journal, and with it all before.
type Head struct {
	Journal [8]byte  `cbor:"0,keyasint"`
	Seq     uint64   `cbor:"1,keyasint"` // 0 before the first record
	Hash    [32]byte `cbor:"2,keyasint"`
}

// String is for logs and screens.
func (h Head) String() string { return fmt.Sprintf("%x/%d/%x", h.Journal[:4], h.Seq, h.Hash[:4]) }

// Public is what anybody at the centre may read of a record.
type Public struct {
	Renewal [16]byte `cbor:"0,keyasint"` // zero for the station itself
	Time    int64    `cbor:"1,keyasint"` // Unix seconds by the kiosk's clock
	Clock   string   `cbor:"2,keyasint"` // how well Time is known
	State   string   `cbor:"3,keyasint,omitempty"`
	Event   string   `cbor:"4,keyasint,omitempty"`
	Rule    string   `cbor:"5,keyasint,omitempty"`
	Request []byte   `cbor:"6,keyasint,omitempty"` // SHA-256 of the request's DER
}

// Entry is one journal record on its way to the centre.
type Entry struct {
	Version int      `cbor:"0,keyasint"`
	Kiosk   string   `cbor:"1,keyasint"`
	Journal [8]byte  `cbor:"2,keyasint"`
	Seq     uint64   `cbor:"3,keyasint"`
	Prev    [32]byte `cbor:"4,keyasint"`
	Hash    [32]byte `cbor:"5,keyasint"`
	Public  Public   `cbor:"6,keyasint"`
	Sealed  []byte   `cbor:"7,keyasint"`
	// After is set in the first entry behind a fork that an officer has cleared: the
	// end of the log that this entry knowingly does not continue.
	After     *Head  `cbor:"8,keyasint,omitempty"`
	Signature []byte `cbor:"9,keyasint,omitempty"` // ECDSA, DER, over SHA-256 of all the above
}

// Head is the entry's own place.
func (e Entry) Head() Head { return Head{e.Journal, e.Seq, e.Hash} }

var (
	encoder, _ = cbor.CoreDetEncOptions().EncMode()
	decoder, _ = cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, MaxNestedLevels: 4, MaxArrayElements: 64, MaxMapPairs: 32,
	}.DecMode()
)

// Marshal signs the entry and returns its bytes.
func (e Entry) Marshal(key crypto.Signer, rand io.Reader) ([]byte, error) {
	e.Version, e.Signature = version, nil
	if err := e.check(); err != nil {
		return nil, err
	}
	digest, err := e.digest()
	if err != nil {
		return nil, err
	}
	if e.Signature, err = key.Sign(rand, digest[:], crypto.SHA256); err != nil {
		return nil, fmt.Errorf("entry: sign record %d: %w", e.Seq, err)
	}
	return e.encode()
}

func (e Entry) encode() ([]byte, error) {
	b, err := encoder.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("entry: encode record %d: %w", e.Seq, err)
	}
	return b, nil
}

// digest is what is signed: a label, so that the key signs nothing else with the
// same bytes, and the entry without its signature.
func (e Entry) digest() (sum [32]byte, err error) {
	e.Signature = nil
	b, err := e.encode()
	if err != nil {
		return sum, err
	}
	return sha256.Sum256(append([]byte("mohr fleet entry 1\x00"), b...)), nil
}

// Parse reads what Marshal wrote and nothing else. The signature is not verified.
func Parse(b []byte) (Entry, error) {
	if len(b) > MaxEntry {
		return Entry{}, fmt.Errorf("entry: %d bytes, at most %d", len(b), MaxEntry)
	}
	var e Entry
	if err := decoder.Unmarshal(b, &e); err != nil {
		return Entry{}, fmt.Errorf("entry: %w", err)
	}
	if e.Version != version {
		return Entry{}, fmt.Errorf("entry: version %d, know %d", e.Version, version)
	}
	if err := e.check(); err != nil {
		return Entry{}, err
	}
	if len(e.Signature) == 0 || len(e.Signature) > maxSignature {
		return Entry{}, fmt.Errorf("entry: record %d has a signature of %d bytes", e.Seq, len(e.Signature))
	}
	again, err := e.encode()
	if err != nil {
		return Entry{}, err
	}
	if !bytes.Equal(again, b) {
		return Entry{}, errors.New("entry: not in deterministic form")
	}
	return e, nil
}

// Verify checks the kiosk's signature.
func (e Entry) Verify(key *ecdsa.PublicKey) error {
	digest, err := e.digest()
	if err != nil {
		return err
	}
	if !ecdsa.VerifyASN1(key, digest[:], e.Signature) {
		return fmt.Errorf("entry: record %d of kiosk %s is not signed by its key", e.Seq, e.Kiosk)
	}
	return nil
}

// CheckHash compares the hash with an opened record.
func (e Entry) CheckHash(payload []byte) error {
	if RecordHash(e.Journal, e.Seq, e.Prev, payload) != e.Hash {
		return fmt.Errorf("entry: record %d of kiosk %s is not what its hash says", e.Seq, e.Kiosk)
	}
	return nil
}

// RecordHash is the hash of a journal record as appliance/journal lays it out: magic,
// version, length, sequence, journal, previous hash, payload.
func RecordHash(journal [8]byte, seq uint64, prev [32]byte, payload []byte) (sum [32]byte) {
	var head [64]byte
	copy(head[:], "mohr.rec")
	binary.LittleEndian.PutUint16(head[8:], 1)
	binary.LittleEndian.PutUint32(head[12:], uint32(len(payload)))
	binary.LittleEndian.PutUint64(head[16:], seq)
	copy(head[24:32], journal[:])
	copy(head[32:64], prev[:])
	h := sha256.New()
	h.Write(head[:])
	h.Write(payload)
	h.Sum(sum[:0])
	return sum
}

func (e Entry) check() error {
	switch {
	case CheckKiosk(e.Kiosk) != nil:
		return CheckKiosk(e.Kiosk)
	case e.Seq == 0:
		return errors.New("entry: record 0")
	case (e.Seq == 1) != (e.Prev == [32]byte{}):
		return fmt.Errorf("entry: record %d follows %x", e.Seq, e.Prev[:4])
	case e.Hash == [32]byte{}:
		return fmt.Errorf("entry: record %d has no hash", e.Seq)
	case len(e.Sealed) == 0 || len(e.Sealed) > MaxSealed:
		return fmt.Errorf("entry: record %d has a sealed part of %d bytes, at most %d", e.Seq, len(e.Sealed), MaxSealed)
	case e.After != nil && (e.After.Seq == 0 || e.After.Hash == [32]byte{} || *e.After == e.Head()):
		return fmt.Errorf("entry: record %d leaves a log at %v", e.Seq, *e.After)
	}
	return e.Public.check()
}

// check lets through only identifiers: a person's name, in any script, has no place
// in the public part.
func (p Public) check() error {
	for name, word := range map[string]string{"clock": p.Clock, "state": p.State, "event": p.Event, "rule": p.Rule} {
		if !isWord(word) {
			return fmt.Errorf("entry: %s %.80q is no identifier", name, word)
		}
	}
	if p.Clock == "" || (p.State == "") == (p.Event == "") {
		return fmt.Errorf("entry: clock %q, state %q, event %q", p.Clock, p.State, p.Event)
	}
	if p.Request != nil && len(p.Request) != sha256.Size {
		return fmt.Errorf("entry: request hash of %d bytes", len(p.Request))
	}
	return nil
}

func isWord(s string) bool {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_') {
			return false
		}
	}
	return len(s) <= maxWord
}

// CheckKiosk says whether a kiosk's name can be one token of a NATS subject.
func CheckKiosk(name string) error {
	if name == "" || len(name) > maxKiosk || !isWord(name) {
		return fmt.Errorf("entry: kiosk %.80q: want 1 to %d of A-Z a-z 0-9 - _", name, maxKiosk)
	}
	return nil
}

// Private is what the sealed part holds once the centre has opened it.
type Private struct {
	Payload []byte `cbor:"0,keyasint"`           // the journal record's bytes, which its hash covers
	Record  []byte `cbor:"1,keyasint,omitempty"` // the record in clear, where the kiosk keeps parts of it sealed on disk
}

// Marshal is the plain text of the sealed part.
func (p Private) Marshal() ([]byte, error) {
	b, err := encoder.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("entry: encode: %w", err)
	}
	return b, nil
}

// ParsePrivate reads what Marshal wrote and nothing else.
func ParsePrivate(b []byte) (Private, error) {
	if len(b) > 2*MaxSealed {
		return Private{}, fmt.Errorf("entry: %d bytes, at most %d", len(b), 2*MaxSealed)
	}
	var p Private
	if err := decoder.Unmarshal(b, &p); err != nil {
		return Private{}, fmt.Errorf("entry: %w", err)
	}
	if again, err := p.Marshal(); err != nil || !bytes.Equal(again, b) {
		return Private{}, errors.New("entry: private part is not in deterministic form")
	}
	return p, nil
}
