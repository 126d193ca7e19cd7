package trial

import (
	"bytes"
	"encoding/gob"
	"fmt"
)

// What a note tells.
type what uint8

const (
	writing what = iota // an append of Payload begins
	acked               // record Seq with Hash was acknowledged
	shown               // a receipt, Text, was on the screen
	posted              // the parcel Text with the bytes Payload was sent to the CA
	visited             // citizen Seq came to the counter
	created             // the empty journal was made
)

// note is one thing that the world knows of the kiosk from a moment on.
type note struct {
	What    what
	Seq     uint64
	Hash    [32]byte
	Payload []byte
	Text    string
	Synced  uint64      // the fleet's log has everything up to this record
	Sticks  []stickNote // the tokens that have changed since the last note
}

// stickNote is the state of a token: the citizens in order, then the officer.
type stickNote struct {
	Index int
	State []byte // the token's file
	Tries int    // PINs it has compared
}

func (n note) encode() ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(n)
	return b.Bytes(), err
}

func decodeNote(b []byte) (n note, err error) {
	if err = gob.NewDecoder(bytes.NewReader(b)).Decode(&n); err != nil {
		err = fmt.Errorf("note: %w", err)
	}
	return n, err
}

// world is what is known outside the kiosk at a moment: what it may never take
// back.
type world struct {
	records [][]byte   // payloads that were acknowledged, from record 1
	hashes  [][32]byte //
	next    []byte     // payload of an append that has not returned, nil if none
	shown   []string   // receipts
	posted  map[string][]byte
	synced  int // records that the fleet's log has
	citizen int // who is at the counter
	created bool
	sticks  map[int]stickNote
}

func newWorld(notes []note) (*world, error) {
	w := &world{posted: map[string][]byte{}, sticks: map[int]stickNote{}, citizen: -1}
	for _, n := range notes {
		if err := w.add(n); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *world) add(n note) error {
	w.synced = max(w.synced, int(n.Synced))
	for _, s := range n.Sticks {
		w.sticks[s.Index] = s
	}
	switch n.What {
	case writing:
		w.next = n.Payload
	case acked:
		if n.Seq != uint64(len(w.records))+1 {
			return fmt.Errorf("record %d was acknowledged after %d", n.Seq, len(w.records))
		}
		payload := n.Payload
		if payload == nil {
			payload = w.next
		}
		w.records, w.hashes, w.next = append(w.records, payload), append(w.hashes, n.Hash), nil
	case shown:
		w.shown = append(w.shown, n.Text)
	case posted:
		if old, ok := w.posted[n.Text]; ok && !bytes.Equal(old, n.Payload) {
			return fmt.Errorf("parcel %s was sent with other bytes", n.Text)
		}
		w.posted[n.Text] = n.Payload
	case created:
		w.created = true
	case visited:
		w.citizen = int(n.Seq)
	}
	return nil
}

// tries is how many PINs the tokens have compared.
func (w *world) tries() (n int) {
	for _, s := range w.sticks {
		n += s.Tries
	}
	return n
}
