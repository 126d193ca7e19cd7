package journal

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

var damageTrials = flag.Int("damage", 0, "trials in the first rows of the damage table, which is then printed")

// spot is where record seq lies in segment 0 or 1 of newDisk(t, 14).
type spot struct{ seg, page, pages int }

func (d *disk) spots(t testing.TB) []spot {
	t.Helper()
	j, err := Open(simDir, with(Options{ReadOnly: true}, d.fs))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	var s []spot
	for _, p := range j.index {
		s = append(s, spot{int(p.seg), int(p.page), int(p.pages)})
	}
	return s
}

// damages are the rows of the table: what is done to a journal of 14 records,
// and what must come of it.
var damages = []struct {
	name string
	part int    // of the trials: every part-th
	want string // healed: all is there and both copies are as before; refused: by name, nothing changed
	do   func(d *disk, s []spot, r *rand.Rand) (seq uint64)
}{
	{"one bit, anywhere in either copy", 1, "healed", func(d *disk, _ []spot, r *rand.Rand) uint64 {
		d.flip(copies[r.IntN(2)], r.IntN(small.Segments), r.IntN(minSegmentPages*PageSize), r.IntN(8))
		return 0
	}},
	{"one 4-KiB page of rubbish, anywhere in either copy", 1, "healed", func(d *disk, _ []spot, r *rand.Rand) uint64 {
		d.put(copies[r.IntN(2)], r.IntN(small.Segments), r.IntN(minSegmentPages)*PageSize, noise(r, PageSize))
		return 0
	}},
	{"one 4-KiB page of zeros over a record in one copy", 10, "healed", func(d *disk, s []spot, r *rand.Rand) uint64 {
		at := s[r.IntN(len(s))] // over zeros, zeros are no damage
		d.put(copies[r.IntN(2)], at.seg, (at.page)*PageSize, zeros[:PageSize])
		return 0
	}},
	{"one file of one copy cut", 10, "healed", func(d *disk, _ []spot, r *rand.Rand) uint64 {
		d.cut(copies[r.IntN(2)], r.IntN(small.Segments), r.IntN(minSegmentPages))
		return 0
	}},
	{"one bit in each copy, different records", 5, "healed", different(bitAt)},
	{"one page in each copy, different records", 5, "healed", different(pageAt)},
	{"one bit in each copy, same record", 5, "refused", sameRecord(bitAt)},
	{"one page in each copy, same record", 5, "refused", sameRecord(pageAt)},
}

func bitAt(d *disk, c string, s spot, r *rand.Rand) {
	d.flip(c, s.seg, s.page*PageSize+r.IntN(s.pages*PageSize), r.IntN(8))
}

func pageAt(d *disk, c string, s spot, r *rand.Rand) {
	d.put(c, s.seg, (s.page+r.IntN(s.pages))*PageSize, noise(r, PageSize))
}

func different(hurt func(*disk, string, spot, *rand.Rand)) func(*disk, []spot, *rand.Rand) uint64 {
	return func(d *disk, s []spot, r *rand.Rand) uint64 {
		i := r.IntN(len(s))
		hurt(d, "a", s[i], r)
		hurt(d, "b", s[(i+1+r.IntN(len(s)-1))%len(s)], r)
		return 0
	}
}

func sameRecord(hurt func(*disk, string, spot, *rand.Rand)) func(*disk, []spot, *rand.Rand) uint64 {
	return func(d *disk, s []spot, r *rand.Rand) uint64 {
		i := r.IntN(len(s))
		hurt(d, "a", s[i], r)
		hurt(d, "b", s[i], r)
		return uint64(i + 1)
	}
}

// refused wants Open to name the record and to have changed nothing.
func (d *disk) refused(seq uint64) error {
	before := copyOf(d.fs)
	j, err := Open(simDir, with(Options{}, d.fs))
	var damaged *DamagedError
	if !errors.As(err, &damaged) {
		if j != nil {
			err = intact(j, d.n)
			j.Close()
		}
		return fmt.Errorf("record %d is damaged in both copies, and open says: %v", seq, err)
	}
	if damaged.Seq != seq {
		return fmt.Errorf("record %d is damaged, and open names %d", seq, damaged.Seq)
	}
	for i := range small.Segments {
		for _, c := range copies {
			if was, _ := before.find(simDir + "/" + c + "/" + segmentName(i)); !was.disk.equal(d.file(c, i).disk) {
				return fmt.Errorf("refused, and changed %s/%s", c, segmentName(i))
			}
		}
	}
	return nil
}

// Damage at random: never other data, nothing lost without a word.
// -damage 10000 is the long form, with a table.
func TestDamageTable(t *testing.T) {
	n, long := *damageTrials, *damageTrials > 0
	if !long {
		n = 100 / thin
	}
	type result struct{ trials, failed int }
	results := make([]result, len(damages))
	t.Run("rows", func(t *testing.T) {
		for i, row := range damages {
			t.Run(strings.ReplaceAll(row.name, " ", "_"), func(t *testing.T) {
				t.Parallel()
				d := newDisk(t, 14)
				s := d.spots(t)
				r := rand.New(rand.NewPCG(8, uint64(i)))
				said := time.Now()
				results[i].trials = max(n/row.part, 10)
				for trial := range results[i].trials {
					d.restore()
					seq := row.do(d, s, r)
					var err error
					if row.want == "refused" {
						err = d.refused(seq)
					} else {
						err = d.healed()
					}
					if err != nil {
						results[i].failed++
						t.Errorf("trial %d: %v", trial, err)
					}
					if long && time.Since(said) > 5*time.Second {
						said = time.Now()
						fmt.Printf("%s: %d of %d\n", row.name, trial+1, results[i].trials)
					}
				}
			})
		}
	})
	if !long {
		return
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\ndamage\ttrials\thealed\trefused by name\twrong data, or lost quietly")
	passed, failed := 0, 0
	for i, row := range damages {
		r := results[i]
		good := r.trials - r.failed
		counts := map[string]int{row.want: good}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", row.name, r.trials, counts["healed"], counts["refused"], r.failed)
		passed, failed = passed+good, failed+r.failed
	}
	w.Flush()
	fmt.Printf("%d passed, %d failed\n", passed, failed)
}
