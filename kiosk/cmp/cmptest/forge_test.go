package cmptest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Package cmp makes no wrong messages, so the wrong ones are forged here: taken
// apart, bent and signed anew.

// parts of a PKIMessage, each with its tag.
type parts struct{ header, body, extra []byte }

func takeApart(t testing.TB, der []byte) parts {
	t.Helper()
	s := cryptobyte.String(der)
	var seq, header, body, extra cryptobyte.String
	var tag cbasn1.Tag
	if !s.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1Element(&header, cbasn1.SEQUENCE) || !seq.ReadAnyASN1Element(&body, &tag) ||
		!seq.SkipASN1(specific(0)) || !seq.ReadASN1Element(&extra, specific(1)) || !seq.Empty() {
		t.Fatal("not a protected message with extraCerts")
	}
	return parts{header, body, extra}
}

// seal signs the parts with SHA-256 by key, whatever they say.
func (p parts) seal(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	protected := sequence(t, p.header, p.body)
	return sequence(t, p.header, p.body, build(t, specific(0), bitString(t, sign(t, key, protected))), p.extra)
}

// bend replaces old by new, of the same length, in the header or else the body.
func (p parts) bend(t testing.TB, old, new []byte) parts {
	t.Helper()
	if len(old) != len(new) || len(old) == 0 {
		t.Fatalf("cannot replace %d bytes by %d", len(old), len(new))
	}
	for _, part := range []*[]byte{&p.header, &p.body} {
		if bytes.Contains(*part, old) {
			*part = bytes.Replace(*part, old, new, 1)
			return p
		}
	}
	t.Fatalf("%x does not occur", old)
	return p
}

// shorten takes the last byte off an OCTET STRING of 16 bytes in the header.
func (p parts) shorten(t testing.TB, octets []byte) parts {
	t.Helper()
	header := inside(t, p.header)
	was := append([]byte{18, 4, 16}, octets...) // length of the tag round it, OCTET STRING, its length
	if !bytes.Contains(header, was) {
		t.Fatalf("%x does not occur", octets)
	}
	p.header = sequence(t, bytes.Replace(header, was, append([]byte{17, 4, 15}, octets[:15]...), 1))
	return p
}

// inside returns the content of a SEQUENCE.
func inside(t testing.TB, der []byte) []byte {
	t.Helper()
	s := cryptobyte.String(der)
	var content cryptobyte.String
	if !s.ReadASN1(&content, cbasn1.SEQUENCE) {
		t.Fatal("no sequence")
	}
	return content
}

// certRequest is the content of CertRequest and the proof that follows it.
type certRequest struct{ id, template, controls, proof []byte }

// forgeRequest bends the request in a kur and signs both proof and message anew.
// A proof left as it is is made by newKey; nil leaves it out.
func forgeRequest(t testing.TB, kur []byte, oldKey, newKey crypto.Signer, bend func(r *certRequest)) []byte {
	t.Helper()
	p := takeApart(t, kur)
	body := cryptobyte.String(p.body)
	var tag cbasn1.Tag
	var content, messages, message, request, proof, controls cryptobyte.String
	var id, template cryptobyte.String
	if !body.ReadAnyASN1(&content, &tag) || !content.ReadASN1(&messages, cbasn1.SEQUENCE) || !messages.ReadASN1(&message, cbasn1.SEQUENCE) ||
		!message.ReadASN1(&request, cbasn1.SEQUENCE) || !message.ReadASN1Element(&proof, specific(1)) ||
		!request.ReadASN1Element(&id, cbasn1.INTEGER) || !request.ReadASN1Element(&template, cbasn1.SEQUENCE) ||
		!request.ReadOptionalASN1(&controls, nil, cbasn1.SEQUENCE) {
		t.Fatal("not a request")
	}
	r := certRequest{id: id, template: template, proof: proof}
	if controls != nil {
		r.controls = build(t, cbasn1.SEQUENCE, controls)
	}
	was := bytes.Clone(proof)
	bend(&r)
	forged := sequence(t, r.id, r.template, r.controls)
	if bytes.Equal(was, r.proof) {
		algorithm := cryptobyte.String(proof)
		var inside, alg cryptobyte.String
		if !algorithm.ReadASN1(&inside, specific(1)) || !inside.ReadASN1Element(&alg, cbasn1.SEQUENCE) {
			t.Fatal("no algorithm in the proof")
		}
		r.proof = build(t, specific(1), alg, bitString(t, sign(t, newKey, forged)))
	}
	p.body = build(t, tag, sequence(t, sequence(t, forged, r.proof)))
	return p.seal(t, oldKey)
}

// withoutSubject takes the field subject [5] out of a CertTemplate.
func withoutSubject(t testing.TB, template []byte) []byte {
	t.Helper()
	in := cryptobyte.String(inside(t, template))
	var field cryptobyte.String
	var rest []byte
	for !in.Empty() {
		var tag cbasn1.Tag
		if !in.ReadAnyASN1Element(&field, &tag) {
			t.Fatal("malformed template")
		}
		if tag != specific(5) {
			rest = append(rest, field...)
		}
	}
	return sequence(t, rest)
}

func specific(n uint8) cbasn1.Tag { return cbasn1.Tag(n).Constructed().ContextSpecific() }

func sequence(t testing.TB, parts ...[]byte) []byte { return build(t, cbasn1.SEQUENCE, parts...) }

func build(t testing.TB, tag cbasn1.Tag, parts ...[]byte) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(tag, func(b *cryptobyte.Builder) {
		for _, p := range parts {
			b.AddBytes(p)
		}
	})
	return must[[]byte](t)(b.Bytes())
}

func bitString(t testing.TB, v []byte) []byte {
	return build(t, cbasn1.BIT_STRING, []byte{0}, v)
}

func sign(t testing.TB, key crypto.Signer, data []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(data)
	return must[[]byte](t)(key.Sign(rand.Reader, digest[:], crypto.SHA256))
}

// claiming returns a certificate that says other things about itself to the
// builders of package cmp than its DER does.
func claiming(cert *x509.Certificate, change func(c *x509.Certificate)) *x509.Certificate {
	c := *cert
	change(&c)
	return &c
}
