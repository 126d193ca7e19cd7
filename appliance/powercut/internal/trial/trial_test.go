package trial

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mohr.internal/appliance/journal"
	"mohr.internal/appliance/powercut/internal/disk"
)

// session runs the first story over a journal in a folder and returns the notes.
func session(t *testing.T) (f *fixture, dir string, notes []note) {
	t.Helper()
	dir = t.TempDir()
	f, err := newFixture(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	scratch := filepath.Join(dir, "scratch")
	if err := os.Mkdir(scratch, 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := newCounter(f, scratch, filepath.Join(dir, "journal"), &world{}, func(n note) error {
		notes = append(notes, n)
		return nil
	}, stories[0].ca)
	if err != nil {
		t.Fatal(err)
	}
	if err := prepare(c); err != nil {
		t.Fatal(err)
	}
	notes = append([]note{{What: created}}, notes...)
	if err := stories[0].act(c); err != nil {
		t.Fatal(err)
	}
	if err := c.halt(); err != nil {
		t.Fatal(err)
	}
	c.close()
	return f, dir, notes
}

// Held against a world that knows something else, a sound journal is bad: each
// of these is what a power cut must not do.
func TestExamineSees(t *testing.T) {
	f, dir, notes := session(t)
	all, err := newWorld(notes)
	if err != nil {
		t.Fatal(err)
	}
	n := len(all.records)
	for _, c := range []struct {
		name   string
		change func(w *world)
		want   string // "" for good
		lying  bool
	}{
		{"nothing is wrong", func(*world) {}, "", false},
		{"a record more was acknowledged", func(w *world) {
			w.records, w.hashes = append(w.records, []byte("x")), append(w.hashes, [32]byte{1})
		}, "1 acknowledged records are lost", false},
		{"the same on a lying disk", func(w *world) {
			w.records, w.hashes = append(w.records, []byte("x")), append(w.hashes, [32]byte{1})
		}, "detected", true},
		{"the fleet's log has it", func(w *world) {
			w.records, w.hashes = append(w.records, []byte("x")), append(w.hashes, [32]byte{1})
			w.synced = n + 1
		}, "detected", true},
		{"a record had another hash", func(w *world) { w.hashes[n-3][0] ^= 1 }, "is another", false},
		{"a record had other bytes", func(w *world) { w.records[n-1] = []byte("x") }, "is another", false},
		{"two records fewer", func(w *world) { w.records, w.hashes = w.records[:n-2], w.hashes[:n-2] }, "2 records that nobody", false},
		{"the last one was never written", func(w *world) { w.records, w.hashes = w.records[:n-1], w.hashes[:n-1] }, "nobody wrote", false},
		{"the last one was being written", func(w *world) {
			w.next, w.records, w.hashes = w.records[n-1], w.records[:n-1], w.hashes[:n-1]
		}, "", false},
		{"another receipt was shown", func(w *world) { w.shown = append(w.shown, "KR1:X") }, "a receipt was shown", false},
		{"a PIN more was compared", func(w *world) {
			s := w.sticks[0]
			s.Tries += 2
			w.sticks[0] = s
		}, "tokens have compared", false},
		{"another request was sent", func(w *world) {
			for id := range w.posted {
				w.posted[id] = []byte("x")
			}
		}, "for another request", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := newWorld(notes)
			if err != nil {
				t.Fatal(err)
			}
			c.change(w)
			copied := filepath.Join(t.TempDir(), "journal")
			if err := os.CopyFS(copied, os.DirFS(filepath.Join(dir, "journal"))); err != nil {
				t.Fatal(err)
			}
			k, err := newCounter(f, t.TempDir(), copied, w, func(note) error { return nil }, stories[0].ca)
			if err != nil {
				t.Fatal(err)
			}
			res := examine(k, w, c.lying, false)
			switch {
			case c.want == "" && res.Outcome != Good,
				c.want == "detected" && (res.Outcome != Detected || res.Sync != (w.synced > n)),
				c.want != "" && c.want != "detected" && (res.Outcome != Bad || !strings.Contains(res.Why, c.want)):
				t.Errorf("%+v", res)
			}
		})
	}
}

// A journal that stands at any of its records comes up as state.go says, and the
// citizen who comes back gets one certificate.
func TestEveryPrefix(t *testing.T) {
	f, dir, notes := session(t)
	whole, err := journal.Open(filepath.Join(dir, "journal"), journal.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	var sealed [][]byte
	if err := whole.Replay(1, func(r journal.Record) error { sealed = append(sealed, r.Payload); return nil }); err != nil {
		t.Fatal(err)
	}
	options := journalOptions
	options.ID = whole.ID() // of which the hashes are made, too
	whole.Close()
	deep := 0
	for at := range notes {
		if notes[at].What != acked || notes[at].Seq <= lives {
			continue
		}
		w, err := newWorld(notes[:at+1])
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "journal")
		c, err := newCounter(f, t.TempDir(), dir, w, func(note) error { return nil }, stories[0].ca)
		if err != nil {
			t.Fatal(err)
		}
		j, err := journal.Create(dir, options)
		if err != nil {
			t.Fatal(err)
		}
		for i := range w.records {
			if r, err := j.Append(sealed[i]); err != nil || r.Hash != w.hashes[i] {
				t.Fatalf("record %d: %v", r.Seq, err)
			}
		}
		j.Close()
		res := examine(c, w, false, true)
		if res.Outcome != Good {
			t.Errorf("after %s: %+v", title(w.records[len(w.records)-1]), res)
		}
		if res.Deep {
			deep++
		}
	}
	if deep < 12 {
		t.Errorf("the citizen came back after %d records only", deep)
	}
}

func TestWorldIsStrict(t *testing.T) {
	for name, notes := range map[string][]note{
		"records out of order": {{What: acked, Seq: 2}},
		"a record twice":       {{What: acked, Seq: 1}, {What: acked, Seq: 1}},
		"two requests":         {{What: posted, Text: "a", Payload: []byte{1}}, {What: posted, Text: "a", Payload: []byte{2}}},
	} {
		if _, err := newWorld(notes); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// fakes are recordings of a story that never was: each record is two writes and
// two flushes.
func fakes(t *testing.T) (out []*recording) {
	t.Helper()
	for _, control := range []Control{NoControl, NoControl, NoSync, NoBarrier} {
		d := disk.NewDisk(64 * disk.PageSize)
		d.Record()
		tell := func(n note) {
			b, err := n.encode()
			if err != nil {
				t.Fatal(err)
			}
			d.Note(b)
		}
		tell(note{What: acked, Seq: 1, Payload: []byte("x")})
		tell(note{What: visited})
		for i := range uint64(10) {
			tell(note{What: writing, Payload: []byte("x")})
			for range 2 {
				d.WriteAt(make([]byte, disk.PageSize), int64(i)*disk.PageSize)
				if err := d.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			tell(note{What: acked, Seq: i + 2})
		}
		r := &recording{Control: control, Log: d.Stop()}
		if err := r.decode(); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// A plan has every flush boundary and every call, moments that fit their kind,
// and is the same for the same seed.
func TestPlan(t *testing.T) {
	all := fakes(t)
	points := plan(all, 500, 7)
	if fmt.Sprint(points) != fmt.Sprint(plan(all, 500, 7)) {
		t.Error("another plan from the same seed")
	}
	if fmt.Sprint(points) == fmt.Sprint(plan(all, 500, 8)) {
		t.Error("the same plan from another seed")
	}
	bounds, calls, count := map[int]bool{}, map[int]bool{}, map[row]int{}
	for i, p := range points {
		rec := all[p.Recording]
		before := disk.Note
		if p.Cut.At > 0 {
			before = rec.Log.Events[p.Cut.At-1].Kind
		}
		switch {
		case p.Number != i:
			t.Fatalf("point %d is number %d", i, p.Number)
		case p.Row.isControl() != (rec.Control != NoControl):
			t.Errorf("point %d: row %v in %v", i, p.Row, rec)
		case p.Row >= garbage4 && p.Row <= garbage64 && before != disk.Write:
			t.Errorf("point %d: rubbish, and no write is under way", i)
		case p.Cut.At < rec.first():
			t.Errorf("point %d: before the story", i)
		}
		count[p.Row]++
		if p.Row == boundary {
			bounds[p.Cut.At] = true
		}
		if p.Row == failing {
			calls[p.Fault.At] = true
		}
	}
	for i, e := range all[0].Log.Events {
		if e.Kind == disk.Flush && (!bounds[i] || !bounds[i+1]) {
			t.Errorf("flush at %d is left out", i)
		}
	}
	if len(calls) != 40 || !calls[1] || !calls[40] {
		t.Errorf("%d calls fail", len(calls))
	}
	total := 0
	for r := range rows {
		if count[r] == 0 {
			t.Errorf("no point of %v", r)
		}
		if !r.isControl() {
			total += count[r]
		}
	}
	if total != 500 {
		t.Errorf("%d points", total)
	}
	if n := len(plan(all, 20, 7)); n < 20 || n > 20+2*20 {
		t.Errorf("%d points of 20 and the controls", n)
	}
}

// What the world knew at a moment are the notes before it.
func TestKnown(t *testing.T) {
	r := fakes(t)[0]
	for at := range len(r.Log.Events) + 1 {
		if got, want := len(r.known(at)), len(r.Log.Notes(at)); got != want {
			t.Fatalf("%d notes at %d, want %d", got, at, want)
		}
	}
	if r.first() != 1 {
		t.Errorf("the story begins at %d", r.first())
	}
}

// Kept recordings are the same when they are loaded again.
func TestKeep(t *testing.T) {
	dir := t.TempDir()
	f, err := newFixture(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	all := fakes(t)
	path, err := save(filepath.Join(dir, "out"), 7, f, all)
	if err != nil {
		t.Fatal(err)
	}
	other, err := newFixture(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	again, err := load(path, &site{fixture: other})
	if err != nil || len(again) != len(all) {
		t.Fatalf("%d recordings, %v", len(again), err)
	}
	if !bytes.Equal(other.Receipt, f.Receipt) || other.PKI == f.PKI {
		t.Error("not the fixture that was kept")
	}
	for i := range all {
		if all[i].String() != again[i].String() || fmt.Sprint(all[i].Log.Events) != fmt.Sprint(again[i].Log.Events) {
			t.Errorf("recording %d differs", i)
		}
	}
}
