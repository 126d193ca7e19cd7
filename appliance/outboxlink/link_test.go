package outboxlink

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// box is an outbox under a test's control.
type box struct {
	mu      sync.Mutex
	pending []Parcel
	changed chan struct{}
	answers []string
	failed  []string
	verdict func(id string) (bool, time.Duration)
}

func newBox(parcels ...Parcel) *box {
	return &box{pending: parcels, changed: make(chan struct{}), verdict: func(string) (bool, time.Duration) { return true, 0 }}
}

func (b *box) Pending() []Parcel {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Parcel(nil), b.pending...)
}

func (b *box) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

func (b *box) set(parcels ...Parcel) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending = parcels
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *box) Answer(id string, der []byte) (bool, time.Duration) {
	b.mu.Lock()
	b.answers = append(b.answers, id+"="+string(der))
	b.mu.Unlock()
	return b.verdict(id)
}

func (b *box) Failed(id string, f Failure) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = append(b.failed, fmt.Sprintf("%s: %s (%d, %v)", id, f.Why, f.Tries, f.Next))
}

func (b *box) said() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(append(append([]string(nil), b.answers...), b.failed...), ", ")
}

// serve starts a server and returns its socket.
func serve(t *testing.T, b *box) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Serve(ctx, l, b, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return path
}

// work starts a client that answers with answer.
func work(t *testing.T, path string, deliver Deliver) (stop func()) {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Work(ctx, conn, deliver, func(ctx context.Context, _ string, after time.Duration) error {
			select {
			case <-time.After(after):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s did not come", what)
}

func echo(_ context.Context, _ string, der []byte, _ func(string, int, time.Duration)) ([]byte, error) {
	return append([]byte("re:"), der...), nil
}

func TestDelivers(t *testing.T) {
	b := newBox(Parcel{"a", []byte("A")})
	work(t, serve(t, b), echo)
	eventually(t, "answer to a", func() bool { return b.said() == "a=re:A" })
	b.set(Parcel{"a", []byte("A")}, Parcel{"b", []byte("B")}) // a is pending still, but was given
	eventually(t, "answer to b", func() bool { return b.said() == "a=re:A, b=re:B" })
}

// A parcel that the answer did not settle is sent again, with the same bytes.
func TestSendsAgain(t *testing.T) {
	b := newBox(Parcel{"a", []byte("A")})
	asked := 0
	b.verdict = func(string) (bool, time.Duration) {
		asked++
		return asked == 3, time.Millisecond
	}
	work(t, serve(t, b), echo)
	eventually(t, "three answers", func() bool { return b.said() == "a=re:A, a=re:A, a=re:A" })
	time.Sleep(20 * time.Millisecond)
	if got := b.said(); got != "a=re:A, a=re:A, a=re:A" {
		t.Errorf("after it was done: %s", got)
	}
}

// What is withdrawn is no longer delivered.
func TestWithdraws(t *testing.T) {
	b := newBox(Parcel{"a", []byte("A")})
	stopped := make(chan struct{})
	work(t, serve(t, b), func(ctx context.Context, _ string, _ []byte, failed func(string, int, time.Duration)) ([]byte, error) {
		failed("no route", 3, time.Minute)
		<-ctx.Done()
		close(stopped)
		return nil, ctx.Err()
	})
	eventually(t, "failure", func() bool { return b.said() == "a: no route (3, 1m0s)" })
	b.set()
	select {
	case <-stopped:
	case <-time.After(time.Minute):
		t.Fatal("the delivery goes on")
	}
}

// A restarted syncd is given everything again; a second one replaces the first.
func TestReconnects(t *testing.T) {
	b := newBox(Parcel{"a", []byte("A")})
	path := serve(t, b)
	hang := func(ctx context.Context, _ string, _ []byte, _ func(string, int, time.Duration)) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	stop := work(t, path, hang)
	stop()
	work(t, path, hang)
	work(t, path, echo)
	eventually(t, "answer", func() bool { return b.said() == "a=re:A" })
}

// Nonsense ends the connection and nothing else.
func TestNonsense(t *testing.T) {
	b := newBox(Parcel{"a", []byte("A")})
	path := serve(t, b)
	huge := binary.BigEndian.AppendUint32(nil, 1<<31)
	for name, bad := range map[string][]byte{
		"huge": huge, "empty": {0, 0, 0, 0}, "not JSON": append([]byte{0, 0, 0, 4}, "null"...),
		"a parcel from syncd": frame(t, message{Kind: kindParcel, ID: "a"}),
		"no id":               frame(t, message{Kind: kindAnswer}),
		"no tries":            frame(t, message{Kind: kindFailed, ID: "a", Why: "x"}),
		"tries in an answer":  frame(t, message{Kind: kindAnswer, ID: "a", Tries: 1}),
		"unknown kind":        frame(t, message{Kind: "shell", ID: "a"}),
	} {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(bad)
		conn.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: connection still open: %v", name, err)
		}
		conn.Close()
	}
	work(t, path, echo)
	eventually(t, "answer", func() bool { return b.said() == "a=re:A" })
}

func frame(t testing.TB, m message) []byte {
	var b bytes.Buffer
	if err := write(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestTooLarge(t *testing.T) {
	if err := write(io.Discard, message{Kind: kindAnswer, ID: "a", DER: make([]byte, MaxMessage)}); err == nil {
		t.Error("written")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(frame(f, message{Kind: kindParcel, ID: "a", DER: []byte{1, 2, 3}}))
	f.Add(frame(f, message{Kind: kindVerdict, ID: "a", Done: true, After: 5000}))
	f.Add(frame(f, message{Kind: kindFailed, ID: "a", Why: "why", Tries: 1, After: 10}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := read(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := read(bytes.NewReader(frame(t, m)))
		if err != nil || again.Kind != m.Kind || again.ID != m.ID || !bytes.Equal(again.DER, m.DER) || again.After != m.After {
			t.Errorf("%+v came back as %+v, %v", m, again, err)
		}
	})
}
