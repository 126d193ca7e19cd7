package cmp

import (
	"bytes"
	"encoding/asn1"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// PKIHeader ::= SEQUENCE { -- RFC 9810, 5.1.1; EXPLICIT tags
//
//	pvno               INTEGER { cmp1999(1), cmp2000(2), cmp2021(3) },
//	sender             GeneralName,
//	recipient          GeneralName,
//	messageTime    [0] GeneralizedTime OPTIONAL,
//	protectionAlg  [1] AlgorithmIdentifier OPTIONAL,
//	senderKID      [2] OCTET STRING OPTIONAL,
//	recipKID       [3] OCTET STRING OPTIONAL,
//	transactionID  [4] OCTET STRING OPTIONAL,
//	senderNonce    [5] OCTET STRING OPTIONAL,
//	recipNonce     [6] OCTET STRING OPTIONAL,
//	freeText       [7] PKIFreeText OPTIONAL,
//	generalInfo    [8] SEQUENCE SIZE (1..MAX) OF InfoTypeAndValue OPTIONAL }
//
// A nil slice or zero time is an absent field. Sender and Recipient are the raw
// Name of a directoryName, the one choice of GeneralName accepted here.
type Header struct {
	Version       int
	Sender        []byte
	Recipient     []byte
	Time          time.Time
	ProtectionAlg []byte // AlgorithmIdentifier
	SenderKID     []byte
	RecipKID      []byte
	TransactionID []byte
	SenderNonce   []byte
	RecipNonce    []byte
	FreeText      []string
	GeneralInfo   []Info
}

const version2 = 2 // cmp2000

func (h *Header) marshal(b *cryptobyte.Builder) {
	octets := func(n uint8, v []byte) {
		if v != nil {
			b.AddASN1(explicit(n), func(b *cryptobyte.Builder) { b.AddASN1OctetString(v) })
		}
	}
	addSequence(b, func(outer *cryptobyte.Builder) {
		b = outer
		b.AddASN1Int64(int64(h.Version))
		addExplicit(b, 4, h.Sender) // directoryName [4] is explicit: Name is a CHOICE
		addExplicit(b, 4, h.Recipient)
		if !h.Time.IsZero() {
			b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { addTime(b, h.Time) })
		}
		if h.ProtectionAlg != nil {
			addExplicit(b, 1, h.ProtectionAlg)
		}
		octets(2, h.SenderKID)
		octets(3, h.RecipKID)
		octets(4, h.TransactionID)
		octets(5, h.SenderNonce)
		octets(6, h.RecipNonce)
		if h.FreeText != nil {
			b.AddASN1(explicit(7), freeText(h.FreeText).marshal)
		}
		if h.GeneralInfo != nil {
			b.AddASN1(explicit(8), func(b *cryptobyte.Builder) { marshalInfos(b, h.GeneralInfo) })
		}
	})
}

func readHeader(s *cryptobyte.String) (h Header, err error) {
	var seq cryptobyte.String
	if !s.ReadASN1(&seq, cbasn1.SEQUENCE) {
		return h, fmt.Errorf("header is no sequence")
	}
	bad := func(field string) (Header, error) { return Header{}, fmt.Errorf("header: malformed %s", field) }
	if !seq.ReadASN1Integer(&h.Version) {
		return bad("pvno")
	}
	var ok bool
	if h.Sender, ok = readDirectoryName(&seq); !ok {
		return bad("sender")
	}
	if h.Recipient, ok = readDirectoryName(&seq); !ok {
		return bad("recipient")
	}
	var field cryptobyte.String
	// field reports whether the next field is [n] and leaves its content in field.
	next := func(n uint8) bool {
		return seq.PeekASN1Tag(explicit(n)) && seq.ReadASN1(&field, explicit(n))
	}
	if next(0) && (!readTime(&field, &h.Time) || !field.Empty()) {
		return bad("messageTime")
	}
	if next(1) {
		if h.ProtectionAlg, ok = element(&field, cbasn1.SEQUENCE); !ok || !field.Empty() {
			return bad("protectionAlg")
		}
	}
	for n, out := range []*[]byte{&h.SenderKID, &h.RecipKID, &h.TransactionID, &h.SenderNonce, &h.RecipNonce} {
		if next(uint8(n + 2)) {
			if *out, ok = readOctets(&field); !ok || !field.Empty() {
				return bad([]string{"senderKID", "recipKID", "transactionID", "senderNonce", "recipNonce"}[n])
			}
		}
	}
	if next(7) {
		if h.FreeText, ok = readFreeText(&field); !ok || !field.Empty() {
			return bad("freeText")
		}
	}
	if next(8) {
		if h.GeneralInfo, ok = readInfos(&field); !ok || !field.Empty() {
			return bad("generalInfo")
		}
	}
	if !seq.Empty() {
		return bad("fields")
	}
	return h, nil
}

// readDirectoryName reads a GeneralName that is a directoryName.
func readDirectoryName(s *cryptobyte.String) ([]byte, bool) {
	var name cryptobyte.String
	if !s.ReadASN1(&name, explicit(4)) || !isName(name) {
		return nil, false
	}
	return name, true
}

// readOctets reads an OCTET STRING of 1 to maxOctets bytes.
func readOctets(s *cryptobyte.String) ([]byte, bool) {
	var v cryptobyte.String
	if !s.ReadASN1(&v, cbasn1.OCTET_STRING) || len(v) == 0 || len(v) > maxOctets {
		return nil, false
	}
	return v, true
}

// info returns the value of the first generalInfo of a type.
func (h *Header) info(oid asn1.ObjectIdentifier) (value []byte, found bool) {
	want, err := build(func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
	if err != nil {
		return nil, false
	}
	for _, i := range h.GeneralInfo {
		if bytes.Equal(i.Type, want) {
			return i.Value, true
		}
	}
	return nil, false
}

// addInfo appends to generalInfo.
func (h *Header) addInfo(oid asn1.ObjectIdentifier, value []byte) error {
	typ, err := build(func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
	if err != nil {
		return err
	}
	h.GeneralInfo = append(h.GeneralInfo, Info{Type: typ, Value: value})
	return nil
}

var derNull = []byte{5, 0}

// implicitConfirm reports whether id-it-implicitConfirm is there, NULL or
// without value (RFC 9810, 5.1.1.1).
func (h *Header) implicitConfirm() bool {
	v, ok := h.info(oidImplicitConfirm)
	return ok && (v == nil || bytes.Equal(v, derNull))
}
