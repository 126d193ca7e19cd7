package station

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/journal"
	"mohr.internal/appliance/vault"
	"mohr.internal/kiosk"
)

// Rules of the storage, shown on the trouble screen.
const (
	RuleStoreMissing  = "STORE-MISSING"
	RuleStoreReadOnly = "STORE-READONLY"
	RuleStoreDamaged  = "STORE-DAMAGED"
	RuleStoreBusy     = "STORE-BUSY"
	RuleStoreKey      = "STORE-KEY" // the storage key is missing, or not the one the journal was sealed with
)

// Storage is the sealed journal in the form the ledger takes.
type Storage struct {
	*vault.Journal
	log *slog.Logger

	mu   sync.Mutex
	told int // healings that HealedNotes has given
}

// OpenStorage opens the journal. It never makes one, nor a key: a kiosk whose
// journal or storage key is not there says so.
func OpenStorage(c *config.Kioskd, log *slog.Logger) (*Storage, error) {
	v, err := vault.Load(c.Keys.Storage.Key, rand.Reader)
	if err != nil {
		return nil, &kiosk.Refusal{Rule: RuleStoreKey, Err: err}
	}
	j, err := journal.Open(c.Journal.Dir, journal.Options{})
	if err != nil {
		return nil, &kiosk.Refusal{Rule: storageRule(err), Err: err}
	}
	return &Storage{Journal: vault.Over(j, v), log: log}, nil
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
	case errors.Is(err, vault.ErrKey):
		return RuleStoreKey
	}
	return kiosk.RuleStoreFailed
}

// Append implements kiosk.Journal. A failure says what people are told about it.
func (s *Storage) Append(payload []byte) (uint64, error) {
	start := time.Now()
	seq, err := s.Journal.Append(payload)
	s.log.Info("stored", "seq", seq, "bytes", len(payload), "store_us", time.Since(start).Microseconds())
	if err != nil {
		return 0, &kiosk.Refusal{Rule: storageRule(err), Err: err}
	}
	return seq, nil
}

// maxHealedNotes bounds the notes of one event: a card that dies has hundreds.
const maxHealedNotes = 16

// HealedNotes says what was mended in one copy of the journal since it was asked
// last, for an event in the journal itself: a card that often needs it is dying.
// Nil if nothing was.
func (s *Storage) HealedNotes() (notes []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	healed := s.Healed()[s.told:]
	s.told += len(healed)
	for i, h := range healed {
		if i == maxHealedNotes-1 && len(healed) > maxHealedNotes {
			return append(notes, fmt.Sprintf("and %d places more", len(healed)-i))
		}
		notes = append(notes, h.String())
	}
	return notes
}
