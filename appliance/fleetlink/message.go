// Package fleetlink is the Unix socket over which syncd brings the journal's
// records to the fleet and its look-ups back. kioskd, which owns the journal,
// listens; syncd dials and asks for one record after the other.
//
// A message is a length of four bytes, big-endian, at most MaxMessage, then JSON,
// read strictly. Each side numbers its own questions; an answer carries the number.
//
//	syncd asks    "head"  → where the journal ends, and what an officer has cleared
//	              "hash"  → the hash of one record
//	              "record" → one entry, and the pick-up that belongs to it
//	syncd tells   "acknowledged", "forked", "trouble"
//	kioskd asks   "lookup" → a pick-up, or that there is none
//	kioskd tells  "changed": the journal has grown, or an officer has cleared a fork
//
// syncd keeps nothing: where to go on is asked of the centre and of kioskd after
// each start. It is a socket beside outboxlink's, so that a long backlog of records
// never stands before a request to the CA.
//
// Not here: what is in an entry (appliance/fleet/entry), who makes it
// (appliance/fleetlog), how it travels (appliance/fleet).
package fleetlink

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"mohr.internal/appliance/fleet/entry"
	"mohr.internal/appliance/strictjson"
)

// MaxMessage bounds one message: an entry and a pick-up in base64.
const MaxMessage = (entry.MaxEntry+entry.MaxPickup)*4/3 + 4<<10

const maxText = 1024

// The kinds of message.
const (
	kindHead         = "head"         // question and answer
	kindHash         = "hash"         // question and answer
	kindRecord       = "record"       // question and answer
	kindAcknowledged = "acknowledged" // the centre has the log up to Head
	kindForked       = "forked"       // the centre's log ends with Entry, and that is not in our journal
	kindTrouble      = "trouble"      // Why the fleet cannot be reached; empty: it can
	kindChanged      = "changed"
	kindLookup       = "lookup" // question and answer
	kindRefused      = "refused"
)

type head struct {
	Journal []byte `json:"journal"`
	Seq     uint64 `json:"seq"`
	Hash    []byte `json:"hash"`
}

type message struct {
	Kind    string `json:"kind"`
	ID      uint64 `json:"id,omitempty"`     // of a question and its answer
	Answer  bool   `json:"answer,omitempty"` // this is the answer
	Head    *head  `json:"head,omitempty"`
	Theirs  *head  `json:"theirs,omitempty"`
	Cleared *head  `json:"cleared,omitempty"`
	Seq     uint64 `json:"seq,omitempty"`
	Key     []byte `json:"key,omitempty"`
	Entry   []byte `json:"entry,omitempty"`
	Pickup  []byte `json:"pickup,omitempty"`
	Why     string `json:"why,omitempty"`
}

func packHead(h entry.Head) *head { return &head{h.Journal[:], h.Seq, h.Hash[:]} }

// unpack is the inverse; parse has checked the lengths.
func (h *head) unpack() (out entry.Head) {
	copy(out.Journal[:], h.Journal)
	copy(out.Hash[:], h.Hash)
	out.Seq = h.Seq
	return out
}

func write(w io.Writer, m message) error {
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("fleetlink: %w", err)
	}
	if len(b) > MaxMessage {
		return fmt.Errorf("fleetlink: message of %d bytes, at most %d", len(b), MaxMessage)
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(b)), uint32(len(b)))
	if _, err := w.Write(append(frame, b...)); err != nil {
		return fmt.Errorf("fleetlink: %w", err)
	}
	return nil
}

func read(r io.Reader) (message, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return message{}, fmt.Errorf("fleetlink: %w", err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n == 0 || n > MaxMessage {
		return message{}, fmt.Errorf("fleetlink: message of %d bytes, at most %d", n, MaxMessage)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return message{}, fmt.Errorf("fleetlink: %w", err)
	}
	return parse(b)
}

// shape is what a kind of message must have, and nothing beside it. A capital
// letter stands for a field that may be missing.
var shapes = map[string]string{
	kindHead: "i", kindHash: "is", kindRecord: "isT", kindAcknowledged: "h", kindForked: "he", kindTrouble: "W",
	kindChanged: "", kindLookup: "ik",
	kindHead + "+": "ihC", kindHash + "+": "ih", kindRecord + "+": "ieKP", kindLookup + "+": "iP", kindRefused + "+": "iw",
}

func parse(b []byte) (message, error) {
	var m message
	if err := strictjson.Unmarshal(b, &m); err != nil {
		return message{}, fmt.Errorf("fleetlink: %w", err)
	}
	kind := m.Kind
	if m.Answer {
		kind += "+"
	}
	shape, known := shapes[kind]
	if !known {
		return message{}, fmt.Errorf("fleetlink: unknown kind %.40q", kind)
	}
	for letter, has := range map[byte]bool{
		'i': m.ID != 0, 's': m.Seq != 0, 'h': m.Head != nil, 't': m.Theirs != nil, 'c': m.Cleared != nil,
		'k': len(m.Key) > 0, 'e': len(m.Entry) > 0, 'p': len(m.Pickup) > 0, 'w': m.Why != "",
	} {
		if must, may := contains(shape, letter), contains(shape, letter-'a'+'A'); has && !must && !may || !has && must {
			return message{}, fmt.Errorf("fleetlink: %s: field %q is there: %t", kind, letter, has)
		}
	}
	for _, h := range []*head{m.Head, m.Theirs, m.Cleared} {
		if h != nil && (len(h.Journal) != 8 || len(h.Hash) != 32) {
			return message{}, fmt.Errorf("fleetlink: %s: journal of %d and hash of %d bytes", kind, len(h.Journal), len(h.Hash))
		}
	}
	if len(m.Key) != 0 && len(m.Key) != 32 || len(m.Why) > maxText || len(m.Entry) > entry.MaxEntry || len(m.Pickup) > entry.MaxPickup {
		return message{}, fmt.Errorf("fleetlink: %s: key of %d, text of %d, entry of %d, pick-up of %d bytes",
			kind, len(m.Key), len(m.Why), len(m.Entry), len(m.Pickup))
	}
	return m, nil
}

func contains(s string, letter byte) bool {
	for i := range len(s) {
		if s[i] == letter {
			return true
		}
	}
	return false
}

func clip(s string) string {
	if len(s) > maxText {
		return s[:maxText]
	}
	return s
}
