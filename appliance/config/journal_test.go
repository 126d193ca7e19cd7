package config

import (
	"path/filepath"
	"testing"

	"mohr.internal/appliance/journal"
	"mohr.internal/appliance/journal/bounds"
)

// What the configuration allows the journal takes, and the smallest of it is made.
func TestJournalBounds(t *testing.T) {
	for _, row := range []struct {
		segment  int64
		segments int
		ok       bool
	}{
		{bounds.MinSegment, 80, true}, {bounds.MinSegment, 79, false}, {bounds.MinSegment - bounds.Page, 80, false},
		{1 << 20, 21, true}, {1 << 20, 20, false}, {1<<20 + 1, 21, false},
		{bounds.MaxSegment, 2, true}, {bounds.MaxSegment, 1, false}, {bounds.MaxSegment + bounds.Page, 2, false},
		{bounds.MaxSegment, bounds.MaxSegments, true}, {bounds.MaxSegment, bounds.MaxSegments + 1, false},
		{bounds.MinSegment, 0, false}, {bounds.MinSegment, -1, false}, {0, 80, false}, {-bounds.MinSegment, 80, false},
	} {
		var c checker
		Journal{SegmentBytes: row.segment, Segments: row.segments}.check(&c)
		if (c.err() == nil) != row.ok {
			t.Errorf("%d of %d bytes: %v", row.segments, row.segment, c.err())
		}
	}
	j, err := journal.Create(filepath.Join(t.TempDir(), "j"), journal.Options{SegmentBytes: bounds.MinSegment, Segments: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if free := j.Free(); free != bounds.MinQuota || free != bounds.Quota(bounds.MinSegment, 80) {
		t.Errorf("%d bytes for records, want %d", free, int64(bounds.MinQuota))
	}
}
