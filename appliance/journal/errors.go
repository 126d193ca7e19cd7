package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// Errors that callers branch on, always wrapped with the place.
var (
	ErrMissing  = errors.New("no journal here") // Open never makes one: use Create, knowing why
	ErrExists   = errors.New("there is something already")
	ErrReadOnly = errors.New("read-only")
	ErrFull     = errors.New("full")
	ErrLocked   = errors.New("in use by another process")
	ErrPoisoned = errors.New("a write failed: open again")
	ErrDamaged  = errors.New("both copies damaged") // always a *DamagedError
	ErrDiverged = errors.New("not the journal of this checkpoint")
	ErrTooLarge = errors.New("payload too large")
	ErrClosed   = errors.New("closed")
)

// DamagedError says where neither copy can be believed. Nothing has been
// changed on disk.
type DamagedError struct {
	Seq     uint64 // the first record that is lost; 0 if the journal as a whole is not to be believed
	Segment int
	Page    int // within the segment; 0 is its header
	Why     string
}

func (e *DamagedError) Error() string {
	if e.Seq == 0 {
		return "journal: both copies damaged: " + e.Why
	}
	return fmt.Sprintf("journal: both copies damaged: record %d, page %d of a/%s and b/%[3]s: %[4]s",
		e.Seq, e.Page, segmentName(e.Segment), e.Why)
}

func (e *DamagedError) Is(target error) bool { return target == ErrDamaged }

// wrap turns what the system says into an error a caller can act on.
func wrap(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrDamaged):
		return err // says it all
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("journal: %s: %w: %w", doing, ErrMissing, err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("journal: %s: %w: %w", doing, ErrReadOnly, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("journal: %s: %w: %w", doing, ErrFull, err)
	case errors.Is(err, syscall.EWOULDBLOCK):
		return fmt.Errorf("journal: %s: %w: %w", doing, ErrLocked, err)
	}
	return fmt.Errorf("journal: %s: %w", doing, err)
}
