package disk

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// record writes to a small disk, as told by letters: w a page that nobody else
// writes, r a page in the middle again, f a flush, n a note.
func record(story string) *Log {
	d := NewDisk(64 * PageSize)
	d.WriteAt(fill('.', 64*PageSize), 0)
	d.Record()
	for i, c := range story {
		switch c {
		case 'w':
			d.WriteAt(fill(byte('A'+i), PageSize), int64(i)*PageSize)
		case 'r':
			d.WriteAt(fill(byte('A'+i), PageSize), 40*PageSize)
		case 'f':
			d.Flush()
		case 'n':
			d.Note([]byte{byte(i)})
		}
	}
	return d.Stop()
}

func fill(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

// look says which pages and sectors of an image are not as before.
func look(m *Image) (pages map[int64]byte, mixed int) {
	pages = map[int64]byte{}
	for i := range m.Size() / PageSize {
		p := m.page(i)
		if !bytes.Equal(p[1:], p[:PageSize-1]) {
			mixed++
			continue
		}
		if p[0] != '.' {
			pages[i] = p[0]
		}
	}
	return pages, mixed
}

// Whatever the cut, what was flushed is there, and nothing else than what was
// written is.
func TestFlushedSurvives(t *testing.T) {
	const story = "wwfwnrwwfrwnwwfww"
	l := record(story)
	for _, mode := range []Mode{Honest, Torn, Reordered} {
		for at := range len(l.Events) + 1 {
			for seed := range uint64(20) {
				m, did := l.Rebuild(Cut{at, mode, seed})
				pages, _ := look(m)
				last := bytes.LastIndexByte([]byte(story[:at]), 'f')
				for i, c := range story[:max(last, 0)] {
					if c == 'w' && pages[int64(i)] != byte('A'+i) {
						t.Fatalf("%v at %d, seed %d (%s): page %d is lost", mode, at, seed, did, i)
					}
				}
				for i, b := range pages {
					if i != 40 && (i >= int64(at) || story[i] != 'w' || b != byte('A'+i)) {
						t.Fatalf("%v at %d, seed %d (%s): page %d is %q", mode, at, seed, did, i, b)
					}
				}
			}
		}
	}
}

// Each mode does, at one time or another, what it is named after.
func TestModesDiffer(t *testing.T) {
	l := record("wwwwfwwwwwwwwrrfwwwwwwwwwrwr")
	at := len(l.Events)
	seen := map[string]int{}
	for seed := range uint64(150) {
		for _, mode := range Modes() {
			m, _ := l.Rebuild(Cut{at, mode, seed})
			pages, mixed := look(m)
			note := func(what string, ok bool) {
				if ok {
					seen[mode.String()+": "+what]++
				}
			}
			note("torn", mixed > 0)
			note("gap", pages[16] == 0 && pages[20] != 0)
			note("none", len(pages) == 13 && mixed == 0)
			note("older last", pages[40] == 'A'+13 || pages[40] == 'A'+25)
			note("flushed lost", pages[2] == 0)
		}
	}
	for what, want := range map[string]bool{
		"honest: torn": true, "honest: gap": true, "honest: none": true, "honest: flushed lost": false,
		"torn sectors: torn": true, "torn sectors: flushed lost": false,
		"reordered: gap": true, "reordered: torn": true, "reordered: older last": true, "reordered: flushed lost": false,
		"garbage 4 KiB: torn": true, "garbage 4 KiB: flushed lost": false, "garbage 64 KiB: flushed lost": false,
		"forgotten flushes: flushed lost": true,
	} {
		if got := seen[what] > 0; got != want {
			t.Errorf("%s: seen %d times", what, seen[what])
		}
	}
}

// Rubbish is as large as it is said to be, aligned, and round a write in flight.
func TestGarbage(t *testing.T) {
	d := NewDisk(256 * PageSize)
	d.WriteAt(fill('.', 256*PageSize), 0)
	d.Record()
	d.WriteAt(fill('x', PageSize), 100*PageSize)
	l := d.Stop()
	for _, mode := range []Mode{Garbage4, Garbage16, Garbage64} {
		for seed := range uint64(50) {
			m, did := l.Rebuild(Cut{1, mode, seed})
			n := mode.region() / PageSize
			from := 100 / n * n
			for i := range int64(256) {
				inside := i >= from && i < from+n
				if p := m.page(i); inside == bytes.Equal(p, fill('.', PageSize)) || inside && bytes.Equal(p, fill('x', PageSize)) {
					t.Fatalf("%v (%s): page %d", mode, did, i)
				}
			}
		}
	}
	for _, mode := range []Mode{Garbage16, Garbage64} {
		if m, _ := record("wf").Rebuild(Cut{2, mode, 1}); !bytes.Equal(m.page(0), fill('A', PageSize)) || !bytes.Equal(m.page(1), fill('.', PageSize)) {
			t.Errorf("%v: rubbish with no write in flight", mode)
		}
	}
}

// The same cut gives the same disk; the log is as it was afterwards.
func TestRepeatable(t *testing.T) {
	l := record("wwrfwrwnwfwwrw")
	before := fmt.Sprint(l.Events, l.Base.pages)
	for _, mode := range Modes() {
		a, didA := l.Rebuild(Cut{12, mode, 7})
		b, didB := l.Rebuild(Cut{12, mode, 7})
		if didA != didB || !slices.EqualFunc(a.pages, b.pages, bytes.Equal) {
			t.Errorf("%v: %s and %s", mode, didA, didB)
		}
	}
	if fmt.Sprint(l.Events, l.Base.pages) != before {
		t.Error("the log has changed")
	}
}

// Notes come in order, and only those before the cut.
func TestNotes(t *testing.T) {
	l := record("nwfnwn")
	if n := l.Notes(5); len(n) != 2 || n[0][0] != 0 || n[1][0] != 3 {
		t.Errorf("%v", n)
	}
	if l.Count(Note) != 3 || l.Count(Flush) != 1 || l.Count(Write) != 2 {
		t.Error("count")
	}
}

// An image reads as a plain array of bytes does, and clones go their own way.
func TestImage(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	m, plain := NewImage(10*PageSize), make([]byte, 10*PageSize)
	var old *Image
	var oldPlain []byte
	for i := range 500 {
		off := r.IntN(len(plain))
		b := fill(byte(r.IntN(256)), r.IntN(min(3*PageSize, len(plain)-off)+1))
		if _, err := m.WriteAt(b, int64(off)); err != nil {
			t.Fatal(err)
		}
		copy(plain[off:], b)
		if i == 250 {
			old, oldPlain = m.Clone(), bytes.Clone(plain)
		}
	}
	for got, want := range map[*Image][]byte{m: plain, old: oldPlain} {
		b := make([]byte, len(want))
		if n, err := got.ReadAt(b, 0); n != len(b) || err != nil || !bytes.Equal(b, want) {
			t.Errorf("read %d, %v", n, err)
		}
	}
	if n, err := m.ReadAt(make([]byte, 10), m.Size()-4); n != 4 || err == nil {
		t.Errorf("read %d past the end, %v", n, err)
	}
	if _, err := m.WriteAt(make([]byte, 10), m.Size()-4); err == nil {
		t.Error("written past the end")
	}
}

// Nothing is noted before Record and after Stop, and Load ends a recording.
func TestRecording(t *testing.T) {
	d := NewDisk(4 * PageSize)
	d.Flush()
	d.Record()
	b := fill('x', PageSize)
	d.WriteAt(b, 0)
	b[0] = 'y' // the log keeps its own
	l := d.Stop()
	d.WriteAt(b, PageSize)
	if len(l.Events) != 1 || l.Events[0].Data[0] != 'x' || l.Base.page(0)[0] != 0 {
		t.Errorf("%d events", len(l.Events))
	}
	d.Record()
	d.Load(NewImage(4 * PageSize))
	if d.Stop() != nil {
		t.Error("still recording")
	}
}

// A fault comes when it was told to, does what was asked or not, and stays or
// goes.
func TestFault(t *testing.T) {
	for _, c := range []struct {
		f     Fault
		want  string // e for an error, at each call
		after string // the pages that are there
	}{
		{Fault{}, "....", "abcd"},
		{Fault{At: 2}, ".e..", "a.cd"},
		{Fault{At: 2, Anyway: true}, ".e..", "abcd"},
		{Fault{At: 3, Forever: true}, "..ee", "ab.."},
		{Fault{At: 3, Forever: true, Anyway: true}, "..ee", "abc."},
	} {
		d := NewDisk(4 * PageSize)
		d.WriteAt(fill('.', 4*PageSize), 0)
		d.Record()
		d.Break(c.f)
		var got, after []byte
		for i := range 4 {
			_, err := d.WriteAt(fill(byte('a'+i), PageSize), int64(i)*PageSize)
			got = append(got, map[bool]byte{true: 'e', false: '.'}[err != nil])
		}
		d.Break(Fault{})
		if err := d.Flush(); err != nil {
			t.Error(err)
		}
		m, _ := d.Stop().Rebuild(Cut{At: bytes.Count(got, []byte(".")) + 1})
		if c.f.Anyway {
			m = d.Image()
		}
		for i := range int64(4) {
			after = append(after, m.page(i)[0])
		}
		if string(got) != c.want || string(after) != c.after {
			t.Errorf("%+v: calls %s, then %s", c.f, got, after)
		}
	}
}
