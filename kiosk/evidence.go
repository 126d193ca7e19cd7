package kiosk

import (
	"bytes"
	"fmt"

	"filippo.io/age"
)

const evidenceVersion = 1

// Evidence is what was looked at and accepted, and by whom. It is sealed the
// moment it is complete and the kiosk cannot open it again; only its hash is in
// the attestation.
type Evidence struct {
	Version        int      `cbor:"0,keyasint"`
	Renewal        []byte   `cbor:"1,keyasint"`
	Officer        []byte   `cbor:"2,keyasint"` // SHA-256 of the officer's certificate
	Profile        string   `cbor:"3,keyasint"`
	ProfileVersion int      `cbor:"4,keyasint"`
	ProfileDigest  []byte   `cbor:"5,keyasint"`
	Holder         string   `cbor:"6,keyasint"` // identity number
	Document       string   `cbor:"7,keyasint"` // kind of document
	NumberMatched  bool     `cbor:"8,keyasint"`
	TypingErrors   []string `cbor:"9,keyasint,omitempty"` // rule IDs of attempts that did not match
	Features       []Answer `cbor:"10,keyasint"`          // those drawn, in order
	Face           []Answer `cbor:"11,keyasint"`
	FaceMillis     int64    `cbor:"12,keyasint"` // how long the comparison took
	TermsVersion   string   `cbor:"13,keyasint"`
	TermsLanguage  string   `cbor:"14,keyasint"`
	TermsHash      string   `cbor:"15,keyasint"`
	TermsAccepted  int64    `cbor:"16,keyasint"`
	Started        int64    `cbor:"17,keyasint"`
	Ended          int64    `cbor:"18,keyasint"`
	Warnings       []string `cbor:"19,keyasint,omitempty"`
}

// Answer is one question about a document or a face.
type Answer struct {
	ID  string `cbor:"0,keyasint"`
	Yes bool   `cbor:"1,keyasint"`
}

// seal encrypts evidence to the profile's recipients (age, X25519 or hybrid).
func (e *Evidence) seal(recipients []string) ([]byte, error) {
	plain, err := recordEncoder.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("kiosk: encode evidence: %w", err)
	}
	var to []age.Recipient
	for _, r := range recipients {
		parsed, err := age.ParseRecipients(bytes.NewReader([]byte(r + "\n")))
		if err != nil {
			return nil, fmt.Errorf("kiosk: recipient %q: %w", r, err)
		}
		to = append(to, parsed...)
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, to...)
	if err != nil {
		return nil, fmt.Errorf("kiosk: seal evidence: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("kiosk: seal evidence: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("kiosk: seal evidence: %w", err)
	}
	return sealed.Bytes(), nil
}
