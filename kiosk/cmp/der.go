package cmp

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// MaxMessage bounds a message in bytes, sent or received. A nested kur with
// RSA-4096 keys and a chain of three is about 12 kB.
const MaxMessage = 64 << 10

const (
	maxDepth  = 40  // levels of constructed values; a nested kur has about 20
	maxOctets = 64  // transactionID, nonces, key identifiers
	maxTexts  = 8   // lines of a PKIFreeText
	maxText   = 512 // bytes of one line
	maxInfos  = 16  // elements of generalInfo, controls, regInfo
	maxCerts  = 16  // extraCerts, caPubs
)

// checkDER reports whether der is exactly one value in distinguished encoding
// (X.690, 10 and 11) as far as that can be seen without knowing the type. It
// does not look into OCTET STRINGs and does not compare the order of sets.
// Definite, shortest lengths and one-byte tags are cryptobyte's rules.
func checkDER(der []byte) error {
	s := cryptobyte.String(der)
	if err := checkValue(&s, 0); err != nil {
		return err
	}
	if !s.Empty() {
		return fmt.Errorf("%d bytes after the value", len(s))
	}
	return nil
}

func checkValue(s *cryptobyte.String, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("more than %d levels", maxDepth)
	}
	var v cryptobyte.String
	var tag asn1.Tag
	if !s.ReadAnyASN1(&v, &tag) {
		return errors.New("malformed tag or length")
	}
	const class, constructed = 0xc0, 0x20
	if tag&class == 0 {
		if tag == 0 {
			return errors.New("universal tag 0")
		}
		if isSeq := tag|constructed == asn1.SEQUENCE || tag|constructed == asn1.SET; isSeq != (tag&constructed != 0) {
			return fmt.Errorf("universal tag %#x in the wrong form", uint8(tag))
		}
	}
	if tag&constructed == 0 {
		return checkPrimitive(tag, v)
	}
	for !v.Empty() {
		if err := checkValue(&v, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func checkPrimitive(tag asn1.Tag, v []byte) error {
	ok := true
	switch tag {
	case asn1.BOOLEAN:
		ok = len(v) == 1 && (v[0] == 0 || v[0] == 0xff)
	case asn1.INTEGER, asn1.ENUM:
		ok = len(v) > 0 && (len(v) == 1 || !(v[0] == 0 && v[1] < 0x80 || v[0] == 0xff && v[1] >= 0x80))
	case asn1.BIT_STRING:
		ok = len(v) > 0 && v[0] < 8 && (v[0] == 0 || len(v) > 1 && v[len(v)-1]&(1<<v[0]-1) == 0)
	case asn1.NULL:
		ok = len(v) == 0
	case asn1.OBJECT_IDENTIFIER:
		ok = len(v) > 0 && v[len(v)-1] < 0x80
		for i, c := range v {
			ok = ok && !(c == 0x80 && (i == 0 || v[i-1] < 0x80))
		}
	case asn1.UTF8String:
		ok = utf8.Valid(v)
	}
	if !ok {
		return fmt.Errorf("value of tag %#x not in DER", uint8(tag))
	}
	return nil
}

// element reads one value with its tag and length, which must be tag.
func element(s *cryptobyte.String, tag asn1.Tag) ([]byte, bool) {
	var v cryptobyte.String
	ok := s.ReadASN1Element(&v, tag)
	return v, ok
}

// explicit returns the constructed context-specific tag [n].
func explicit(n uint8) asn1.Tag { return asn1.Tag(n).Constructed().ContextSpecific() }

// addExplicit adds [n] { der }.
func addExplicit(b *cryptobyte.Builder, n uint8, der []byte) {
	b.AddASN1(explicit(n), func(b *cryptobyte.Builder) { b.AddBytes(der) })
}

func addSequence(b *cryptobyte.Builder, f func(b *cryptobyte.Builder)) {
	b.AddASN1(asn1.SEQUENCE, f)
}

// build returns what f adds, as bytes.
func build(f func(b *cryptobyte.Builder)) ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	f(b)
	return b.Bytes()
}

// isName reports whether der is one SEQUENCE and nothing else: enough for a
// Name that is copied and compared, never read.
func isName(der []byte) bool {
	s := cryptobyte.String(der)
	return s.SkipASN1(asn1.SEQUENCE) && s.Empty()
}

// readTime reads a GeneralizedTime in UTC without fraction: YYYYMMDDHHMMSSZ
// (RFC 9810, 5.2.9).
func readTime(s *cryptobyte.String, t *time.Time) bool {
	raw := *s
	if !s.ReadASN1GeneralizedTime(t) {
		return false
	}
	return len(raw)-len(*s) == 2+15 && raw[16] == 'Z'
}

func addTime(b *cryptobyte.Builder, t time.Time) { b.AddASN1GeneralizedTime(t.UTC()) }

// PKIFreeText ::= SEQUENCE SIZE (1..MAX) OF UTF8String -- RFC 9810, 5.1.1
type freeText []string

func (t freeText) marshal(b *cryptobyte.Builder) {
	addSequence(b, func(b *cryptobyte.Builder) {
		for _, line := range t {
			b.AddASN1(asn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(line)) })
		}
	})
}

func readFreeText(s *cryptobyte.String) (freeText, bool) {
	var seq, line cryptobyte.String
	if !s.ReadASN1(&seq, asn1.SEQUENCE) {
		return nil, false
	}
	var t freeText
	for !seq.Empty() {
		if !seq.ReadASN1(&line, asn1.UTF8String) || len(t) == maxTexts || len(line) > maxText {
			return nil, false
		}
		t = append(t, string(line))
	}
	return t, len(t) > 0
}

// InfoTypeAndValue ::= SEQUENCE { infoType OBJECT IDENTIFIER, infoValue ANY OPTIONAL } -- RFC 9810, 5.1.1
// AttributeTypeAndValue ::= SEQUENCE { type OBJECT IDENTIFIER, value ANY }              -- RFC 4211, 5
//
// Info is either; Value is the DER of the value, or nil.
type Info struct {
	Type  []byte // the OBJECT IDENTIFIER, with tag and length
	Value []byte
}

func marshalInfos(b *cryptobyte.Builder, infos []Info) {
	addSequence(b, func(b *cryptobyte.Builder) {
		for _, i := range infos {
			addSequence(b, func(b *cryptobyte.Builder) {
				b.AddBytes(i.Type)
				b.AddBytes(i.Value)
			})
		}
	})
}

// readInfos reads SEQUENCE SIZE (1..16) OF Info.
func readInfos(s *cryptobyte.String) ([]Info, bool) {
	var seq, one, value cryptobyte.String
	if !s.ReadASN1(&seq, asn1.SEQUENCE) || seq.Empty() {
		return nil, false
	}
	var infos []Info
	for !seq.Empty() {
		if !seq.ReadASN1(&one, asn1.SEQUENCE) || len(infos) == maxInfos {
			return nil, false
		}
		oid, ok := element(&one, asn1.OBJECT_IDENTIFIER)
		if !ok {
			return nil, false
		}
		info := Info{Type: oid}
		if !one.Empty() {
			if !one.ReadAnyASN1Element(&value, nil) || !one.Empty() {
				return nil, false
			}
			info.Value = value
		}
		infos = append(infos, info)
	}
	return infos, true
}
