package station

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/journal"
	"mohr.internal/kiosk"
)

// Rules of the storage, shown on the trouble screen.
const (
	RuleStoreMissing  = "STORE-MISSING"
	RuleStoreReadOnly = "STORE-READONLY"
	RuleStoreDamaged  = "STORE-DAMAGED"
	RuleStoreBusy     = "STORE-BUSY"
)

// Storage is the journal in the form the ledger takes.
type Storage struct {
	journal *journal.Journal
	log     *slog.Logger
}

// OpenStorage opens the journal. It never makes one: a kiosk whose journal is not
// there says so.
func OpenStorage(c config.Journal, log *slog.Logger) (*Storage, error) {
	j, err := journal.Open(c.Dir, journal.Options{})
	if err != nil {
		return nil, &kiosk.Refusal{Rule: storageRule(err), Err: err}
	}
	return &Storage{j, log}, nil
}

// storageRule picks what people are told about a journal that cannot be used.
func storageRule(err error) string {
	switch {
	case errors.Is(err, journal.ErrMissing):
		return RuleStoreMissing
	case errors.Is(err, journal.ErrReadOnly):
		return RuleStoreReadOnly
	case errors.Is(err, journal.ErrFull):
		return kiosk.RuleStoreFull
	case errors.Is(err, journal.ErrDamaged):
		return RuleStoreDamaged
	case errors.Is(err, journal.ErrLocked):
		return RuleStoreBusy
	}
	return kiosk.RuleStoreFailed
}

// Append implements kiosk.Journal.
func (s *Storage) Append(payload []byte) (uint64, error) {
	start := time.Now()
	r, err := s.journal.Append(payload)
	s.log.Info("stored", "seq", r.Seq, "bytes", len(payload), "store_us", time.Since(start).Microseconds())
	return r.Seq, err
}

var errFound = errors.New("found")

// Read implements kiosk.Journal: the record comes from disk.
func (s *Storage) Read(seq uint64) (payload []byte, err error) {
	err = s.journal.Replay(seq, func(r journal.Record) error {
		payload = append([]byte(nil), r.Payload...)
		return errFound
	})
	if err == nil {
		return nil, fmt.Errorf("station: no record %d", seq)
	}
	if !errors.Is(err, errFound) {
		return nil, err
	}
	return payload, nil
}

// Replay implements kiosk.Journal.
func (s *Storage) Replay(fn func(seq uint64, payload []byte) error) error {
	return s.journal.Replay(0, func(r journal.Record) error { return fn(r.Seq, r.Payload) })
}

// Free is the room left, in bytes of payload pages.
func (s *Storage) Free() int64 { return s.journal.Free() }

// Healed says what was mended when the journal was opened.
func (s *Storage) Healed() []journal.Healing { return s.journal.Healed() }

// Close gives the journal up.
func (s *Storage) Close() error { return s.journal.Close() }
