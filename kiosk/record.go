package kiosk

import (
	"bytes"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Record is one journal entry in the words of the ceremony: a change of state or
// an event, for one renewal or (zero RenewalID) for the station. It is written as
// deterministic CBOR (RFC 8949, 4.2.1); ParseRecord accepts nothing else.
//
// Nothing personal is in it in clear except inside Request and Certificate,
// which the CA must receive as they are; evidence is sealed.
type Record struct {
	Version int       `cbor:"0,keyasint"`
	Renewal RenewalID `cbor:"1,keyasint"`
	Time    int64     `cbor:"2,keyasint"`           // Unix seconds by the kiosk's clock
	Clock   string    `cbor:"3,keyasint"`           // how well Time is known
	State   string    `cbor:"4,keyasint,omitempty"` // a change of state, or
	Event   string    `cbor:"5,keyasint,omitempty"` // an event
	Rule    string    `cbor:"6,keyasint,omitempty"` // why, for Refused, Abandoned and failures

	OldCert     []byte   `cbor:"10,keyasint,omitempty"` // SHA-256 of the old certificate
	KeyID       []byte   `cbor:"11,keyasint,omitempty"` // CKA_ID of the new pair
	NewKey      []byte   `cbor:"12,keyasint,omitempty"` // SHA-256 of the new SubjectPublicKeyInfo
	Request     []byte   `cbor:"13,keyasint,omitempty"` // nested PKIMessage, DER
	Receipt     string   `cbor:"14,keyasint,omitempty"` // KR1 text
	ReceiptSeq  uint64   `cbor:"15,keyasint,omitempty"`
	Certificate []byte   `cbor:"16,keyasint,omitempty"` // the new certificate, DER
	Chain       [][]byte `cbor:"17,keyasint,omitempty"`
	Sealed      []byte   `cbor:"18,keyasint,omitempty"` // evidence, age-encrypted to the CA
	Answer      []byte   `cbor:"19,keyasint,omitempty"` // the CA's answer as received
	Confirm     []byte   `cbor:"20,keyasint,omitempty"` // certConf, DER
	Confirmed   bool     `cbor:"21,keyasint,omitempty"` // no certConf is owed
	Officer     []byte   `cbor:"22,keyasint,omitempty"` // SHA-256 of the officer's certificate
	Tries       *int     `cbor:"23,keyasint,omitempty"` // PIN tries left, -1 unknown
	Notes       []string `cbor:"24,keyasint,omitempty"` // rule IDs of warnings in force
	Signal      string   `cbor:"25,keyasint,omitempty"` // what decided first or later renewal
	Ends        int64    `cbor:"26,keyasint,omitempty"` // the old certificate's end, Unix seconds
	Foreign     *LogEnd  `cbor:"30,keyasint,omitempty"` // end of a log that is not this journal
}

// Events that are not changes of state.
const (
	EventPINTry         = "pin-try"          // before a PIN is sent; without a result the outcome is unknown
	EventPINResult      = "pin-result"       // after
	EventKeyIntent      = "key-intent"       // before the first command that changes the token
	EventEvidence       = "evidence"         // sealed evidence
	EventLoadIntent     = "load-intent"      // before a certificate is written
	EventConfirm        = "confirm"          // certConf made while the token was in
	EventConfirmed      = "confirmed"        // the CA took it
	EventConfirmRefused = "confirm-refused"  // the CA will not take it; Notes are its words
	EventBadAnswer      = "bad-answer"       // an answer that failed a check; nothing was done with it
	EventTurnedAway     = "turned-away"      // a token or person refused before a renewal began
	EventStopped        = "stopped"          // a pick-up or load that ended early; the renewal stays as it was
	EventElsewhere      = "loaded-elsewhere" // the token came back with the certificate that waited for it here
	EventStart          = "start"            // the kiosk came up
	EventHealed         = "healed"           // the journal mended one copy from the other; Notes say where
	EventFork           = "fork"             // the centre has another log under this kiosk's name; Foreign is its end
	EventForkCleared    = "fork-cleared"     // an officer left that log behind
)

const recordVersion = 1

// RenewalID names a renewal for ever: it is also CMP's transactionID.
type RenewalID [16]byte

// String is the identifier in hex.
func (id RenewalID) String() string { return fmt.Sprintf("%x", id[:]) }

// Zero says whether id stands for the station and not for a renewal.
func (id RenewalID) Zero() bool { return id == RenewalID{} }

var (
	recordEncoder, _ = cbor.CoreDetEncOptions().EncMode()
	recordDecoder, _ = cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, MaxNestedLevels: 4, MaxArrayElements: 64, MaxMapPairs: 64,
	}.DecMode()
)

// Marshal is the record's bytes for the journal.
func (r Record) Marshal() ([]byte, error) {
	r.Version = recordVersion
	b, err := recordEncoder.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("kiosk: encode record: %w", err)
	}
	return b, nil
}

// ParseRecord reads what Marshal wrote and refuses anything that would not
// marshal to the same bytes again.
func ParseRecord(b []byte) (Record, error) {
	var r Record
	if err := recordDecoder.Unmarshal(b, &r); err != nil {
		return Record{}, fmt.Errorf("kiosk: parse record: %w", err)
	}
	if r.Version != recordVersion {
		return Record{}, fmt.Errorf("kiosk: record version %d, know %d", r.Version, recordVersion)
	}
	if (r.State == "") == (r.Event == "") {
		return Record{}, fmt.Errorf("kiosk: record has state %q and event %q, want exactly one", r.State, r.Event)
	}
	if r.State != "" && r.Renewal.Zero() {
		return Record{}, fmt.Errorf("kiosk: record has state %s of no renewal", r.State)
	}
	if r.State != "" {
		if _, err := ParseState(r.State); err != nil {
			return Record{}, err
		}
	}
	if (r.Event == EventFork || r.Event == EventForkCleared) != (r.Foreign != nil) || r.Foreign != nil && !r.Renewal.Zero() {
		return Record{}, fmt.Errorf("kiosk: record has event %q and foreign log %v", r.Event, r.Foreign)
	}
	again, err := r.Marshal()
	if err != nil {
		return Record{}, err
	}
	if !bytes.Equal(again, b) {
		return Record{}, fmt.Errorf("kiosk: record is not in deterministic form")
	}
	return r, nil
}
