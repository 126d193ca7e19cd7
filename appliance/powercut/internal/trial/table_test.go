package trial

import (
	"io"
	"testing"
)

// A run whose negative control survives too often has shown nothing, and fails; so
// does one without a control, with a bad point, or with something that shows.
func TestRunFails(t *testing.T) {
	for _, row := range []struct {
		name           string
		control, other int // of 100 points, those that failed
		bad            int
		shows          []string
		failed         bool
	}{
		{"as it should be", 95, 50, 0, nil, false},
		{"without fdatasync 94 of 100 fail", 94, 50, 0, nil, true},
		{"without barriers 49 of 100 fail", 95, 49, 0, nil, true},
		{"one bad point", 100, 100, 1, nil, true},
		{"a name on the disk", 100, 100, 0, []string{"name"}, true},
	} {
		tab := newTable(Options{Out: io.Discard, Only: -1}, 300)
		tab.shows = row.shows
		fill := func(r kind, bad int) {
			for i := range 100 {
				v := verdict{}
				if i < bad {
					v.Outcome = Bad
				}
				tab.add(point{Row: r}, v)
			}
		}
		fill(control, row.control)
		fill(controlBarrier, row.other)
		fill(honest, row.bad)
		if tab.failed() != row.failed {
			t.Errorf("%s: failed %v", row.name, tab.failed())
		}
	}
	if !newTable(Options{Out: io.Discard, Only: -1}, 0).failed() {
		t.Error("a run without any control")
	}
}

type kind = row // the loop has a row of its own
