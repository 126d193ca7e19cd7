package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"mohr.internal/appliance/journal/bounds"
)

// payload is what the tests append as record seq: of many sizes, at both
// sides of the page boundaries, and known again from seq alone.
func payload(seq uint64) []byte {
	if b, ok := payloads.Load(seq); ok {
		return b.([]byte)
	}
	b := makePayload(seq)
	payloads.Store(seq, b)
	return b
}

var payloads sync.Map

func makePayload(seq uint64) []byte {
	sizes := []int{0, 1, 100, PageSize - Overhead - 1, PageSize - Overhead, PageSize - Overhead + 1,
		2*PageSize - Overhead, 3000, 10000, 2*PageSize - Overhead + 1, 500, 40000, MaxPayload, 7}
	b := make([]byte, sizes[seq%uint64(len(sizes))])
	var block [32]byte
	for i := range b {
		if i%32 == 0 {
			block = sha256.Sum256(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, seq), uint64(i)))
		}
		b[i] = block[i%32]
	}
	return b
}

var small = Options{SegmentBytes: minSegmentPages * PageSize, Segments: 4, ID: [8]byte([]byte("testjrnl"))}

func with(o Options, f fsys) Options {
	o.fs = f
	return o
}

func create(t testing.TB, opts Options) (*Journal, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "journal")
	j, err := Create(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j, dir
}

func fill(t testing.TB, j *Journal, n int) {
	t.Helper()
	seq, _ := j.Head()
	for i := range uint64(n) {
		if r, err := j.Append(payload(seq + i + 1)); err != nil || r.Seq != seq+i+1 {
			t.Fatalf("append %d: %v", seq+i+1, err)
		}
	}
}

func reopen(t testing.TB, dir string, opts Options) *Journal {
	t.Helper()
	j, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

// intact checks every record from 1 to the head, and the head itself.
func intact(j *Journal, want uint64) error {
	seq, head := j.Head()
	if seq != want {
		return fmt.Errorf("head is %d, want %d", seq, want)
	}
	next, prev := uint64(1), [32]byte{}
	err := j.Replay(0, func(r Record) error {
		switch {
		case r.Seq != next:
			return fmt.Errorf("record %d, want %d", r.Seq, next)
		case r.Prev != prev:
			return fmt.Errorf("record %d: previous hash", r.Seq)
		case !bytes.Equal(r.Payload, payload(r.Seq)):
			return fmt.Errorf("record %d: other bytes", r.Seq)
		}
		next, prev = next+1, r.Hash
		return nil
	})
	if err != nil {
		return err
	}
	if next != want+1 || prev != head {
		return fmt.Errorf("replay ended at %d, want %d", next-1, want)
	}
	return j.Verify(seq, head)
}

func same(t *testing.T, dir string) {
	t.Helper()
	for i := range small.Segments {
		a, errA := os.ReadFile(filepath.Join(dir, "a", segmentName(i)))
		b, errB := os.ReadFile(filepath.Join(dir, "b", segmentName(i)))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Fatalf("segment %d: copies differ (%v, %v)", i, errA, errB)
		}
	}
}

func TestAppendReopen(t *testing.T) {
	j, dir := create(t, small)
	fill(t, j, 20)
	if err := intact(j, 20); err != nil {
		t.Fatal(err)
	}
	same(t, dir)
	used, free := j.Used(), j.Free()
	j.Close()
	j = reopen(t, dir, Options{})
	if err := intact(j, 20); err != nil {
		t.Fatal(err)
	}
	if len(j.Healed()) != 0 {
		t.Errorf("healed %v", j.Healed())
	}
	if j.Used() != used || j.Free() != free || used+free != 4*(minSegmentPages-1)*PageSize {
		t.Errorf("used %d free %d, then %d and %d", used, free, j.Used(), j.Free())
	}
	fill(t, j, 1)
	if err := intact(j, 21); err != nil {
		t.Fatal(err)
	}
}

func TestFull(t *testing.T) {
	j, dir := create(t, small)
	n := 0
	if j.Fill() != 0 {
		t.Errorf("fill of an empty journal: %v", j.Fill())
	}
	for {
		_, err := j.Append(make([]byte, 3*PageSize-Overhead))
		if errors.Is(err, ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if want := 4 * ((minSegmentPages - 1) / 3); n != want {
		t.Errorf("%d records, want %d", n, want)
	}
	// What is left still takes a smaller record: full is not poisoned.
	if _, err := j.Append(make([]byte, PageSize-Overhead)); err != nil {
		t.Error(err)
	}
	if j.Free() != 0 || j.Fill() != 1 {
		t.Errorf("%d bytes free, fill %v", j.Free(), j.Fill())
	}
	if _, err := j.Append(nil); !errors.Is(err, ErrFull) {
		t.Errorf("append to a full journal: %v", err)
	}
	j.Close()
	j = reopen(t, dir, Options{})
	if seq, _ := j.Head(); seq != uint64(n+1) || j.Free() != 0 {
		t.Errorf("head %d, free %d", seq, j.Free())
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	os.WriteFile(file, nil, 0o600)
	full := filepath.Join(dir, "full")
	os.Mkdir(full, 0o700)
	os.WriteFile(filepath.Join(full, "x"), nil, 0o600)
	empty := filepath.Join(dir, "empty")
	os.Mkdir(empty, 0o700)
	j, there := create(t, small)
	j2, closed := create(t, small)
	j2.Close()
	opened := func(dir string, opts Options) error { _, err := Open(dir, opts); return err }
	created := func(dir string, opts Options) error { _, err := Create(dir, opts); return err }
	appended := func(j *Journal, n int) error { _, err := j.Append(make([]byte, n)); return err }
	ro := reopen(t, closed, Options{ReadOnly: true})
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"open nothing", opened(filepath.Join(dir, "none"), Options{}), ErrMissing},
		{"open an empty folder", opened(empty, Options{}), ErrMissing},
		{"open a file", opened(file, Options{}), ErrMissing},
		{"open nothing read-only", opened(filepath.Join(dir, "none"), Options{ReadOnly: true}), ErrMissing},
		{"open twice", opened(there, Options{}), ErrLocked},
		{"open beside the owner", opened(there, Options{ReadOnly: true}), nil},
		{"create on a journal", created(there, small), ErrExists},
		{"create in a full folder", created(full, small), ErrExists},
		{"create without parent", created(filepath.Join(dir, "no", "ne"), small), ErrMissing},
		{"create read-only", created(filepath.Join(dir, "x"), Options{ReadOnly: true}), ErrReadOnly},
		{"largest payload", appended(j, MaxPayload), nil},
		{"too large a payload", appended(j, MaxPayload+1), ErrTooLarge},
		{"append after too large", appended(j, 1), nil},
		{"append after close", appended(j2, 1), ErrClosed},
		{"append read-only", appended(ro, 1), ErrReadOnly},
		{"checkpoint ahead", j.Verify(9, [32]byte{}), ErrDiverged},
		{"other checkpoint", j.Verify(1, [32]byte{1}), ErrDiverged},
		{"checkpoint of nothing", j.Verify(0, [32]byte{}), nil},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.err, c.want)
		}
	}
	if _, err := Create(empty, small); err != nil {
		t.Errorf("create in an empty folder: %v", err)
	}
	if _, err := Create(filepath.Join(dir, "slash")+"/", small); err != nil {
		t.Errorf("create with a slash behind: %v", err)
	}
	for _, o := range []Options{{SegmentBytes: 100}, {SegmentBytes: PageSize}, {SegmentBytes: -PageSize}, {SegmentBytes: 1 << 40}, {Segments: -1}, {Segments: bounds.MaxSegments + 1}} {
		if _, err := Create(filepath.Join(dir, "x"), o); err == nil {
			t.Errorf("created with %+v", o)
		}
	}
}

// A folder on a file system that is read-only, and one that is not ours.
func TestReadOnlyFolder(t *testing.T) {
	j, dir := create(t, small)
	fill(t, j, 3)
	j.Close()
	fs := &readOnlyFS{}
	if _, err := Open(dir, with(small, fs)); !errors.Is(err, ErrReadOnly) {
		t.Errorf("open: %v", err)
	}
	if _, err := Create(filepath.Join(t.TempDir(), "j"), with(small, fs)); !errors.Is(err, ErrReadOnly) {
		t.Errorf("create: %v", err)
	}
	ro := reopen(t, dir, with(Options{ReadOnly: true}, fs))
	if err := intact(ro, 3); err != nil {
		t.Error(err)
	}
}

// An auditor reads beside the owner who writes, and takes no harm from it.
func TestReadOnlyBesideOwner(t *testing.T) {
	j, dir := create(t, small)
	done := make(chan error)
	go func() {
		for seq := range uint64(24) {
			if _, err := j.Append(payload(seq + 1)); err != nil {
				done <- err
				return
			}
		}
		close(done)
	}()
	for n := 0; ; n++ {
		ro, err := Open(dir, Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		seq, _ := ro.Head()
		if err := intact(ro, seq); err != nil {
			t.Fatal(err)
		}
		ro.Close()
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			if err := intact(j, 24); err != nil {
				t.Fatal(err)
			}
			t.Logf("opened %d times", n)
			return
		default:
		}
	}
}

func TestConcurrentAppends(t *testing.T) {
	j, _ := create(t, small)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				if _, err := j.Append([]byte("x")); err != nil {
					t.Error(err)
				}
				j.Free()
				j.Replay(0, func(Record) error { return nil })
			}
		})
	}
	wg.Wait()
	if seq, _ := j.Head(); seq != 40 {
		t.Errorf("%d records", seq)
	}
}

func TestRead(t *testing.T) {
	j, _ := create(t, small)
	fill(t, j, 3)
	if r, err := j.Read(3); err != nil || !bytes.Equal(r.Payload, payload(3)) {
		t.Error(err)
	}
	for _, seq := range []uint64{0, 4} {
		if _, err := j.Read(seq); err == nil {
			t.Errorf("record %d read", seq)
		}
	}
	stop := errors.New("stop")
	if err := j.Replay(2, func(r Record) error {
		if r.Seq != 2 {
			t.Errorf("replay began at %d", r.Seq)
		}
		return stop
	}); err != stop {
		t.Error(err)
	}
	if _, err := j.Append(nil); err != nil { // an empty record is a record
		t.Error(err)
	}
}
