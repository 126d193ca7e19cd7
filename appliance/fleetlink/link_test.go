package fleetlink

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mohr.internal/appliance/fleet/entry"
)

// book is a log under a test's control.
type book struct {
	mu      sync.Mutex
	head    entry.Head
	cleared *entry.Head
	changed chan struct{}
	heard   []string
}

func newBook() *book {
	return &book{head: entry.Head{Journal: [8]byte{1}, Seq: 3, Hash: [32]byte{3}}, changed: make(chan struct{})}
}

func (b *book) Head() (entry.Head, *entry.Head) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.head, b.cleared
}

func (b *book) Hash(seq uint64) (entry.Head, error) {
	if seq > 3 {
		return entry.Head{}, errors.New("no such record")
	}
	return entry.Head{Journal: [8]byte{1}, Seq: seq, Hash: [32]byte{byte(seq)}}, nil
}

func (b *book) Record(seq uint64, after *entry.Head) (Record, error) {
	switch {
	case seq > 3:
		return Record{}, errors.New("no such record")
	case after != nil:
		return Record{Entry: []byte("after " + after.String())}, nil
	case seq == 2:
		return Record{Entry: []byte("entry"), Key: entry.KeyID{7}, Pickup: []byte("pickup")}, nil
	}
	return Record{Entry: make([]byte, entry.MaxEntry)}, nil
}

func (b *book) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

func (b *book) note(s string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard = append(b.heard, s)
}

func (b *book) said() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.heard, ", ")
}

func (b *book) Acknowledged(h entry.Head) { b.note("acknowledged " + h.String()) }
func (b *book) Forked(ours entry.Head, last []byte) {
	b.note("forked " + ours.String() + " " + string(last))
}
func (b *book) Trouble(why string) { b.note("trouble " + why) }

func (b *book) grow() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.head.Seq++
	close(b.changed)
	b.changed = make(chan struct{})
}

func serve(t *testing.T, b *book) (*Server, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(b, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(ctx, l)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return s, path
}

func dial(t *testing.T, path string, lookup Lookup) (c *Client, stop func()) {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c = NewClient(conn)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx, lookup)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return c, stop
}

func nothing(context.Context, entry.KeyID) ([]byte, error) { return nil, nil }

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s did not come", what)
}

func TestQuestions(t *testing.T) {
	b := newBook()
	_, path := serve(t, b)
	c, _ := dial(t, path, nothing)
	ctx := t.Context()
	if h, cleared, err := c.Head(ctx); h != b.head || cleared != nil || err != nil {
		t.Errorf("head %v, %v, %v", h, cleared, err)
	}
	other := entry.Head{Journal: [8]byte{2}, Seq: 9, Hash: [32]byte{9}}
	b.mu.Lock()
	b.cleared = &other
	b.mu.Unlock()
	if _, cleared, err := c.Head(ctx); err != nil || cleared == nil || *cleared != other {
		t.Errorf("cleared %v, %v", cleared, err)
	}
	if h, err := c.Hash(ctx, 2); err != nil || h.Hash != [32]byte{2} {
		t.Errorf("hash %v, %v", h, err)
	}
	if r, err := c.Record(ctx, 2, nil); err != nil || string(r.Entry) != "entry" || string(r.Pickup) != "pickup" || r.Key != (entry.KeyID{7}) {
		t.Errorf("record %+v, %v", r, err)
	}
	if r, err := c.Record(ctx, 1, &other); err != nil || string(r.Entry) != "after "+other.String() || r.Pickup != nil {
		t.Errorf("record %+v, %v", r, err)
	}
	if r, err := c.Record(ctx, 3, nil); err != nil || len(r.Entry) != entry.MaxEntry {
		t.Errorf("largest record: %d bytes, %v", len(r.Entry), err)
	}
	var refused *RefusedError
	if _, err := c.Record(ctx, 4, nil); !errors.As(err, &refused) || refused.Why != "no such record" {
		t.Errorf("%v", err)
	}
	if _, err := c.Hash(ctx, 4); !errors.As(err, &refused) {
		t.Errorf("%v", err)
	}
	changed := c.Changed()
	b.grow()
	select {
	case <-changed:
	case <-time.After(time.Minute):
		t.Error("not told of growth")
	}
	c.Acknowledged(b.head)
	c.Forked(b.head, []byte("last"))
	c.Trouble("no route")
	c.Trouble("")
	want := "acknowledged " + b.head.String() + ", forked " + b.head.String() + " last, trouble no route, trouble "
	eventually(t, want, func() bool { return b.said() == want })
}

func TestLookup(t *testing.T) {
	s, path := serve(t, newBook())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := s.Lookup(ctx, entry.KeyID{1}); !errors.Is(err, ErrOffline) {
		t.Errorf("before syncd came: %v", err)
	}
	hang := make(chan struct{})
	c, stop := dial(t, path, func(ctx context.Context, key entry.KeyID) ([]byte, error) {
		switch key[0] {
		case 1:
			return []byte("pickup"), nil
		case 2:
			return nil, nil
		case 3:
			return nil, errors.New("no route")
		}
		close(hang)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	if _, _, err := c.Head(ctx); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Lookup(ctx, entry.KeyID{1}); string(b) != "pickup" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := s.Lookup(ctx, entry.KeyID{2}); b != nil || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	var refused *RefusedError
	if _, err := s.Lookup(ctx, entry.KeyID{3}); !errors.As(err, &refused) {
		t.Errorf("%v", err)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := s.Lookup(short, entry.KeyID{4}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	<-hang
	stop()
	eventually(t, "the end of the connection", func() bool {
		_, err := s.Lookup(ctx, entry.KeyID{1})
		return errors.Is(err, ErrOffline)
	})
	c, _ = dial(t, path, nothing)
	if _, _, err := c.Head(ctx); err != nil {
		t.Errorf("a second syncd: %v", err)
	}
	if _, err := s.Lookup(ctx, entry.KeyID{1}); err != nil {
		t.Errorf("through the second: %v", err)
	}
}

func frame(t testing.TB, m message) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var (
	okHead  = &head{make([]byte, 8), 1, make([]byte, 32)}
	badHead = &head{make([]byte, 7), 1, make([]byte, 32)}
)

// Every kind has its fields and no others.
func TestShapes(t *testing.T) {
	for name, tt := range map[string]struct {
		m  message
		ok bool
	}{
		"head":                  {message{Kind: kindHead, ID: 1}, true},
		"head without number":   {message{Kind: kindHead}, false},
		"head answered":         {message{Kind: kindHead, Answer: true, ID: 1, Head: okHead}, true},
		"answer without head":   {message{Kind: kindHead, Answer: true, ID: 1}, false},
		"short journal":         {message{Kind: kindHead, Answer: true, ID: 1, Head: badHead}, false},
		"record 0":              {message{Kind: kindRecord, ID: 1}, false},
		"record":                {message{Kind: kindRecord, ID: 1, Seq: 1}, true},
		"record with a why":     {message{Kind: kindRecord, ID: 1, Seq: 1, Why: "x"}, false},
		"record with an entry":  {message{Kind: kindRecord, ID: 1, Seq: 1, Entry: []byte{1}}, false},
		"empty record answered": {message{Kind: kindRecord, Answer: true, ID: 1}, false},
		"entry too large":       {message{Kind: kindRecord, Answer: true, ID: 1, Entry: make([]byte, entry.MaxEntry+1)}, false},
		"forked":                {message{Kind: kindForked, Head: okHead, Entry: []byte{1}}, true},
		"forked, only said":     {message{Kind: kindForked, Head: okHead, Theirs: okHead}, false},
		"forked by nobody":      {message{Kind: kindForked, Head: okHead}, false},
		"trouble over":          {message{Kind: kindTrouble}, true},
		"trouble without end":   {message{Kind: kindTrouble, Why: strings.Repeat("x", maxText+1)}, false},
		"lookup":                {message{Kind: kindLookup, ID: 1, Key: make([]byte, 32)}, true},
		"lookup of 31":          {message{Kind: kindLookup, ID: 1, Key: make([]byte, 31)}, false},
		"refused without why":   {message{Kind: kindRefused, Answer: true, ID: 1}, false},
		"refused as a question": {message{Kind: kindRefused, ID: 1, Why: "x"}, false},
		"changed as an answer":  {message{Kind: kindChanged, Answer: true}, false},
		"unknown":               {message{Kind: "shell"}, false},
	} {
		_, err := read(bytes.NewReader(frame(t, tt.m)))
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := write(io.Discard, message{Kind: kindRecord, Entry: make([]byte, MaxMessage)}); err == nil {
		t.Error("too large: written")
	}
}

// Nonsense ends the connection and nothing else.
func TestNonsense(t *testing.T) {
	b := newBook()
	_, path := serve(t, b)
	for name, bad := range map[string][]byte{
		"huge": binary.BigEndian.AppendUint32(nil, 1<<31), "empty": {0, 0, 0, 0}, "null": append([]byte{0, 0, 0, 4}, "null"...),
		"a look-up from syncd": frame(t, message{Kind: kindLookup, ID: 1, Key: make([]byte, 32)}),
		"unknown key":          append([]byte{0, 0, 0, 29}, `{"kind":"changed","shell":1}  `[:29]...),
	} {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(bad)
		conn.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, context.DeadlineExceeded) || err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: connection still open: %v", name, err)
		}
		conn.Close()
	}
	// An answer nobody asked for is passed over.
	c, _ := dial(t, path, nothing)
	c.peer.send(message{Kind: kindHead, Answer: true, ID: 99, Head: okHead})
	if _, _, err := c.Head(t.Context()); err != nil {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(frame(f, message{Kind: kindHead, Answer: true, ID: 1, Head: okHead, Cleared: okHead}))
	f.Add(frame(f, message{Kind: kindRecord, Answer: true, ID: 1, Entry: []byte{1}, Key: make([]byte, 32), Pickup: []byte{2}}))
	f.Add(frame(f, message{Kind: kindLookup, ID: 1, Key: make([]byte, 32)}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := read(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := read(bytes.NewReader(frame(t, m)))
		if err != nil || again.Kind != m.Kind || again.ID != m.ID || !bytes.Equal(again.Entry, m.Entry) || !bytes.Equal(again.Key, m.Key) {
			t.Errorf("%+v came back as %+v, %v", m, again, err)
		}
	})
}
