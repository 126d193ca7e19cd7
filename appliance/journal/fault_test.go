package journal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
)

var tiny = Options{SegmentBytes: minSegmentPages * PageSize, Segments: 3, ID: [8]byte([]byte("testjrnl"))}

// work makes a journal if there is none, opens it and appends up to record
// last. It returns how many records are acknowledged, counting those that
// were there, and the error that stopped it.
func work(fs *simFS, last uint64) (acked uint64, err error) {
	j, err := Open(simDir, with(tiny, fs))
	if errors.Is(err, ErrMissing) {
		j, err = Create(simDir, with(tiny, fs))
	}
	if err != nil {
		return 0, err
	}
	defer j.Close()
	for acked, _ = j.Head(); acked < last; acked++ {
		if _, err := j.Append(payload(acked + 1)); err != nil {
			if _, again := j.Append(payload(acked + 1)); !errors.Is(again, ErrPoisoned) {
				return acked, fmt.Errorf("append after a failed one: %v", again)
			}
			return acked, err
		}
	}
	return acked, nil
}

// check reopens a journal of which acked records were acknowledged: they must
// be there, at most one more, in both copies on disk, and it must go on.
func check(fs *simFS, acked uint64) error {
	j, err := Open(simDir, with(tiny, fs))
	if errors.Is(err, ErrMissing) && acked == 0 {
		if j, err = Create(simDir, with(tiny, fs)); err != nil {
			return fmt.Errorf("create again: %w", err)
		}
	}
	if err != nil {
		return err
	}
	defer j.Close()
	seq, _ := j.Head()
	if seq < acked || seq > acked+1 {
		return fmt.Errorf("%d records, %d were acknowledged", seq, acked)
	}
	if err := intact(j, seq); err != nil {
		return err
	}
	if err := fs.same(); err != nil {
		return err
	}
	if _, err := j.Append(payload(seq + 1)); err != nil {
		return err
	}
	if err := intact(j, seq+1); err != nil {
		return err
	}
	return fs.same()
}

// Records 10 to 14 cross from the first segment to the second with the
// largest record there is.
const lastRecord = 14

// prepare is a disk with a journal of n records, and damage for Open to heal:
// "holes" in both copies, or the "folder" of one gone.
func prepare(t testing.TB, n uint64, damage string) *simFS {
	t.Helper()
	fs := newSim()
	if _, err := work(fs, n); err != nil {
		t.Fatal(err)
	}
	remove := func(folder, name string) {
		d, err := fs.find(folder)
		if err != nil {
			t.Fatal(err)
		}
		delete(d.kids, name)
		delete(d.safe, name)
	}
	switch damage {
	case "holes":
		f, err := fs.find(simDir + "/a/0000.seg")
		if err != nil {
			t.Fatal(err)
		}
		f.disk = f.disk.with(PageSize, zeros[:2*PageSize])
		remove(simDir+"/b", "0001.seg")
	case "folder":
		remove(simDir, "a")
	}
	return fs.reboot(cutModes[0], nil)
}

func copyOf(fs *simFS) *simFS { return &simFS{root: fs.root.after(cutModes[1], nil)} }

var starts = []struct {
	name   string
	n      uint64
	damage string
	last   uint64
}{
	{"create", 0, "", 2},
	{"append", 9, "", lastRecord},
	{"heal", 9, "holes", 11},
	{"heal a folder", 9, "folder", 10},
}

func startAt(t testing.TB, n uint64, damage string) *simFS {
	if n == 0 {
		return newSim()
	}
	return prepare(t, n, damage)
}

// Every system call fails once, in every way.
func TestEveryCallFails(t *testing.T) {
	t.Parallel()
	for _, start := range starts {
		t.Run(start.name, func(t *testing.T) {
			base := startAt(t, start.n, start.damage)
			good := copyOf(base)
			if _, err := work(good, start.last); err != nil {
				t.Fatal(err)
			}
			for n := 1; n <= good.calls; n += thin {
				for _, fault := range faults {
					if fault.short && !strings.HasPrefix(good.trace[n-1], "pwrite") {
						continue
					}
					fs := copyOf(base)
					fs.failAt, fs.fault = n, fault
					acked, err := work(fs, start.last)
					what := fmt.Sprintf("call %d of %d (%s) %s, answer %v", n, good.calls, fs.trace[n-1], fault.name, err)
					if err != nil && fault.err == syscall.ENOSPC && !errors.Is(err, ErrFull) {
						t.Errorf("%s: not named full", what)
					}
					if fault.short && err == nil {
						t.Errorf("%s: acknowledged", what)
					}
					if start.n > 0 && errors.Is(err, ErrExists) {
						t.Errorf("%s: a journal was called missing", what)
					}
					acked = max(acked, start.n)
					// First the process alone starts again, with the page
					// cache as it is; then the power is cut.
					if err := check(&simFS{root: fs.root}, acked); err != nil {
						t.Errorf("%s: reopened: %v", what, err)
						continue
					}
					acked++
					j := &simFS{root: fs.root}
					if o, err := Open(simDir, with(tiny, j)); err != nil {
						t.Errorf("%s: %v", what, err)
					} else if seq, _ := o.Head(); seq > acked {
						acked = seq
					}
					if err := check(fs.reboot(cutModes[0], nil), acked); err != nil {
						t.Errorf("%s: after a power cut: %v", what, err)
					}
				}
			}
			t.Logf("%d calls", good.calls)
		})
	}
}

// cuts cuts the power at every call in every mode, and counts the losses.
func cuts(t *testing.T, rounds int) (points, bad int, first error) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, start := range starts {
		base := startAt(t, start.n, start.damage)
		good := copyOf(base)
		work(good, start.last)
		for n := 1; n <= good.calls; n += thin {
			what, _, _ := strings.Cut(good.trace[n-1], " ")
			if slices.Contains([]string{"lock", "names", "open", "size", "drop", "pread"}, what) {
				continue // nothing has changed since the call before
			}
			for _, m := range cutModes {
				if m.shorn > 0 && what != "pwrite" {
					continue
				}
				for range rounds {
					fs := copyOf(base)
					fs.cutAt = n
					acked, err := work(fs, start.last)
					if err == nil {
						t.Fatalf("call %d: no power cut", n)
					}
					points++
					acked = max(acked, start.n)
					if err := check(fs.reboot(m, r), acked); err != nil {
						bad++
						if first == nil {
							first = fmt.Errorf("%s: power cut at call %d (%s), %s survives: %w", start.name, n, fs.trace[n-1], m.name, err)
						}
					}
				}
			}
		}
	}
	return points, bad, first
}

func TestPowerCutAtEveryCall(t *testing.T) {
	t.Parallel()
	points, bad, first := cuts(t, 2)
	if bad > 0 {
		t.Errorf("%d of %d points bad, first: %v", bad, points, first)
	}
	t.Logf("%d points", points)
}

// Negative control: the same check finds a journal that does not sync, nearly
// always: one page may reach the disk by luck, forty do not.
func TestPowerCutFindsMissingSync(t *testing.T) {
	const n = 12 // ends with the two largest records
	fs := prepare(t, 9, "")
	fs.noSync = true
	if acked, err := work(fs, n); err != nil || acked != n {
		t.Fatalf("acknowledged %d: %v", acked, err)
	}
	r := rand.New(rand.NewPCG(n, 3))
	found := 0
	for i := range 60 {
		if check(fs.reboot([]cutMode{cutModes[0], cutModes[2], cutModes[3]}[i%3], r), n) != nil {
			found++
		}
	}
	if found < 57 {
		t.Errorf("%d of 60 losses found", found)
	}
	t.Logf("%d of 60 losses found", found)
}

// Negative control: after a failed sync the cache holds what the disk does
// not; a journal that believes the cache is found out.
func TestFailedSyncFindsCache(t *testing.T) {
	for _, noDrop := range []bool{false, true} {
		base := prepare(t, 9, "")
		good := copyOf(base)
		work(good, 10)
		fs := copyOf(base)
		// The call after the first write is its sync.
		fs.failAt = slices.IndexFunc(good.trace, func(s string) bool { return strings.HasPrefix(s, "pwrite") }) + 2
		if acked, err := work(fs, 10); acked != 9 || !errors.Is(err, ErrPoisoned) {
			t.Fatalf("acknowledged %d: %v", acked, err)
		}
		again := &simFS{root: fs.root, noDrop: noDrop}
		if err := check(again, 9); (err != nil) != noDrop {
			t.Errorf("cache believed %v: %v", noDrop, err)
		}
	}
}

// The order of system calls that the package comment promises.
func TestOrderOfCalls(t *testing.T) {
	fs := prepare(t, 9, "")
	j, err := Open(simDir, with(tiny, fs))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	fs.trace = nil
	if _, err := j.Append(payload(10)); err != nil {
		t.Fatal(err)
	}
	want := []string{"pwrite /a/0000.seg", "fdatasync /a/0000.seg", "pwrite /b/0000.seg", "fdatasync /b/0000.seg"}
	if !slices.Equal(fs.trace, want) {
		t.Errorf("append: %q, want %q", fs.trace, want)
	}
}

// Every call fails once while an open journal mends what copy a has lost: the
// records are there, or an error is; never other bytes.
func TestEveryCallOfMendFails(t *testing.T) {
	t.Parallel()
	base := prepare(t, 9, "")
	calls := 1
	for n := 0; n <= calls; n++ { // 0: no fault
		for _, fault := range faults {
			fs := copyOf(base)
			j, err := Open(simDir, with(tiny, fs))
			if err != nil {
				t.Fatal(err)
			}
			(&disk{fs: fs}).flip("a", 0, 3*PageSize+200, 1)
			fs.calls, fs.trace, fs.failAt, fs.fault = 0, nil, n, fault
			err = intact(j, 9)
			j.Close()
			switch {
			case n == 0 && err != nil:
				t.Fatal(err)
			case n == 0:
				calls = fs.calls
			case err != nil && strings.Contains(err.Error(), "other bytes"):
				t.Errorf("call %d %s: %v", n, fault.name, err)
			}
			if err := check(&simFS{root: fs.root}, 9); err != nil {
				t.Errorf("call %d (%s) %s: reopened: %v", n, fs.trace[max(n, 1)-1], fault.name, err)
			}
		}
	}
	t.Logf("%d calls", calls)
}
