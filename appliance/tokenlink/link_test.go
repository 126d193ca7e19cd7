package tokenlink

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

var quiet = slog.New(slog.DiscardHandler)

var (
	citizen = Device{ID: "a-1", Role: Citizen, VID: 0x096e, PID: 0x0807, Model: "ePass2003", Supported: true, Classes: "0b"}
	unknown = Device{ID: "a-2", Role: Other, VID: 0x1234, PID: 0x5678, Reason: RuleUnknown, Product: "مهر"}
)

// fakeAgent hands out what the test puts in.
type fakeAgent struct {
	events chan Event
	mu     sync.Mutex
	relays int
}

func (f *fakeAgent) Watch(ctx context.Context) <-chan Event {
	out := make(chan Event)
	go func() {
		defer close(out)
		for {
			select {
			case e, ok := <-f.events:
				if !ok {
					return
				}
				out <- e
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func (f *fakeAgent) Attach(_ context.Context, device string) (func(net.Conn), error) {
	for _, err := range codes {
		if device == err.Error() {
			return nil, fmt.Errorf("%w: %s", err, strings.Repeat("x", 2*maxText))
		}
	}
	return func(c net.Conn) { // an echo stands for the worker
		defer c.Close()
		f.mu.Lock()
		f.relays++
		f.mu.Unlock()
		io.Copy(c, c)
	}, nil
}

type start struct {
	path string
	stop func()
}

func serveFake(t *testing.T, path string, a Agent) start {
	t.Helper()
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, a, quiet) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(stop)
	return start{path, stop}
}

func next(t *testing.T, c <-chan Event) Event {
	t.Helper()
	select {
	case e, ok := <-c:
		if !ok {
			t.Fatal("channel closed")
		}
		return e
	case <-time.After(time.Minute):
		t.Fatal("no event")
	}
	panic("unreachable")
}

func TestWatchSurvivesRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokend.sock")
	ctx, cancel := context.WithCancel(t.Context())
	events, err := NewClient(path, quiet).Watch(ctx) // before tokend is there
	if err != nil {
		t.Fatal(err)
	}
	a := &fakeAgent{events: make(chan Event, 8)}
	a.events <- Event{Kind: Snapshot, Devices: []Device{citizen}}
	a.events <- Event{Kind: Inserted, Device: unknown}
	a.events <- Event{Kind: Removed, Device: citizen}
	a.events <- Event{Kind: Inserted, Device: citizen}
	s := serveFake(t, path, a)
	want := func(e Event) {
		t.Helper()
		if got := next(t, events); !reflect.DeepEqual(got, e) {
			t.Fatalf("got %+v, want %+v", got, e)
		}
	}
	want(Event{Kind: Snapshot, Devices: []Device{citizen}})
	want(Event{Kind: Inserted, Device: unknown})
	want(Event{Kind: Removed, Device: citizen})
	want(Event{Kind: Inserted, Device: citizen})
	s.stop()
	want(Event{Kind: Removed, Device: unknown})
	want(Event{Kind: Removed, Device: citizen})
	again := citizen
	again.ID = "b-1"
	b := &fakeAgent{events: make(chan Event, 8)}
	b.events <- Event{Kind: Snapshot, Devices: []Device{again}}
	serveFake(t, path, b)
	want(Event{Kind: Snapshot, Devices: []Device{again}})
	close(b.events) // tokend says: too slow
	want(Event{Kind: Removed, Device: again})
	cancel()
	for range events {
	}
	if _, err := NewClient(path, quiet).Watch(ctx); err == nil {
		t.Error("watch after the end")
	}
}

// A tokend that is away for long is reported once, and its snapshot says that it is
// back. Nobody else can report it.
func TestAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	c := NewClient(path, quiet)
	c.grace = 100 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events, err := c.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := func(kind Kind) {
		t.Helper()
		if got := next(t, events); got.Kind != kind {
			t.Fatalf("got %+v, want %s", got, kind)
		}
	}
	want(Away)
	a := &fakeAgent{events: make(chan Event, 8)}
	a.events <- Event{Kind: Snapshot, Devices: []Device{citizen}}
	s := serveFake(t, path, a)
	want(Snapshot)
	s.stop()
	want(Removed)
	want(Away)
	b := &fakeAgent{events: make(chan Event, 8)}
	b.events <- Event{Kind: Snapshot}
	serveFake(t, path, b)
	want(Snapshot)
	if (&Event{Kind: Away}).check() == nil {
		t.Error("away may be on the wire")
	}
}

// A tokend that contradicts itself is not believed: everything is removed.
func TestClientRefusesContradictions(t *testing.T) {
	snapshot := Event{Kind: Snapshot, Devices: []Device{citizen}}
	for name, e := range map[string]Event{
		"second snapshot":       snapshot,
		"inserted twice":        {Kind: Inserted, Device: citizen},
		"removal of a stranger": {Kind: Removed, Device: unknown},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			a := &fakeAgent{events: make(chan Event, 8)}
			a.events <- snapshot
			a.events <- e
			serveFake(t, path, a)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			events, err := NewClient(path, quiet).Watch(ctx)
			if err != nil {
				t.Fatal(err)
			}
			next(t, events)
			if got := next(t, events); got.Kind != Removed || got.Device != citizen {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestAttach(t *testing.T) {
	a := &fakeAgent{events: make(chan Event)}
	path := filepath.Join(t.TempDir(), "s")
	s := serveFake(t, path, a)
	c := NewClient(path, quiet)
	conn, err := c.Attach(t.Context(), "a-1")
	if err != nil {
		t.Fatal(err)
	}
	conn.Write([]byte("frame"))
	b := make([]byte, 5)
	if _, err := io.ReadFull(conn, b); err != nil || string(b) != "frame" {
		t.Errorf("%q, %v", b, err)
	}
	for _, want := range codes {
		if _, err := c.Attach(t.Context(), want.Error()); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if _, err := c.Attach(t.Context(), ""); err == nil {
		t.Error("attach to nothing")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Attach(ended, "a-1"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	s.stop() // closes attached connections and waits for the relay
	if _, err := conn.Read(b); err != io.EOF {
		t.Errorf("read after the end: %v", err)
	}
	if _, err := c.Attach(t.Context(), "a-1"); err == nil {
		t.Error("attach without tokend")
	}
}

func frame(s string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
}

// What a hostile client sends ends its own connection and no other.
func TestHostileClient(t *testing.T) {
	a := &fakeAgent{events: make(chan Event, 1)}
	path := filepath.Join(t.TempDir(), "s")
	serveFake(t, path, a)
	for name, msg := range map[string][]byte{
		"zero length":   {0, 0, 0, 0},
		"huge length":   {0xff, 0xff, 0xff, 0xff},
		"over the cap":  frame(strings.Repeat(" ", maxRequest+1))[:100],
		"no JSON":       frame("GET / HTTP/1.1"),
		"other op":      frame(`{"op":"kill"}`),
		"unknown key":   frame(`{"op":"watch","x":1}`),
		"repeated key":  frame(`{"op":"watch","op":"attach","device":"a"}`),
		"watch device":  frame(`{"op":"watch","device":"a"}`),
		"attach nobody": frame(`{"op":"attach"}`),
		"long device":   frame(`{"op":"attach","device":"` + strings.Repeat("x", maxText+1) + `"}`),
		"two values":    frame(`{"op":"watch"}{"op":"watch"}`),
	} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c.Write(msg)
		c.SetReadDeadline(time.Now().Add(time.Minute))
		var r reply
		if err := readMessage(c, maxRequest, &r); err != nil || !errors.Is(r.err(), ErrRequest) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: connection stays open: %v", name, err)
		}
		c.Close()
	}
	var idle []net.Conn // clients that say nothing fill the table, then the next is refused
	for range maxClients + 1 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	last := idle[maxClients]
	last.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := last.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("client %d: %v", maxClients+1, err)
	}
	for _, c := range idle {
		c.Close()
	}
	deadline := time.Now().Add(time.Minute)
	for {
		c, err := NewClient(path, quiet).Attach(t.Context(), "a-1")
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no service after hostile clients: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if _, err := Listen(path); err == nil {
		t.Error("two listeners")
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as after a kill
	l.Close()
	if l, err = Listen(path); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := os.WriteFile(path, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil {
		t.Error("an ordinary file was replaced")
	}
	if b, _ := os.ReadFile(path); string(b) != "data" {
		t.Error("an ordinary file was removed")
	}
}

type fakeBench struct{ in map[string]bool }

func (f *fakeBench) Insert(key string) error {
	if in, ok := f.in[key]; in || !ok {
		return fmt.Errorf("%w: %s", ErrBench, key)
	}
	f.in[key] = true
	return nil
}

func (f *fakeBench) Remove(key string) error { f.in[key] = false; return nil }

func TestBench(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- ServeBench(ctx, l, &fakeBench{map[string]bool{"citizen": false}}, quiet) }()
	b := NewBench(path)
	if err := b.Insert(ctx, "citizen"); err != nil {
		t.Error(err)
	}
	if err := b.Insert(ctx, "citizen"); !errors.Is(err, ErrBench) {
		t.Errorf("inserted twice: %v", err)
	}
	if err := b.Remove(ctx, "citizen"); err != nil {
		t.Error(err)
	}
	if err := b.Insert(ctx, "/etc/passwd"); !errors.Is(err, ErrBench) {
		t.Errorf("unknown key: %v", err)
	}
	if err := b.Insert(ctx, ""); err == nil {
		t.Error("empty key")
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Write(frame(`{"op":"insert","key":"citizen","module":"/tmp/x.so"}`))
	var r reply
	if err := readMessage(c, maxRequest, &r); err != nil || !errors.Is(r.err(), ErrRequest) {
		t.Errorf("path from the bench: %+v, %v", r, err)
	}
	c.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestEventBounds(t *testing.T) {
	for _, e := range []Event{
		{},
		{Kind: Inserted},
		{Kind: Inserted, Device: citizen, Devices: []Device{citizen}},
		{Kind: Snapshot, Device: citizen},
		{Kind: Snapshot, Devices: make([]Device, 1)},
		{Kind: Snapshot, Devices: make([]Device, maxDevices+1)},
		{Kind: Inserted, Device: Device{ID: "a", Role: "boss", Supported: true}},
		{Kind: Inserted, Device: Device{ID: "a", Role: Citizen, Supported: true, Reason: RuleUnknown}},
		{Kind: Inserted, Device: Device{ID: "a", Role: Citizen}},
		{Kind: Inserted, Device: Device{ID: "a", Role: Citizen, Supported: true, Product: strings.Repeat("x", maxText+1)}},
		{Kind: Inserted, Device: Device{ID: "a", Role: Citizen, Supported: true, Description: "KR1:AAAA"}},
		{Kind: Inserted, Device: Device{ID: "a", Role: Citizen, Supported: true, Description: "MT1:aaaa"}},
		{Kind: Inserted, Device: Device{ID: "a", Role: Citizen, Supported: true, Description: "MT1:" + strings.Repeat("A", maxDescription+1)}},
	} {
		if err := writeMessage(io.Discard, &e); err == nil {
			t.Errorf("%+v was sent", e)
		}
	}
	many := Event{Kind: Snapshot}
	for i := range maxDevices {
		d := unknown
		d.ID = fmt.Sprint(i)
		d.Description = "MT1:" + strings.Repeat("A", maxDescription)
		d.Product, d.Manufacturer, d.Serial = strings.Repeat("<", maxText), strings.Repeat("<", maxText), strings.Repeat("<", maxText)
		many.Devices = append(many.Devices, d)
	}
	var buf bytes.Buffer
	if err := writeMessage(&buf, &many); err != nil {
		t.Errorf("largest snapshot: %v", err)
	}
	var back Event
	if err := readMessage(&buf, maxReply, &back); err != nil || !reflect.DeepEqual(back, many) {
		t.Errorf("largest snapshot: %v", err)
	}
}

// What is accepted means the same after being sent again.
func FuzzReadMessage(f *testing.F) {
	for _, v := range []checker{
		&request{Op: opWatch}, &request{Op: opAttach, Device: "a-1"}, &benchRequest{Op: opInsert, Key: "citizen"},
		&reply{OK: true}, replyTo(ErrBusy), &Event{Kind: Snapshot, Devices: []Device{citizen, unknown}}, &Event{Kind: Removed, Device: unknown},
	} {
		b, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame(string(b)))
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, '{'})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, make := range []func() checker{
			func() checker { return new(request) }, func() checker { return new(benchRequest) },
			func() checker { return new(reply) }, func() checker { return new(Event) },
		} {
			v, w := make(), make()
			if readMessage(bytes.NewReader(b), maxReply, v) != nil {
				continue
			}
			var again bytes.Buffer
			if err := writeMessage(&again, v); err != nil {
				t.Fatal(err)
			}
			if err := readMessage(&again, maxReply, w); err != nil || !reflect.DeepEqual(v, w) {
				t.Fatalf("%+v -> %+v, %v", v, w, err)
			}
			if r, ok := v.(*reply); ok && (r.err() == nil) != r.OK {
				t.Fatalf("%+v", r)
			}
		}
	})
}
