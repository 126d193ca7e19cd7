package vault

import (
	"fmt"

	"mohr.internal/appliance/journal"
)

// Journal is a journal of sealed payloads, in the form the ceremony's ledger takes.
type Journal struct {
	*journal.Journal
	vault *Vault
}

// Over seals everything that goes into j and opens what comes out.
func Over(j *journal.Journal, v *Vault) *Journal { return &Journal{j, v} }

// Append seals and appends; it returns when the record survives a power cut.
func (j *Journal) Append(payload []byte) (seq uint64, err error) {
	sealed, err := j.vault.Seal(payload)
	if err != nil {
		return 0, err
	}
	r, err := j.Journal.Append(sealed)
	return r.Seq, err
}

// Read opens one record, from disk.
func (j *Journal) Read(seq uint64) ([]byte, error) {
	r, err := j.Journal.Read(seq)
	if err != nil {
		return nil, err
	}
	return j.open(r)
}

// Replay opens all records in order.
func (j *Journal) Replay(fn func(seq uint64, payload []byte) error) error {
	return j.Records(func(r journal.Record) error { return fn(r.Seq, r.Payload) })
}

// Records is Replay with the hashes. They are over the sealed payloads; the payloads
// that fn gets are open.
func (j *Journal) Records(fn func(r journal.Record) error) error {
	return j.Journal.Replay(1, func(r journal.Record) (err error) {
		if r.Payload, err = j.open(r); err != nil {
			return err
		}
		return fn(r)
	})
}

func (j *Journal) open(r journal.Record) ([]byte, error) {
	payload, err := j.vault.Open(r.Payload)
	if err != nil {
		return nil, fmt.Errorf("record %d: %w", r.Seq, err)
	}
	return payload, nil
}
