package station

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/journal"
	"mohr.internal/appliance/vault"
	"mohr.internal/kiosk"
)

// Each way in which the journal cannot be used has its own words.
func TestStorageRule(t *testing.T) {
	for err, want := range map[error]string{
		journal.ErrMissing: RuleStoreMissing, journal.ErrReadOnly: RuleStoreReadOnly, journal.ErrFull: kiosk.RuleStoreFull,
		journal.ErrDamaged: RuleStoreDamaged, journal.ErrLocked: RuleStoreBusy, vault.ErrKey: RuleStoreKey,
		errors.New("input/output error"): kiosk.RuleStoreFailed,
	} {
		if got := storageRule(fmt.Errorf("open: %w", err)); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}

func newStation(t *testing.T) *config.Kioskd {
	t.Helper()
	dir := t.TempDir()
	c := &config.Kioskd{Journal: config.Journal{Dir: filepath.Join(dir, "journal"), SegmentBytes: 1 << 20, Segments: 1}}
	c.Keys.Storage.Key = filepath.Join(dir, "storage.key")
	writeKey(t, c)
	return c
}

func writeKey(t *testing.T, c *config.Kioskd) {
	t.Helper()
	key, err := vault.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.Keys.Storage.Key, key, 0o600); err != nil {
		t.Fatal(err)
	}
}

func openRule(c *config.Kioskd) string {
	s, err := OpenStorage(c, slog.New(slog.DiscardHandler))
	if err == nil {
		defer s.Close()
		err = s.Replay(func(uint64, []byte) error { return nil })
		if err != nil {
			err = &kiosk.Refusal{Rule: storageRule(err), Err: err}
		}
	}
	if err == nil {
		return ""
	}
	return troubleRule(err)
}

// State is never made in silence: neither a journal nor a key.
func TestStorageIsNotMadeInSilence(t *testing.T) {
	c := newStation(t)
	if got := openRule(c); got != RuleStoreMissing {
		t.Errorf("without a journal: %q", got)
	}
	if err := Create(c); err != nil {
		t.Fatal(err)
	}
	if err := Create(c); err == nil {
		t.Error("a second journal was made over the first")
	}
	s, err := OpenStorage(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append([]byte("record")); err != nil {
		t.Fatal(err)
	}
	if got := openRule(c); got != RuleStoreBusy {
		t.Errorf("while it is open: %q", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := openRule(c); got != "" {
		t.Errorf("with journal and key: %q", got)
	}
	writeKey(t, c)
	if got := openRule(c); got != RuleStoreKey {
		t.Errorf("with another key: %q", got)
	}
	if err := os.Remove(c.Keys.Storage.Key); err != nil {
		t.Fatal(err)
	}
	if got := openRule(c); got != RuleStoreKey {
		t.Errorf("without a key: %q", got)
	}
}

// What was mended is told once, and briefly.
func TestHealedNotes(t *testing.T) {
	c := newStation(t)
	v, err := vault.Load(c.Keys.Storage.Key, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Create(c.Journal.Dir, journal.Options{SegmentBytes: c.Journal.SegmentBytes, Segments: c.Journal.Segments})
	if err != nil {
		t.Fatal(err)
	}
	sealed := vault.Over(j, v)
	for range 40 {
		if _, err := sealed.Append([]byte("record")); err != nil {
			t.Fatal(err)
		}
	}
	j.Close()
	for _, n := range []int{0, 1, 40} {
		f, err := os.OpenFile(filepath.Join(c.Journal.Dir, "b", "0000.seg"), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			// Damage of two kinds in turns, so that neighbours are not one place.
			if _, err := f.WriteAt([]byte{0xff}, int64(1+i)*journal.PageSize+int64(i%2)*100); err != nil {
				t.Fatal(err)
			}
		}
		f.Close()
		s, err := OpenStorage(c, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if notes := s.HealedNotes(); len(notes) != min(n, maxHealedNotes) {
			t.Errorf("%d places healed: %q", n, notes)
		}
		if notes := s.HealedNotes(); notes != nil {
			t.Errorf("told again: %q", notes)
		}
		if s.Fill() <= 0 {
			t.Error("fill of a used journal is 0")
		}
		s.Close()
	}
}
