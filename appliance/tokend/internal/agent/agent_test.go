package agent

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mohr.internal/appliance/tokend/internal/pcsc/pcsctest"
	"mohr.internal/appliance/tokenlink"
	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/pkcs11test"
	"mohr.internal/usb"
)

func TestMain(m *testing.M) {
	pkcs11test.WorkerMain()
	pcsctest.Main()
	os.Exit(m.Run())
}

// rig is an agent behind its real socket, with software tokens in real worker
// processes.
type rig struct {
	t      testing.TB
	agent  *Agent
	client *tokenlink.Client
	path   string
	log    *syncBuffer
	stop   func() // ends tokend's side and waits for it

	mu     sync.Mutex
	faults map[string][]pkcs11test.Fault // by model
	pids   []int
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

const citizenPort, officerPort = "1-1.1", "1-1.2"

var (
	epass   = usb.Device{VID: 0x096e, PID: 0x0807, Interfaces: []usb.Interface{{Class: 0x0b}}, Product: "ePass"}
	yubikey = usb.Device{VID: 0x1050, PID: 0x0407, Interfaces: []usb.Interface{{Class: 0x03}, {Class: 0x0b}}}
	mouse   = usb.Device{VID: 0x046d, PID: 0xc077, Interfaces: []usb.Interface{{Class: 0x03}}}
)

func newRig(t testing.TB) *rig {
	t.Helper()
	catalogue, err := usb.BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, log: &syncBuffer{}, path: filepath.Join(t.TempDir(), "s"), faults: map[string][]pkcs11test.Fault{}}
	log := slog.New(slog.NewTextHandler(r.log, nil))
	r.agent = New(Options{
		Policy: Policy{
			Lookup: catalogue.Lookup,
			Roles:  map[string]tokenlink.Role{citizenPort: tokenlink.Citizen, officerPort: tokenlink.Officer},
			Dirs:   []string{"/modules"},
			Loadable: func(path string) error {
				return map[bool]error{false: errors.New("not there")}[strings.HasPrefix(path, "/modules/")]
			},
		},
		Start: func(m Job) (*pkcs11.Worker, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if m.Model == "Nitrokey" {
				return nil, errors.New("no descriptors left")
			}
			w := pkcs11test.StartWorker(t, pkcs11test.Options{Label: m.Model, KeyDelay: 10 * time.Second}, r.faults[m.Model]...)
			r.pids = append(r.pids, w.PID())
			return w, nil
		},
		Deadlines: pkcs11.Deadlines{pkcs11.VerbSign: 200 * time.Millisecond},
		Life:      "test", Log: log,
	})
	l, err := tokenlink.Listen(r.path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tokenlink.Serve(ctx, l, r.agent, log) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	r.client = tokenlink.NewClient(r.path, log)
	return r
}

func (r *rig) plug(port string, d usb.Device) {
	d.Port = port
	r.agent.Handle(usb.Event{Kind: usb.Inserted, Device: d})
}

func (r *rig) unplug(port string) {
	r.agent.Handle(usb.Event{Kind: usb.Removed, Device: usb.Device{Port: port}})
}

func (r *rig) watch() <-chan tokenlink.Event {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r.t.Cleanup(cancel)
	events, err := r.client.Watch(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	return events
}

func (r *rig) next(events <-chan tokenlink.Event, kind tokenlink.Kind) tokenlink.Event {
	r.t.Helper()
	select {
	case e := <-events:
		if e.Kind != kind {
			r.t.Fatalf("%+v, want %s", e, kind)
		}
		return e
	case <-time.After(time.Minute):
		r.t.Fatalf("no event, want %s\n%s", kind, r.log)
	}
	panic("unreachable")
}

func (r *rig) attach(id string) *pkcs11.Session {
	r.t.Helper()
	conn, err := r.client.Attach(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	s := pkcs11.NewSession(conn)
	r.t.Cleanup(func() { s.Close() })
	return s
}

// label reads the only token's label: the whole way there and back.
func (r *rig) label(s *pkcs11.Session) string {
	r.t.Helper()
	tokens, err := s.Tokens(r.t.Context())
	if err != nil || len(tokens) != 1 {
		r.t.Fatalf("%d tokens, %v\n%s", len(tokens), err, r.log)
	}
	return tokens[0].Label
}

// gone waits until all workers so far have ended and were reaped.
func (r *rig) gone() {
	r.t.Helper()
	r.mu.Lock()
	pids := r.pids
	r.mu.Unlock()
	for _, pid := range pids {
		deadline := time.Now().Add(time.Minute)
		for {
			if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); errors.Is(err, os.ErrNotExist) {
				break
			}
			if time.Now().After(deadline) {
				r.t.Fatalf("worker %d is still there\n%s", pid, r.log)
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// said waits until the log has the text.
func (r *rig) said(text string) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(r.log.String(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("not in the log: %q\n%s", text, r.log)
		}
	}
}

func TestOneToken(t *testing.T) {
	r := newRig(t)
	events := r.watch()
	r.next(events, tokenlink.Snapshot)
	r.plug(citizenPort, epass)
	d := r.next(events, tokenlink.Inserted).Device
	if d.Role != tokenlink.Citizen || d.Model != "ePass2003" || !d.Supported || d.Classes != "0b" || d.Port != citizenPort {
		t.Errorf("%+v", d)
	}
	s := r.attach(d.ID)
	if l := r.label(s); l != "ePass2003" {
		t.Errorf("label %q", l)
	}
	if _, err := r.client.Attach(t.Context(), d.ID); !errors.Is(err, tokenlink.ErrBusy) {
		t.Errorf("second attach: %v", err)
	}
	pin := []byte("1234")
	if _, err := s.Login(t.Context(), pin); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("exit: %v", err)
	}
	r.said("why=exit")
	r.gone()
	r.label(r.attach(d.ID)) // again: another worker
	r.unplug(citizenPort)
	if got := r.next(events, tokenlink.Removed).Device; got != d {
		t.Errorf("%+v", got)
	}
	if _, err := r.client.Attach(t.Context(), d.ID); !errors.Is(err, tokenlink.ErrNoDevice) {
		t.Errorf("attach to a removed device: %v", err)
	}
	r.plug(citizenPort, epass)
	if again := r.next(events, tokenlink.Inserted).Device; again.ID == d.ID {
		t.Error("an id came back")
	}
	if strings.Contains(r.log.String(), "1234") {
		t.Errorf("PIN in the log:\n%s", r.log)
	}
}

func TestTwoTokens(t *testing.T) {
	r := newRig(t)
	r.plug(citizenPort, epass)
	r.plug(officerPort, yubikey)
	events := r.watch()
	all := r.next(events, tokenlink.Snapshot).Devices
	if len(all) != 2 || all[0].Role != tokenlink.Citizen || all[1].Role != tokenlink.Officer || all[1].Model != "YubiKey" {
		t.Fatalf("%+v", all)
	}
	citizen, officer := r.attach(all[0].ID), r.attach(all[1].ID)
	var wg sync.WaitGroup
	for _, s := range []*pkcs11.Session{citizen, officer} {
		wg.Go(func() {
			for range 20 {
				if _, err := s.LoginState(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	r.unplug(citizenPort) // costs the citizen's session and no other
	if _, err := citizen.Tokens(t.Context()); !errors.Is(err, pkcs11.ErrRemoved) {
		t.Errorf("citizen: %v", err)
	}
	if l := r.label(officer); l != "YubiKey" {
		t.Errorf("officer: %q", l)
	}
}

func TestVerdicts(t *testing.T) {
	r := newRig(t)
	mute := epass
	mute.Problem = "usb: descriptors: length 0"
	noModule := usb.Device{VID: 0x055c, PID: 0xdb08, Interfaces: []usb.Interface{{Class: 8}}}
	foreign := usb.Device{VID: 0x2ccf, PID: 0x080a, Interfaces: []usb.Interface{{Class: 0xff}}} // not in /modules
	r.agent.Policy.Arch = "arm64"
	long := mouse
	long.Product = strings.Repeat("ک", 300)
	for i, tt := range []struct {
		port          string
		d             usb.Device
		role          tokenlink.Role
		model, reason string
	}{
		{citizenPort, epass, tokenlink.Citizen, "ePass2003", ""},
		{"1-4", epass, tokenlink.Other, "ePass2003", ""},
		{citizenPort, mouse, tokenlink.Citizen, "", tokenlink.RuleUnknown},
		{officerPort, long, tokenlink.Officer, "", tokenlink.RuleUnknown},
		{citizenPort, noModule, tokenlink.Citizen, "mToken GM3000 disc", tokenlink.RuleNoModule},
		{citizenPort, foreign, tokenlink.Citizen, "HYP2003", tokenlink.RuleForeign},
		{citizenPort, mute, tokenlink.Citizen, "", tokenlink.RuleDescriptors},
	} {
		r.plug(tt.port, tt.d)
		all := r.next(r.watch(), tokenlink.Snapshot).Devices
		d := all[len(all)-1]
		if d.Role != tt.role || d.Model != tt.model || d.Reason != tt.reason || d.Supported != (tt.reason == "") {
			t.Errorf("%d: %+v", i, d)
		}
		if desc, err := usb.ParseDescription(d.Description); err != nil || desc.PID != tt.d.PID || desc.Malformed != (tt.d.Problem != "") {
			t.Errorf("%d: %+v, %v", i, desc, err)
		}
		if !d.Supported {
			if _, err := r.client.Attach(t.Context(), d.ID); !errors.Is(err, tokenlink.ErrUnsupported) {
				t.Errorf("%d: attach: %v", i, err)
			}
		}
		r.unplug(tt.port)
	}
	r.plug("1-4", usb.Device{VID: 0x20a0, PID: 0x4108, Interfaces: []usb.Interface{{Class: 0x0b}}})
	d := r.next(r.watch(), tokenlink.Snapshot).Devices[0]
	for range 2 { // a failed start leaves the device free
		if _, err := r.client.Attach(t.Context(), d.ID); !errors.Is(err, tokenlink.ErrWorker) {
			t.Errorf("%v", err)
		}
	}
}

func TestRemovedDuringCall(t *testing.T) {
	r := newRig(t)
	events := r.watch()
	r.next(events, tokenlink.Snapshot)
	for _, tt := range []struct {
		name   string
		verb   pkcs11.Verb
		during string // in the log
		want   error
		call   func(s *pkcs11.Session) error
	}{
		{"key generation", pkcs11.VerbGenerateKey, `"generate key"`, pkcs11.ErrRemoved, func(s *pkcs11.Session) error {
			_, err := s.GenerateKey(t.Context(), pkcs11.KeySpec{ID: []byte{1}, Label: "k", Algorithm: pkcs11.P256})
			return err
		}},
		{"login", pkcs11.VerbLogin, "login", pkcs11.ErrOutcomeUnknown, func(s *pkcs11.Session) error {
			_, err := s.Login(t.Context(), []byte("1234"))
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.mu.Lock()
			r.faults["ePass2003"] = []pkcs11test.Fault{{Kind: pkcs11test.Hang, Verb: tt.verb}}
			r.mu.Unlock()
			r.plug(citizenPort, epass)
			s := r.attach(r.next(events, tokenlink.Inserted).Device.ID)
			r.label(s)
			time.AfterFunc(50*time.Millisecond, func() { r.unplug(citizenPort) })
			begin := time.Now()
			if err := tt.call(s); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if d := time.Since(begin); d >= r.agent.Deadlines.For(tt.verb) {
				t.Errorf("noticed after %v", d)
			}
			r.next(events, tokenlink.Removed)
			r.gone()
			r.said(fmt.Sprintf("why=%q during=%s ", errGone.Error(), tt.during))
		})
	}
}

// Whatever a worker does, the client sees the loss, the worker is reaped and the
// device can be attached again.
func TestFaultyWorkers(t *testing.T) {
	key := func(k pkcs11test.Kind) pkcs11test.Fault { return pkcs11test.Fault{Kind: k, Verb: pkcs11.VerbSign} }
	for _, tt := range []struct {
		name  string
		fault pkcs11test.Fault
	}{
		{"segfault", key(pkcs11test.Segfault)},
		{"killed", key(pkcs11test.Killed)},
		{"status 0", key(pkcs11test.Exit0)},
		{"status 2", key(pkcs11test.Exit2)},
		{"hang", key(pkcs11test.Hang)},
		{"stopped", key(pkcs11test.Stopped)},
		{"grandchild", key(pkcs11test.Grandchild)},
		{"truncated", key(pkcs11test.Truncate)},
		{"trailing", key(pkcs11test.Trailing)},
		{"babble", key(pkcs11test.Babble)},
		{"version", key(pkcs11test.WrongVersion)},
		{"verb", key(pkcs11test.WrongVerb)},
		{"id", key(pkcs11test.WrongID)},
		{"huge", key(pkcs11test.HugeLength)},
		{"echo", key(pkcs11test.Echo)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.faults["ePass2003"] = []pkcs11test.Fault{tt.fault}
			events := r.watch()
			r.next(events, tokenlink.Snapshot)
			r.plug(citizenPort, epass)
			id := r.next(events, tokenlink.Inserted).Device.ID
			s := r.attach(id)
			digest := sha256.Sum256([]byte("x"))
			if _, err := s.Sign(t.Context(), pkcs11.KeyID{}, crypto.SHA256, digest[:]); !errors.Is(err, pkcs11.ErrRemoved) {
				t.Errorf("sign: %v", err)
			}
			s.Close()
			r.gone()
			deadline := time.Now().Add(time.Minute)
			for {
				conn, err := r.client.Attach(t.Context(), id)
				if err == nil {
					conn.Close()
					break
				}
				if !errors.Is(err, tokenlink.ErrBusy) || time.Now().After(deadline) {
					t.Fatalf("attach after the fault: %v", err)
				}
			}
		})
	}
}

// A worker that sends before it is asked, or twice, loses its session.
func TestBabblingWorker(t *testing.T) {
	r := newRig(t)
	r.faults["ePass2003"] = []pkcs11test.Fault{{Kind: pkcs11test.Twice, Verb: pkcs11.VerbTokens}}
	r.plug(citizenPort, epass)
	s := r.attach(r.next(r.watch(), tokenlink.Snapshot).Devices[0].ID)
	s.Tokens(t.Context()) // the first of the two replies may count
	r.said(errBabble.Error())
	if _, err := s.Tokens(t.Context()); !errors.Is(err, pkcs11.ErrRemoved) {
		t.Errorf("%v", err)
	}
	r.gone()
}

// What a client sends after attaching can end its own worker and nothing else.
func TestHostileClient(t *testing.T) {
	r := newRig(t)
	events := r.watch()
	r.next(events, tokenlink.Snapshot)
	r.plug(officerPort, yubikey)
	officer := r.attach(r.next(events, tokenlink.Inserted).Device.ID)
	r.plug(citizenPort, epass)
	id := r.next(events, tokenlink.Inserted).Device.ID
	request := func(verb pkcs11.Verb, id uint32) []byte {
		var b bytes.Buffer
		pkcs11.WriteFrame(&b, pkcs11.Frame{Verb: verb, ID: id})
		return b.Bytes()
	}
	var mark bytes.Buffer
	pkcs11.WriteFrame(&mark, pkcs11.Frame{Reply: true, Verb: pkcs11.VerbTokens, ID: 1})
	version := request(pkcs11.VerbTokens, 1)
	version[4]++
	for name, msg := range map[string][]byte{
		"huge length":      binary.BigEndian.AppendUint32(nil, 0xffffffff),
		"zero length":      make([]byte, 4),
		"text":             []byte("GET / HTTP/1.1\r\n\r\n"),
		"other version":    version,
		"a reply":          mark.Bytes(),
		"unknown verb":     request(200, 1),
		"two at once":      append(request(pkcs11.VerbTokens, 1), request(pkcs11.VerbTokens, 2)...),
		"after exit":       append(request(pkcs11.VerbExit, 1), request(pkcs11.VerbTokens, 2)...),
		"bad payload":      append([]byte{0, 0, 0, 8}, request(pkcs11.VerbSign, 1)[4:]...), // short by two bytes
		"unread replies":   nil,
		"closed at once":   nil,
		"closed in a call": request(pkcs11.VerbTokens, 1),
	} {
		var conn net.Conn
		var err error
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			if conn, err = r.client.Attach(t.Context(), id); err == nil {
				break
			}
			if !errors.Is(err, tokenlink.ErrBusy) || time.Now().After(deadline) {
				t.Fatalf("%s: %v", name, err)
			}
		}
		conn.Write(msg)
		switch {
		case name == "bad payload":
			conn.(*net.UnixConn).CloseWrite()
			fallthrough
		case !strings.HasPrefix(name, "closed") && msg != nil:
			conn.SetReadDeadline(time.Now().Add(time.Minute))
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: connection stays open", name)
			}
		}
		conn.Close()
	}
	if l := r.label(officer); l != "YubiKey" {
		t.Errorf("officer: %q", l)
	}
}

// Stopping tokend ends every worker before Serve returns.
func TestStop(t *testing.T) {
	r := newRig(t)
	r.plug(citizenPort, epass)
	s := r.attach(r.next(r.watch(), tokenlink.Snapshot).Devices[0].ID)
	r.label(s)
	r.stop()
	for _, pid := range r.pids {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			t.Errorf("worker %d outlived tokend's socket", pid)
		}
	}
	if _, err := s.Tokens(t.Context()); !errors.Is(err, pkcs11.ErrRemoved) {
		t.Errorf("%v", err)
	}
}

// A hundred insertions with a worker each leave no process and no descriptor.
func TestNoLeaks(t *testing.T) {
	r := newRig(t)
	events := r.watch()
	r.next(events, tokenlink.Snapshot)
	count := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before := 0
	for i := range 105 {
		r.plug(citizenPort, epass)
		id := r.next(events, tokenlink.Inserted).Device.ID
		conn, err := r.client.Attach(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		s := pkcs11.NewSession(conn)
		if i%2 == 0 {
			if _, err := s.LoginState(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if i%20 == 0 { // by the exit verb, else by the pull
			s.Close()
		}
		r.unplug(citizenPort)
		r.next(events, tokenlink.Removed)
		s.Close()
		r.gone()
		if i == 4 { // the runtime has its own descriptors by now
			before = count()
		}
	}
	deadline := time.Now().Add(time.Minute)
	for count() > before {
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors, %d before", count(), before)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestStorm(t *testing.T) {
	r := newRig(t)
	unread := r.agent.Watch(t.Context()) // never read
	for i := range 2 * maxDevices {
		r.plug(fmt.Sprintf("1-%d", i), mouse)
	}
	if all := r.next(r.watch(), tokenlink.Snapshot).Devices; len(all) != maxDevices {
		t.Errorf("%d devices", len(all))
	}
	for i := range maxUnread {
		r.unplug(fmt.Sprintf("1-%d", i%maxDevices))
		r.plug(fmt.Sprintf("1-%d", i%maxDevices), mouse)
	}
	n := 0
	for range unread {
		n++
	}
	if n != maxUnread {
		t.Errorf("a reader that does not read was given %d events", n)
	}
	r.plug("1-5", epass) // takes the port over
	all := r.next(r.watch(), tokenlink.Snapshot).Devices
	if len(all) != maxDevices || all[len(all)-1].VID != epass.VID {
		t.Errorf("%d devices, last %+v", len(all), all[len(all)-1])
	}
}

func TestFaultLine(t *testing.T) {
	for in, want := range map[string]string{
		"": "",
		"debug: PIN=1234\nSIGSEGV: segmentation violation\nPC=0x0\n": "SIGSEGV: segmentation violation",
		"debug: PIN=1234\n": "",
		"fatal error: unexpected signal during runtime execution\n[signal": "fatal error: unexpected signal during runtime execution",
	} {
		if got := faultLine([]byte(in)); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestLoadableELF(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(t.TempDir(), "x.so")
	os.WriteFile(text, []byte("no ELF file, but long enough for its header"), 0o600)
	foreign := filepath.Join(t.TempDir(), "arm.so")
	b := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 57)...)
	b[16], b[18], b[20], b[52], b[54], b[58] = 3, 40, 1, 64, 56, 64 // ET_DYN, EM_ARM
	os.WriteFile(foreign, b, 0o600)
	for path, want := range map[string]string{
		text: "bad magic", foreign: "not for", self: "not a shared object", filepath.Join(t.TempDir(), "none.so"): "no such file", "/": "",
	} {
		if err := LoadableELF(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	const softhsm = "/usr/lib/softhsm/libsofthsm2.so"
	if _, err := os.Stat(softhsm); err != nil {
		t.Skipf("no SoftHSM here: %v", err)
	}
	if err := LoadableELF(softhsm); err != nil {
		t.Error(err)
	}
}
