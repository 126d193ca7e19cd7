// Package outboxlink is the Unix socket between kioskd, which owns the journal,
// and syncd, which owns the network. kioskd hands out parcels (CMP messages),
// syncd hands back what the CA answered, and kioskd says what became of it.
//
// A message is a length of four bytes, big-endian, at most MaxMessage, then JSON,
// read strictly. kioskd speaks "parcel", "verdict" and "withdraw"; syncd speaks
// "answer" and "failed". syncd keeps nothing: after a broken connection kioskd
// hands out every parcel again, with the same bytes.
//
// Not here: what a parcel or an answer means (package kiosk) and how it travels
// (package courier).
package outboxlink

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"mohr.internal/appliance/strictjson"
)

// MaxMessage bounds one message: a DER object of 64 KiB in base64 and some names.
const MaxMessage = 128 << 10

// Bounds of what is told about a try.
const (
	maxWait  = 24 * time.Hour
	maxTries = 1_000_000
)

// The kinds of message.
const (
	kindParcel   = "parcel"
	kindVerdict  = "verdict"
	kindWithdraw = "withdraw"
	kindAnswer   = "answer"
	kindFailed   = "failed"
)

type message struct {
	Kind  string `json:"kind"`
	ID    string `json:"id"`
	DER   []byte `json:"der,omitempty"`
	Why   string `json:"why,omitempty"`   // failed: for the log and the officer
	Done  bool   `json:"done,omitempty"`  // verdict
	After int64  `json:"after,omitempty"` // verdict, failed: milliseconds until the next try
	Tries int    `json:"tries,omitempty"` // failed: tries in a row without an answer
}

func write(w io.Writer, m message) error {
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("outboxlink: %w", err)
	}
	if len(b) > MaxMessage {
		return fmt.Errorf("outboxlink: message of %d bytes, at most %d", len(b), MaxMessage)
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(b)), uint32(len(b)))
	if _, err := w.Write(append(frame, b...)); err != nil {
		return fmt.Errorf("outboxlink: %w", err)
	}
	return nil
}

func read(r io.Reader) (message, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return message{}, fmt.Errorf("outboxlink: %w", err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > MaxMessage {
		return message{}, fmt.Errorf("outboxlink: message of %d bytes, at most %d", n, MaxMessage)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return message{}, fmt.Errorf("outboxlink: %w", err)
	}
	return parse(b)
}

func parse(b []byte) (message, error) {
	var m message
	if err := strictjson.Unmarshal(b, &m); err != nil {
		return message{}, fmt.Errorf("outboxlink: %w", err)
	}
	if m.ID == "" || len(m.ID) > 64 || len(m.Why) > 1024 {
		return message{}, fmt.Errorf("outboxlink: id of %d and text of %d bytes", len(m.ID), len(m.Why))
	}
	if m.After < 0 || m.After > maxWait.Milliseconds() {
		return message{}, fmt.Errorf("outboxlink: wait of %d ms", m.After)
	}
	if m.Tries < 0 || m.Tries > maxTries || (m.Tries > 0) != (m.Kind == kindFailed) {
		return message{}, fmt.Errorf("outboxlink: %d tries in a %.40q", m.Tries, m.Kind)
	}
	switch m.Kind {
	case kindParcel, kindVerdict, kindWithdraw, kindAnswer, kindFailed:
		return m, nil
	}
	return message{}, fmt.Errorf("outboxlink: unknown kind %q", m.Kind)
}
