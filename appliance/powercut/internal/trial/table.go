package trial

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// table counts what became of the points.
type table struct {
	o     Options
	start time.Time
	total int

	mu      sync.Mutex
	done    int
	bad     int // controls not counted
	printed time.Time
	shows   []string // what is readable on a disk and must not be
	rows    [rows]tally
	states  map[string]int // renewals under way when the power was cut
	reasons map[string]int // why a journal was refused or a disk not mounted
}

// tally is one row.
type tally struct {
	points, bad, healed, refused, noMount, mended, salvaged, detected, sync, scan, unseen, deep int
}

func newTable(o Options, total int) *table {
	return &table{o: o, start: time.Now(), printed: time.Now(), total: total, states: map[string]int{}, reasons: map[string]int{}}
}

// numbers are left out where reasons are counted.
var numbers = regexp.MustCompile(`(/\S+/)?\d+(\.seg)?`)

// told is how many bad points are told at length.
const told = 20

func (t *table) add(p point, v verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done++
	row := &t.rows[p.Row]
	row.points++
	count := func(n *int, yes bool) {
		if yes {
			*n++
		}
	}
	count(&row.bad, v.Outcome == Bad)
	count(&row.healed, v.Healed > 0)
	count(&row.refused, v.Outcome == Refused)
	count(&row.noMount, v.noMount != "")
	count(&row.mended, v.mended)
	count(&row.salvaged, v.salvaged)
	count(&row.detected, v.Outcome == Detected)
	count(&row.sync, v.Outcome == Detected && v.Sync)
	count(&row.scan, v.Outcome == Detected && v.Scan)
	count(&row.unseen, v.Outcome == Detected && !v.Sync && !v.Scan)
	count(&row.deep, v.Deep)
	if !p.Row.isControl() {
		for _, s := range v.States {
			t.states[s]++
		}
		for why, yes := range map[string]bool{v.Why: v.Outcome == Refused, v.noMount: v.noMount != ""} {
			if yes {
				t.reasons[p.Row.String()+": "+numbers.ReplaceAllString(why, "…")]++
			}
		}
		if v.Outcome == Bad {
			if t.bad++; t.bad <= told {
				fmt.Fprintf(t.o.Out, "BAD point %d (%s, %s): %s\n    %s\n", p.Number, p.Row, stories[p.Story].name, v.Why, v.did)
			}
		}
	}
	if t.o.Only >= 0 {
		fmt.Fprintf(t.o.Out, "point %d (%s): %s\n    outcome %d, healed %d: %s\n", p.Number, p.Row, v.did, v.Outcome, v.Healed, v.Why)
	}
	if pause := 2 * time.Second; t.o.Progress != nil && time.Since(t.printed) > pause {
		t.printed = time.Now()
		fmt.Fprintf(t.o.Progress, "%d/%d points, %.1f/s, %d bad\n", t.done, t.total, float64(t.done)/time.Since(t.start).Seconds(), t.bad)
	}
}

// mustFail is the share of a control's points that have to fail, in percent.
// Without fdatasync next to nothing reaches the disk. Without barriers all of it
// is written, and a cut that keeps half of the writes spares one copy of many a
// record: there the two copies do what they are for.
var mustFail = map[row]int{control: 95, controlBarrier: 50}

// weak are the controls that failed too seldom, or were not tried.
func (t *table) weak() (out []row) {
	for r := control; r < rows; r++ {
		if n := t.rows[r]; n.points == 0 || n.bad*100 < n.points*mustFail[r] {
			out = append(out, r)
		}
	}
	return out
}

func (t *table) failed() bool { return t.bad > 0 || len(t.weak()) > 0 || len(t.shows) > 0 }

func (t *table) print(took time.Duration, whole bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := tabwriter.NewWriter(t.o.Out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "power cut\tpoints\tbad\thealed\tlost\tfound at sync\tby a receipt\tnot told anybody\trefused\tno mount\tafter e2fsck\traw scan all\tserved on\t")
	for r, n := range t.rows {
		if n.points == 0 {
			continue
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", row(r), n.points, n.bad, n.healed, n.detected, n.sync, n.scan, n.unseen,
			n.refused, n.noMount, n.mended, n.salvaged, n.deep)
	}
	w.Flush()
	for _, why := range slices.SortedFunc(maps.Keys(t.reasons), func(a, b string) int { return cmp.Compare(t.reasons[b], t.reasons[a]) }) {
		fmt.Fprintf(t.o.Out, "%d × %s\n", t.reasons[why], why)
	}
	var states []string
	for _, s := range slices.Sorted(maps.Keys(t.states)) {
		states = append(states, fmt.Sprintf("%s %d", s, t.states[s]))
	}
	fmt.Fprintf(t.o.Out, "renewals under way when the power was cut: %s\n", strings.Join(states, ", "))
	weak := t.weak()
	if !whole {
		weak = nil
	}
	for _, r := range weak {
		fmt.Fprintf(t.o.Out, "%s failed in %d of %d points: the trial does not see what it should\n", r, t.rows[r].bad, t.rows[r].points)
	}
	controls := t.rows[control].points + t.rows[controlBarrier].points
	fmt.Fprintf(t.o.Out, "seed %d, %.1f points/s, %v\n%d passed, %d failed\n", t.o.Seed, float64(t.done)/took.Seconds(), took.Round(time.Second),
		t.done-controls-t.bad, t.bad+len(weak)+len(t.shows))
}
