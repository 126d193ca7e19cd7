package module

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mohr.internal/pkcs11"
)

// short is for what hangs; with a busy machine all else needs its full time.
var short = pkcs11.WithDeadlines(pkcs11.Deadlines{pkcs11.VerbTokens: 5 * time.Second, pkcs11.VerbLogin: 3 * time.Second,
	pkcs11.VerbGenerateKey: 3 * time.Second, pkcs11.VerbExit: 2 * time.Second})

// TestFaultsInC has the module crash, hang and babble for real.
func TestFaultsInC(t *testing.T) {
	const none = pkcs11.Verb(0)
	_, p := proxied(t)
	tests := []struct {
		fault string
		at    pkcs11.Verb // the verb that fails, none: all go well
		want  error
	}{
		{"C_Initialize:segv", pkcs11.VerbTokens, pkcs11.ErrRemoved},
		{"C_Initialize:hang", pkcs11.VerbTokens, pkcs11.ErrRemoved},
		{"C_Initialize:kill", pkcs11.VerbTokens, pkcs11.ErrRemoved},
		{"C_Initialize:stdout", none, nil},
		{"C_Initialize:rv=5", pkcs11.VerbTokens, pkcs11.ErrModule},
		{"C_GetSlotList:segv", pkcs11.VerbTokens, pkcs11.ErrRemoved},
		{"C_GetSlotList:rv=5", pkcs11.VerbTokens, pkcs11.ErrDevice},
		{"C_Login:segv", pkcs11.VerbLogin, pkcs11.ErrOutcomeUnknown},
		{"C_Login:hang", pkcs11.VerbLogin, pkcs11.ErrOutcomeUnknown},
		{"C_Login:kill", pkcs11.VerbLogin, pkcs11.ErrOutcomeUnknown},
		{"C_Login:abort", pkcs11.VerbLogin, pkcs11.ErrOutcomeUnknown},
		{"C_Login:stdout", none, nil},
		{"C_Logout:segv", pkcs11.VerbLogin, pkcs11.ErrOutcomeUnknown}, // before C_Login, but who knows
		{"C_GenerateKeyPair:segv", pkcs11.VerbGenerateKey, pkcs11.ErrRemoved},
		{"C_GenerateKeyPair:hang", pkcs11.VerbGenerateKey, pkcs11.ErrRemoved},
		{"C_Finalize:segv", pkcs11.VerbExit, pkcs11.ErrRemoved},
		{"C_Finalize:hang", pkcs11.VerbExit, pkcs11.ErrRemoved},
	}
	for _, tt := range tests {
		s := newSoft(t) // each its own: SoftHSM finds no token while another process writes it
		s.module = p.Path
		t.Run(tt.fault, func(t *testing.T) {
			t.Parallel() // hangs last as long as their deadline
			w := s.start(t, p.Env(tt.fault)...)
			session := w.Session()
			if strings.HasSuffix(tt.fault, "hang") {
				session = w.Session(short)
			}
			var got []error
			_, err := session.Tokens(ctx)
			got = append(got, err)
			_, err = session.Login(ctx, []byte(softPIN))
			got = append(got, err)
			_, err = session.GenerateKey(ctx, pkcs11.KeySpec{ID: []byte(tt.fault), Algorithm: pkcs11.P256})
			got = append(got, err, session.Close())
			verbs := []pkcs11.Verb{pkcs11.VerbTokens, pkcs11.VerbLogin, pkcs11.VerbGenerateKey, pkcs11.VerbExit}
			at := slices.Index(verbs, tt.at)
			for i, err := range got {
				switch {
				case i == at:
					wantErr(t, err, tt.want)
				case (at < 0 || i < at) && err != nil:
					t.Errorf("%v: %v", verbs[i], err)
				}
			}
			<-w.Done()
			if stderr := string(w.StderrTail()); strings.HasSuffix(tt.fault, "segv") && (w.Wait() == nil || stderr != "SIGSEGV in the worker\n") {
				t.Errorf("ended with %v, stderr %s", w.Wait(), stderr)
			}
		})
	}
}

// TestLoginValues is what each return value of C_Login and C_SetPIN means for
// the person whose try it was. In every row there is at most one call.
func TestLoginValues(t *testing.T) {
	s, p := proxied(t)
	tests := []struct {
		rv   string
		want error
		pin  pkcs11.PINReason
		over bool // the session is
	}{
		{"0xa0", nil, pkcs11.PINWrong, false},
		{"0xa1", nil, pkcs11.PINInvalid, false},
		{"0xa2", nil, pkcs11.PINLength, false},
		{"0xa3", nil, pkcs11.PINExpired, false},
		{"0xa4", nil, pkcs11.PINLocked, false},
		{"0x102", nil, pkcs11.PINUnset, false},
		{"0x100", pkcs11.ErrAlreadyLoggedIn, 0, false},
		{"0x104", pkcs11.ErrAlreadyLoggedIn, 0, false},
		{"0xb3", pkcs11.ErrRemoved, 0, true}, // SESSION_HANDLE_INVALID
		{"0xe0", pkcs11.ErrRemoved, 0, true}, // TOKEN_NOT_PRESENT
		{"0x54", pkcs11.ErrUnsupported, 0, false},
		{"0x32", pkcs11.ErrOutcomeUnknown, 0, true}, // DEVICE_REMOVED: during the call
		{"0x30", pkcs11.ErrOutcomeUnknown, 0, true}, // DEVICE_ERROR
		{"0x5", pkcs11.ErrOutcomeUnknown, 0, true},  // GENERAL_ERROR
		{"0x6", pkcs11.ErrOutcomeUnknown, 0, true},  // FUNCTION_FAILED
		{"0x80000005", pkcs11.ErrOutcomeUnknown, 0, true},
	}
	for _, f := range []string{"C_Login", "C_SetPIN"} {
		for _, tt := range tests {
			t.Run(f+"="+tt.rv, func(t *testing.T) {
				session := s.session(t, p.Env(f+":rv="+tt.rv))
				var err error
				if f == "C_Login" {
					_, err = session.Login(ctx, []byte(softPIN))
				} else {
					err = session.ChangePIN(ctx, []byte(softPIN), []byte("567890"))
				}
				var refused *pkcs11.PINError
				switch {
				case tt.pin != 0 && (!errors.As(err, &refused) || refused.Reason != tt.pin):
					t.Errorf("got %v, want PIN %v", err, tt.pin)
				case tt.pin == 0 && !errors.Is(err, tt.want):
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if _, err := session.Tokens(ctx); (err != nil) != tt.over {
					t.Errorf("after it: %v", err)
				}
				session.Close()
				n := 0
				for _, c := range p.Calls(t) {
					if c == f {
						n++
					}
				}
				if n != 1 {
					t.Errorf("%s was called %d times", f, n)
				}
			})
		}
	}
}

// TestValues is what return values mean elsewhere.
func TestValues(t *testing.T) {
	s, p := proxied(t)
	tests := []struct {
		fault string
		verb  pkcs11.Verb
		want  error
	}{
		{"C_GenerateKeyPair:rv=0x31", pkcs11.VerbGenerateKey, pkcs11.ErrFull},
		{"C_GenerateKeyPair:rv=0x32", pkcs11.VerbGenerateKey, pkcs11.ErrRemoved},
		{"C_GenerateKeyPair:rv=0xe0", pkcs11.VerbGenerateKey, pkcs11.ErrRemoved},
		{"C_GenerateKeyPair:rv=0xb3", pkcs11.VerbGenerateKey, pkcs11.ErrRemoved},
		{"C_GenerateKeyPair:rv=0x70", pkcs11.VerbGenerateKey, pkcs11.ErrUnsupported},
		{"C_GenerateKeyPair:rv=0xe2", pkcs11.VerbGenerateKey, pkcs11.ErrWriteProtected},
		{"C_GenerateKeyPair:rv=0x101", pkcs11.VerbGenerateKey, pkcs11.ErrNotLoggedIn},
		{"C_GetAttributeValue:true=0x162", pkcs11.VerbGenerateKey, pkcs11.ErrWeakKey},
		{"C_CreateObject:rv=0x31", pkcs11.VerbWriteCertificate, pkcs11.ErrFull},
		{"C_CreateObject:rv=0x5", pkcs11.VerbWriteCertificate, pkcs11.ErrDevice},
		{"C_CreateObject:rv=0", pkcs11.VerbWriteCertificate, pkcs11.ErrNotWritten}, // says done, is not
		{"C_Sign:rv=0x32", pkcs11.VerbSign, pkcs11.ErrRemoved},
		{"C_SignInit:rv=0x101", pkcs11.VerbSign, pkcs11.ErrNotLoggedIn},
		{"C_Sign:after=0", pkcs11.VerbSign, nil},
		{"C_GetAttributeValue:true=0x202", pkcs11.VerbSign, pkcs11.ErrReauthenticate},
		{"C_FindObjectsInit:rv=0xb3", pkcs11.VerbObjects, pkcs11.ErrRemoved},
		{"C_DestroyObject:rv=0x5", pkcs11.VerbRetire, pkcs11.ErrDevice},
		{"C_DestroyObject:rv=0", pkcs11.VerbRetire, pkcs11.ErrDevice}, // says done, is not
		{"C_GenerateRandom:rv=0x121", pkcs11.VerbRandom, pkcs11.ErrUnsupported},
		{"C_OpenSession:rv=0xe0", pkcs11.VerbLogin, pkcs11.ErrRemoved},
	}
	good := s.session(t, p.Env())
	login(t, good)
	old, kept := generate(t, good, "old", pkcs11.P256), generate(t, good, "kept", pkcs11.P256)
	oldCert, keptCert := certify(t, good, old, 1), certify(t, good, kept, 2)
	if err := good.WriteCertificate(ctx, pkcs11.KeyIDOf(kept), "kept", keptCert); err != nil {
		t.Fatal(err)
	}
	good.Close()
	for _, tt := range tests {
		t.Run(tt.fault, func(t *testing.T) {
			session := s.session(t, p.Env(tt.fault))
			_, err := session.Login(ctx, []byte(softPIN))
			switch tt.verb {
			case pkcs11.VerbGenerateKey:
				_, err = session.GenerateKey(ctx, pkcs11.KeySpec{ID: []byte("new"), Algorithm: pkcs11.P256})
			case pkcs11.VerbWriteCertificate:
				err = session.WriteCertificate(ctx, pkcs11.KeyIDOf(old), "old", oldCert)
			case pkcs11.VerbSign:
				_, err = session.Sign(ctx, pkcs11.KeyIDOf(old), crypto.SHA256, make([]byte, 32))
			case pkcs11.VerbObjects:
				_, err = session.Objects(ctx)
			case pkcs11.VerbRandom:
				_, err = session.Random(ctx, 8)
			case pkcs11.VerbRetire:
				err = session.Retire(ctx, pkcs11.Retirement{Old: pkcs11.KeyIDOf(old), Kept: pkcs11.KeyIDOf(kept), KeptCertificate: sha256.Sum256(keptCert)})
			}
			wantErr(t, err, tt.want)
		})
	}
}

// A pair is cut in half in every way, and made again.
func TestHalfMade(t *testing.T) {
	s := newSoft(t)
	raw, h := s.raw(t)
	m := &Module{ctx: raw, session: h, open: true, loggedIn: true}
	inventory := func() *inventory {
		m.inv = nil
		inv, err := m.inventory()
		if err != nil {
			t.Fatal(err)
		}
		return inv
	}
	spec := pkcs11.KeySpec{ID: []byte("id"), Label: "l", Algorithm: pkcs11.P256}
	if _, err := m.GenerateKey(spec); err != nil {
		t.Fatal(err)
	}
	// The public key alone is swept and a new pair is made.
	raw.DestroyObject(h, inventory().privs[0].handle)
	spki, err := m.GenerateKey(spec)
	if inv := inventory(); err != nil || len(inv.pubs) != 1 || len(inv.privs) != 1 || !bytes.Equal(inv.pubs[0].spki, spki) {
		t.Errorf("%v, %+v", err, inv)
	}
	// A private key alone stays, whatever is asked.
	raw.DestroyObject(h, inventory().pubs[0].handle)
	_, err = m.GenerateKey(spec)
	wantErr(t, err, pkcs11.ErrHalfMade)
	if inv := inventory(); len(inv.privs) != 1 || len(inv.pubs) != 0 {
		t.Errorf("%+v", inv)
	}
	list, err := m.Objects()
	if err != nil || len(list) != 1 || !list[0].HasPrivate || list[0].Problem == "" {
		t.Errorf("%+v, %v", list, err)
	}
}

// A new pair that a crash left on the token is found, not made twice.
func TestCrashAfterGeneration(t *testing.T) {
	s, p := proxied(t)
	session := s.session(t, p.Env("C_GetAttributeValue:segv@1"))
	login(t, session)
	_, err := session.GenerateKey(ctx, pkcs11.KeySpec{ID: []byte("renewal"), Algorithm: pkcs11.P256})
	wantErr(t, err, pkcs11.ErrRemoved)
	session = s.session(t, p.Env())
	login(t, session)
	generate(t, session, "renewal", pkcs11.P256)
	if list, err := session.Objects(ctx); err != nil || len(list) != 1 {
		t.Errorf("%d keys, %v", len(list), err)
	}
}

func TestModuleMissing(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.so")
	if err := os.WriteFile(text, []byte("not a library"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/nonexistent/module.so", text, "/lib/x86_64-linux-gnu/libm.so.6"} {
		session := soft{module: path}.open(t)
		for range 2 { // the answer does not change, the worker lives
			_, err := session.Tokens(ctx)
			wantErr(t, err, pkcs11.ErrModule)
			if err != nil && !strings.Contains(err.Error(), path) {
				t.Errorf("%v does not name %s", err, path)
			}
		}
		_, err := session.Login(ctx, []byte(softPIN))
		wantErr(t, err, pkcs11.ErrModule)
		if err := session.Close(); err != nil {
			t.Error(err)
		}
	}
}

// No reader: OpenSC shows no token.
func TestModuleWithoutToken(t *testing.T) {
	const opensc = "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"
	if _, err := os.Stat(opensc); err != nil {
		t.Skipf("SKIPPED: OpenSC is not installed (package opensc-pkcs11): %v", err)
	}
	session := soft{module: opensc}.open(t)
	if list, err := session.Tokens(ctx); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	_, err := session.Login(ctx, []byte(softPIN))
	wantErr(t, err, pkcs11.ErrNoToken)
}

// At the end the worker logs out and lets go, whether it was asked to exit or
// its parent is gone.
func TestGoodEnd(t *testing.T) {
	s, p := proxied(t)
	for _, name := range []string{"exit", "parent gone"} {
		w := s.start(t, p.Env()...)
		session := w.Session()
		login(t, session)
		p.Calls(t)
		if name == "exit" {
			if err := session.Close(); err != nil {
				t.Error(err)
			}
		} else if err := w.Conn().(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if err := w.Wait(); err != nil {
			t.Errorf("%s: %v, %s", name, err, w.StderrTail())
		}
		calls := slices.DeleteFunc(p.Calls(t), func(c string) bool { return c == "C_GetSessionInfo" })
		if want := []string{"C_Logout", "C_CloseSession", "C_CloseAllSessions", "C_Finalize"}; !slices.Equal(calls, want) {
			t.Errorf("%s: %v, want %v", name, calls, want)
		}
	}
}

// Another token in the place of the one that was shown gets no PIN.
func TestTokenExchanged(t *testing.T) {
	s, p := proxied(t)
	for _, kv := range append(s.env, p.Env()...) {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	shown := pkcs11.TokenName{Serial: "1", Label: "Citizen", Manufacturer: "SoftHSM project"}
	m := &Module{path: s.module, name: shown, bound: true}
	defer m.Close()
	_, err := m.Login([]byte(softPIN))
	wantErr(t, err, pkcs11.ErrRemoved)
	wantErr(t, m.ChangePIN([]byte(softPIN), []byte("567890")), pkcs11.ErrRemoved)
	if calls := p.Calls(t); slices.Contains(calls, "C_Login") || slices.Contains(calls, "C_SetPIN") {
		t.Errorf("calls: %v", calls)
	}
}

// TestPINNotInMemory looks for the PIN in the memory of the worker, after a
// login and after a change, and in our own.
func TestPINNotInMemory(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: the memory of a worker is readable by root only")
	}
	s := newSoft(t)
	w := s.start(t)
	session := w.Session()
	secret := func(c byte) []byte { return bytes.Repeat([]byte{c, c ^ 3, c ^ 5, c ^ 9}, 8) }
	first, second := secret('q'), secret('K')
	if err := session.ChangePIN(ctx, []byte(softPIN), first); err != nil {
		t.Fatal(err)
	}
	if _, err := session.Login(ctx, secret('q')); err != nil {
		t.Fatal(err)
	}
	if err := session.ChangePIN(ctx, secret('q'), second); err != nil {
		t.Fatal(err)
	}
	if _, err := session.LoginState(ctx); err != nil {
		t.Fatal(err)
	}
	for _, c := range []byte("qK") {
		if n := remains(t, w.PID(), c); n != 0 {
			t.Errorf("PIN %c is %d times in the worker's memory", c, n)
		}
		if n := remains(t, syscall.Getpid(), c); n != 0 {
			t.Errorf("PIN %c is %d times in our memory", c, n)
		}
	}
	live := bytes.Repeat([]byte{'Z', 'Z' ^ 3, 'Z' ^ 5, 'Z' ^ 9}, 8) // the search does find what is there
	if n := search(t, syscall.Getpid(), 'Z'); n == 0 {
		t.Error("the search finds nothing at all")
	}
	Keep = live
}

// remains searches until nothing is found, five times at most: a signal in the
// instant between a copy and the clearing of its registers leaves the bytes on a
// signal stack until that thread's next signal.
func remains(t *testing.T, pid int, c byte) (hits int) {
	for range 5 {
		if hits = search(t, pid, c); hits == 0 {
			return 0
		}
		t.Logf("PIN %c is %d times in process %d", c, hits, pid)
		time.Sleep(time.Second)
	}
	return hits
}

// Keep keeps a value from being optimised away.
var Keep []byte
