package receipt

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
)

// No receipt is shorter or longer: the shortest has one-byte numbers and no
// hashes, the longest eight-byte numbers and all of them.
const (
	minBytes = 103
	maxBytes = 213
)

// claims and body are the payload; see the package comment.
type claims struct {
	Time uint64 `cbor:"6,keyasint"`
	Body body   `cbor:"-65537,keyasint"`
}

type body struct {
	State    uint8  `cbor:"1,keyasint"`
	Tracking uint64 `cbor:"2,keyasint"`
	Request  []byte `cbor:"3,keyasint,omitempty"`
	OldCert  []byte `cbor:"4,keyasint,omitempty"`
	Seq      uint64 `cbor:"5,keyasint"`
	Kiosk    uint32 `cbor:"7,keyasint"`
	Clock    uint8  `cbor:"8,keyasint"`
	Head     []byte `cbor:"9,keyasint,omitempty"`
	HeadSeq  uint64 `cbor:"10,keyasint,omitempty"`
}

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   4,
		MaxArrayElements:  16,
		MaxMapPairs:       16,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // options above are constants
	}
	return v
}

// Signed is a finished receipt.
type Signed struct {
	Bytes []byte // the COSE_Sign1; its SHA-256 is the receipt's name in a log
	Text  string // "KR1:" and base45, for the QR code
	Key   KeyID
}

// Sign signs r with a P-256 key, which may live in a token: the key is asked
// once, for an ASN.1 signature over a SHA-256 digest. What comes back is
// verified and parsed before it is handed on.
func (r Receipt) Sign(key crypto.Signer, rand io.Reader) (Signed, error) {
	if err := r.check(); err != nil {
		return Signed{}, err
	}
	r.Time = time.Unix(r.Time.Unix(), 0).UTC()
	pub, ok := key.Public().(*ecdsa.PublicKey)
	if !ok {
		return Signed{}, fmt.Errorf("receipt: key is a %T, want P-256", key.Public())
	}
	kid, err := KeyIDOf(pub)
	if err != nil {
		return Signed{}, err
	}
	msg, err := r.message(kid)
	if err != nil {
		return Signed{}, err
	}
	if err := msg.Sign(rand, nil, es256{key}); err != nil {
		return Signed{}, fmt.Errorf("receipt: sign: %w", err)
	}
	der, err := msg.MarshalCBOR()
	if err != nil {
		return Signed{}, fmt.Errorf("receipt: encode: %w", err)
	}
	s := Signed{Bytes: der, Text: Encode(der), Key: kid}
	back, _, err := TrustList{kid: {Public: pub, Kiosk: r.Kiosk, NotBefore: r.Time, NotAfter: r.Time}}.Verify(s.Text)
	if err != nil {
		return Signed{}, fmt.Errorf("receipt: what was signed does not verify: %w", err)
	}
	if back != r {
		return Signed{}, errors.New("receipt: what was signed reads differently")
	}
	return s, nil
}

// Parse reads a receipt's bytes and the name of the key it claims. It judges
// form only: nothing in it is to be believed before TrustList.Verify.
func Parse(b []byte) (Receipt, KeyID, error) {
	r, kid, _, err := parse(b)
	return r, kid, err
}

// parse is RCPT-SIZE, RCPT-CBOR and RCPT-FIELD.
func parse(b []byte) (Receipt, KeyID, *cose.Sign1Message, error) {
	fail := func(why string, err error) (Receipt, KeyID, *cose.Sign1Message, error) {
		return Receipt{}, KeyID{}, nil, &Refusal{Rule: "RCPT-CBOR", Why: why, Err: err}
	}
	if len(b) < minBytes || len(b) > maxBytes {
		return Receipt{}, KeyID{}, nil, &Refusal{Rule: "RCPT-SIZE", Why: fmt.Sprintf("%d bytes", len(b))}
	}
	var msg cose.Sign1Message
	if err := msg.UnmarshalCBOR(b); err != nil {
		return fail("not a COSE_Sign1", err)
	}
	var kid KeyID
	if k, ok := msg.Headers.Protected[cose.HeaderLabelKeyID].([]byte); !ok || copy(kid[:], k) != len(k) || len(k) != len(kid) {
		return fail("no key identifier of 8 bytes", nil)
	}
	var c claims
	if err := decMode.Unmarshal(msg.Payload, &c); err != nil {
		return fail("payload", err)
	}
	if c.Time > lastTime {
		return Receipt{}, KeyID{}, nil, &Refusal{Rule: "RCPT-FIELD", Why: fmt.Sprintf("time %d", c.Time)}
	}
	r := Receipt{
		Time: time.Unix(int64(c.Time), 0).UTC(), Clock: Clock(c.Body.Clock), State: State(c.Body.State),
		Tracking: c.Body.Tracking, Seq: c.Body.Seq, Kiosk: c.Body.Kiosk, HeadSeq: c.Body.HeadSeq,
	}
	copy(r.Request[:], c.Body.Request)
	copy(r.OldCert[:], c.Body.OldCert)
	copy(r.Head[:], c.Body.Head)
	// One statement, one encoding: this also catches short or long hashes,
	// missing keys, other headers and every other way to write the same map.
	again, err := r.message(kid)
	if err != nil {
		return fail("does not encode", err)
	}
	again.Signature = msg.Signature
	if enc, err := again.MarshalCBOR(); err != nil || !bytes.Equal(enc, b) {
		return fail("not the deterministic encoding", err)
	}
	if err := r.check(); err != nil {
		return Receipt{}, KeyID{}, nil, err
	}
	return r, kid, again, nil
}

// message is the unsigned COSE_Sign1 of r.
func (r Receipt) message(kid KeyID) (*cose.Sign1Message, error) {
	orNone := func(b []byte) []byte {
		if len(bytes.Trim(b, "\x00")) == 0 {
			return nil
		}
		return b
	}
	payload, err := encMode.Marshal(claims{
		Time: uint64(r.Time.Unix()),
		Body: body{
			State: uint8(r.State), Tracking: r.Tracking, Request: orNone(r.Request[:]), OldCert: orNone(r.OldCert[:]),
			Seq: r.Seq, Kiosk: r.Kiosk, Clock: uint8(r.Clock), Head: orNone(r.Head[:]), HeadSeq: r.HeadSeq,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("receipt: encode: %w", err)
	}
	msg := cose.NewSign1Message()
	msg.Headers.Protected.SetAlgorithm(cose.AlgorithmES256)
	msg.Headers.Protected[cose.HeaderLabelKeyID] = kid[:]
	msg.Payload = payload
	return msg, nil
}

// es256 is a cose.Signer over any crypto.Signer. go-cose's own hands nil
// options to the key, which a token cannot work with, and leaves s as it is.
type es256 struct{ key crypto.Signer }

func (es256) Algorithm() cose.Algorithm { return cose.AlgorithmES256 }

func (e es256) Sign(rand io.Reader, content []byte) ([]byte, error) {
	digest := sha256.Sum256(content)
	der, err := e.key.Sign(rand, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var sig struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &sig)
	if err != nil || len(rest) != 0 {
		return nil, errors.New("the key's answer is not an ECDSA signature")
	}
	n := elliptic.P256().Params().N
	if sig.R.Sign() <= 0 || sig.S.Sign() <= 0 || sig.R.Cmp(n) >= 0 || sig.S.Cmp(n) >= 0 {
		return nil, errors.New("the key's signature is out of range")
	}
	if sig.S.Cmp(halfOrder) > 0 {
		sig.S.Sub(n, sig.S)
	}
	out := make([]byte, 64)
	sig.R.FillBytes(out[:32])
	sig.S.FillBytes(out[32:])
	return out, nil
}

// halfOrder is the largest s: of (r, s) and (r, n-s), which both verify, only
// one is a receipt.
var halfOrder = new(big.Int).Rsh(elliptic.P256().Params().N, 1)
