package pkcs11_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/pkcs11test"
)

func TestMain(m *testing.M) {
	parentMain()
	pkcs11test.WorkerMain()
	os.Exit(m.Run())
}

var ctx = context.Background()

// call makes one request of a verb, with the PIN and key of a fresh token.
func call(s *pkcs11.Session, v pkcs11.Verb) (err error) {
	switch v {
	case pkcs11.VerbLogin:
		_, err = s.Login(ctx, []byte("1234"))
	case pkcs11.VerbChangePIN:
		err = s.ChangePIN(ctx, []byte("1234"), []byte("567890"))
	case pkcs11.VerbGenerateKey:
		_, err = s.GenerateKey(ctx, pkcs11.KeySpec{ID: []byte{1}, Algorithm: pkcs11.P256})
	case pkcs11.VerbTokens:
		_, err = s.Tokens(ctx)
	case pkcs11.VerbObjects:
		_, err = s.Objects(ctx)
	case pkcs11.VerbRandom:
		_, err = s.Random(ctx, 8)
	default:
		panic(v)
	}
	return err
}

// fault is one row: what a fault does to an ordinary verb, and whether the
// session goes on.
type fault struct {
	name string
	kind pkcs11test.Kind
	want error // of the verb it strikes
	next error // of the verb after it
}

var (
	gone    = pkcs11.ErrRemoved
	unknown = pkcs11.ErrOutcomeUnknown

	faults = []fault{
		{"none", 0, nil, nil},
		{"crash", pkcs11test.Crash, gone, gone},
		{"crash after the work", pkcs11test.CrashAfter, gone, gone},
		{"hang", pkcs11test.Hang, gone, gone},
		{"hang after the work", pkcs11test.HangAfter, gone, gone},
		{"half a reply", pkcs11test.Truncate, gone, gone},
		{"two replies", pkcs11test.Twice, nil, gone},
		{"trailing byte", pkcs11test.Trailing, gone, gone},
		{"text in place of a reply", pkcs11test.Babble, gone, gone},
		{"another version", pkcs11test.WrongVersion, gone, gone},
		{"another verb", pkcs11test.WrongVerb, gone, gone},
		{"another id", pkcs11test.WrongID, gone, gone},
		{"length of 4 GiB", pkcs11test.HugeLength, gone, gone},
		{"empty frame", pkcs11test.Empty, gone, gone},
		{"request sent back", pkcs11test.Echo, gone, gone},
		{"pulled", pkcs11test.Pull, gone, gone},
		{"pulled after the work", pkcs11test.PullAfter, gone, gone},
		{"ends after the reply", pkcs11test.ExitAfterReply, nil, gone},
	}
)

// check runs one verb into one fault.
func check(t *testing.T, s *pkcs11.Session, v pkcs11.Verb, f fault) {
	t.Helper()
	want := f.want
	if want == gone && v.SpendsTry() && f.kind != pkcs11test.Pull && f.kind != pkcs11test.PullAfter {
		want = unknown // a reply that says removed is definite, no reply is not
	}
	if f.kind == pkcs11test.Pull && v != pkcs11.VerbGenerateKey { // seen before, so it is missed
		call(s, pkcs11.VerbTokens)
	}
	err := call(s, v)
	if !errors.Is(err, want) || (want == unknown && errors.Is(err, gone)) {
		t.Errorf("%v: %v, want %v", v, err, want)
	}
	if err := call(s, pkcs11.VerbObjects); !errors.Is(err, f.next) {
		t.Errorf("after it: %v, want %v", err, f.next)
	}
}

func TestFaultsInProcess(t *testing.T) {
	for _, f := range faults {
		for _, v := range []pkcs11.Verb{pkcs11.VerbTokens, pkcs11.VerbGenerateKey, pkcs11.VerbLogin, pkcs11.VerbChangePIN} {
			t.Run(f.name+"/"+v.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { // a hang costs no time
					if v == pkcs11.VerbTokens && (f.kind == pkcs11test.Pull || f.kind == pkcs11test.PullAfter || f.kind == pkcs11test.Echo) {
						t.Skip("without a token the list is empty, not an error; an empty echo says no more")
					}
					tok := pkcs11test.New(pkcs11test.Options{})
					tok.Inject(pkcs11test.Fault{Kind: f.kind, Verb: v})
					s := tok.Open(t)
					if v == pkcs11.VerbGenerateKey {
						call(s, pkcs11.VerbLogin)
					}
					check(t, s, v, f)
					if n := tok.Calls(v); n != 1 {
						t.Errorf("%v was sent %d times", v, n)
					}
					if n := tok.PINTries(); n > 1 {
						t.Errorf("%d PIN tries", n)
					}
					s.Close()
				})
			})
		}
	}
}

func TestDefiniteErrorsLeaveTheSessionOpen(t *testing.T) {
	tok := pkcs11test.New(pkcs11test.Options{})
	tok.Inject(pkcs11test.Fault{Kind: pkcs11test.Full, Verb: pkcs11.VerbGenerateKey},
		pkcs11test.Fault{Kind: pkcs11test.GeneralError, Verb: pkcs11.VerbGenerateKey})
	s := tok.Open(t)
	call(s, pkcs11.VerbLogin)
	for _, want := range []error{pkcs11.ErrFull, pkcs11.ErrDevice, nil} {
		if err := call(s, pkcs11.VerbGenerateKey); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

func TestGeneralErrorDuringLogin(t *testing.T) {
	tok := pkcs11test.New(pkcs11test.Options{})
	tok.Inject(pkcs11test.Fault{Kind: pkcs11test.GeneralError, Verb: pkcs11.VerbLogin})
	s := tok.Open(t)
	if err := call(s, pkcs11.VerbLogin); !errors.Is(err, unknown) {
		t.Errorf("got %v", err)
	}
	if err := call(s, pkcs11.VerbTokens); !errors.Is(err, gone) {
		t.Errorf("session went on: %v", err)
	}
}

func TestLies(t *testing.T) {
	for _, v := range []pkcs11.Verb{pkcs11.VerbGenerateKey, pkcs11.VerbSign} {
		tok := pkcs11test.New(pkcs11test.Options{})
		tok.Inject(pkcs11test.Fault{Kind: pkcs11test.LieKey, Verb: v})
		s := tok.Open(t)
		call(s, pkcs11.VerbLogin)
		spki, err := s.GenerateKey(ctx, pkcs11.KeySpec{ID: []byte{1}, Algorithm: pkcs11.P256})
		if err == nil {
			signer, _ := s.Signer(ctx, spki)
			_, err = signer.Sign(nil, make([]byte, 32), crypto.SHA256)
		}
		if !errors.Is(err, gone) {
			t.Errorf("%v: %v", v, err)
		}
		if err := call(s, pkcs11.VerbTokens); !errors.Is(err, gone) {
			t.Errorf("session with a liar went on: %v", err)
		}
	}
}

// A call that is given up leaves nobody to take its reply.
func TestCancel(t *testing.T) {
	for _, v := range []pkcs11.Verb{pkcs11.VerbGenerateKey, pkcs11.VerbLogin} {
		synctest.Test(t, func(t *testing.T) {
			tok := pkcs11test.New(pkcs11test.Options{KeyDelay: time.Minute})
			s := tok.Open(t)
			want := unknown
			if v == pkcs11.VerbGenerateKey {
				want = gone
				call(s, pkcs11.VerbLogin)
			} else {
				tok.Inject(pkcs11test.Fault{Kind: pkcs11test.HangAfter, Verb: v})
			}
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			var err error
			pin := []byte("1234")
			if v == pkcs11.VerbLogin {
				_, err = s.Login(short, pin)
				if string(pin) != "\x00\x00\x00\x00" {
					t.Error("PIN not wiped")
				}
			} else {
				_, err = s.GenerateKey(short, pkcs11.KeySpec{ID: []byte{1}, Algorithm: pkcs11.P256})
			}
			if !errors.Is(err, want) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v: %v", v, err)
			}
			if err := call(s, pkcs11.VerbTokens); !errors.Is(err, gone) {
				t.Errorf("session went on: %v", err)
			}
			s.Close()
			time.Sleep(2 * time.Minute) // the token's own goroutine ends
		})
	}
}

func TestDeadlinePerVerb(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tok := pkcs11test.New(pkcs11test.Options{KeyDelay: 90 * time.Second})
		s := tok.Open(t)
		call(s, pkcs11.VerbLogin)
		start := time.Now()
		if err := call(s, pkcs11.VerbGenerateKey); err != nil {
			t.Errorf("slow key generation: %v", err)
		}
		tok.Inject(pkcs11test.Fault{Kind: pkcs11test.Hang, Verb: pkcs11.VerbRandom})
		if err := call(s, pkcs11.VerbRandom); !errors.Is(err, gone) {
			t.Errorf("hang: %v", err)
		}
		if took, want := time.Since(start), 100*time.Second; took != want {
			t.Errorf("took %v, want %v", took, want)
		}
		s.Close()
	})
}

// A connection that is closed already was given no PIN: the outcome is known.
func TestNothingSentIsDefinite(t *testing.T) {
	ours, theirs := net.Pipe()
	theirs.Close()
	if err := call(pkcs11.NewSession(ours), pkcs11.VerbLogin); !errors.Is(err, gone) || errors.Is(err, unknown) {
		t.Errorf("got %v", err)
	}
}

func TestTokenComesAndGoes(t *testing.T) {
	tok := pkcs11test.New(pkcs11test.Options{})
	s := tok.Open(t)
	if err := call(s, pkcs11.VerbLogin); err != nil {
		t.Fatal(err)
	}
	tok.Remove()
	tok.Insert() // the same token again is another insertion
	if err := call(s, pkcs11.VerbGenerateKey); !errors.Is(err, gone) {
		t.Errorf("old session: %v", err)
	}
	s = tok.Open(t)
	if err := call(s, pkcs11.VerbLogin); err != nil {
		t.Errorf("new session: %v", err)
	}
	tok.Remove()
	s = tok.Open(t)
	if list, err := s.Tokens(ctx); len(list) != 0 || err != nil {
		t.Errorf("no token: %v, %v", list, err)
	}
	if err := call(s, pkcs11.VerbLogin); !errors.Is(err, pkcs11.ErrNoToken) {
		t.Errorf("no token: %v", err)
	}
}

func TestFlags(t *testing.T) {
	type state = pkcs11.PINState
	tests := []struct {
		name  string
		flags pkcs11test.Flags
		want  [3]state // after one, two, three wrong tries
	}{
		{"all", pkcs11test.FlagsAll, [3]state{{Low: true}, {Low: true, Final: true}, {Low: true, Locked: true}}},
		{"final", pkcs11test.FlagsFinal, [3]state{{}, {Final: true}, {Locked: true}}},
		{"low", pkcs11test.FlagsLow, [3]state{{Low: true}, {Low: true}, {Low: true}}},
		{"none", pkcs11test.FlagsNone, [3]state{}},
	}
	for _, tt := range tests {
		tok := pkcs11test.New(pkcs11test.Options{Flags: tt.flags})
		s := tok.Open(t)
		for i, want := range tt.want {
			want.TriesLeft = -1
			got, err := s.Login(ctx, []byte("0000"))
			if got != want || err == nil {
				t.Errorf("%s, try %d: %+v, %v", tt.name, i+1, got, err)
			}
		}
		var refused *pkcs11.PINError
		if _, err := s.Login(ctx, []byte("1234")); !errors.As(err, &refused) || refused.Reason != pkcs11.PINLocked {
			t.Errorf("%s: locked PIN: %v", tt.name, err)
		}
	}
}

// Serve answers a request it cannot read, and ends at a frame it cannot read.
func TestServeBadRequests(t *testing.T) {
	tok := pkcs11test.New(pkcs11test.Options{})
	conn := tok.Dial()
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	pkcs11.WriteFrame(conn, pkcs11.Frame{Verb: pkcs11.VerbLogin, ID: 5, Payload: []byte("\x00")})
	f, err := pkcs11.ReadFrame(conn)
	if err != nil || f.Verb != pkcs11.VerbLogin || f.ID != 5 || len(f.Payload) == 0 || f.Payload[0] != 19 {
		t.Errorf("bad payload: %+v, %v", f, err)
	}
	for name, bad := range map[string]string{"version": "\x00\x00\x00\x06\x09\x01\x00\x00\x00\x06", "a reply": "\x00\x00\x00\x06\x01\x81\x00\x00\x00\x06"} {
		conn := tok.Dial()
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		conn.Write([]byte(bad))
		if _, err := pkcs11.ReadFrame(conn); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if tok.PINTries() != 0 {
		t.Error("a PIN was tried")
	}
}

// FuzzServe gives the server loop any bytes. Whatever they are, it tries no more
// PINs than it was sent frames.
func FuzzServe(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	var seed bytes.Buffer
	for id, payload := range []string{"", "\x041234", "\x00\x00", "\x011\x00\x02", ""} {
		verb := []pkcs11.Verb{pkcs11.VerbTokens, pkcs11.VerbLogin, pkcs11.VerbObjects, pkcs11.VerbGenerateKey, pkcs11.VerbExit}[id]
		pkcs11.WriteFrame(&seed, pkcs11.Frame{Verb: verb, ID: uint32(id), Payload: []byte(payload)})
	}
	f.Add(seed.Bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		tok := pkcs11test.New(pkcs11test.Options{NewKey: func(pkcs11.KeyAlgorithm) (crypto.Signer, error) { return key, nil }})
		conn := &oneWay{Reader: bytes.NewReader(in)}
		tok.Serve(conn)
		if tok.PINTries() > conn.frames+1 || tok.PINTries() > len(in)/10 {
			t.Errorf("%d PIN tries, %d replies", tok.PINTries(), conn.frames)
		}
	})
}

// oneWay is a connection of which the other side is all said already.
type oneWay struct {
	io.Reader
	frames int
}

func (o *oneWay) Write(b []byte) (int, error) { o.frames++; return len(b), nil }
func (o *oneWay) Close() error                { return nil }
