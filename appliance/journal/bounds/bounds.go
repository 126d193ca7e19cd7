// Package bounds says how large a journal may be: one truth for the journal, which
// refuses another geometry, and for whoever writes or reads a configuration without
// being linked with the journal.
package bounds

import "fmt"

const (
	// Page is the unit of every write. A change makes every journal in the field
	// unreadable.
	Page = 4096

	// RecordPages bounds a record, and with it what opening a journal has to doubt.
	RecordPages = 64

	// MinSegment and MaxSegment bound a segment in bytes. It takes its header and the
	// largest record; four of the smallest are held in memory at once.
	MinSegment = (1 + RecordPages) * Page
	MaxSegment = 16 << 20

	// MaxSegments bounds how many there are in a copy.
	MaxSegments = 4096

	// MinQuota is the least room for records in a kiosk's journal: the last 5 % of it,
	// in which no citizen is begun with any more, take all that one writes at most
	// (package kiosk holds itself to that).
	MinQuota = 20 << 20
)

// Segment says whether a segment can have so many bytes.
func Segment(bytes int64) error {
	if bytes < MinSegment || bytes > MaxSegment {
		return fmt.Errorf("%d is not within %d and %d", bytes, int64(MinSegment), int64(MaxSegment))
	}
	if bytes%Page != 0 {
		return fmt.Errorf("%d is not a multiple of %d", bytes, int64(Page))
	}
	return nil
}

// Segments says whether a copy can have so many segments.
func Segments(n int) error {
	if n < 1 || n > MaxSegments {
		return fmt.Errorf("%d is not within 1 and %d", n, MaxSegments)
	}
	return nil
}

// Quota is the room for records in each copy, in bytes of pages.
func Quota(segment int64, segments int) int64 { return (segment - Page) * int64(segments) }
