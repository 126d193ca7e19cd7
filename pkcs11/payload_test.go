package pkcs11

import (
	"bytes"
	"crypto"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the fuzz seeds anew")

// replies make an empty reply for each verb, as Session's methods do.
var replies = map[Verb]func() message{
	VerbTokens:           func() message { return &tokensReply{} },
	VerbSelect:           func() message { return &nothing{} },
	VerbObjects:          func() message { return &objectsReply{} },
	VerbLogin:            func() message { return &PINState{} },
	VerbLogout:           func() message { return &nothing{} },
	VerbLoginState:       func() message { return &LoginState{} },
	VerbGenerateKey:      func() message { return &blob{max: maxKey} },
	VerbSign:             func() message { return &blob{max: maxSignature} },
	VerbWriteCertificate: func() message { return &nothing{} },
	VerbReadCertificates: func() message { return &certificatesReply{} },
	VerbChangePIN:        func() message { return &nothing{} },
	VerbRetire:           func() message { return &nothing{} },
	VerbRandom:           func() message { return &blob{max: maxRandom} },
	VerbExit:             func() message { return &nothing{} },
}

var (
	sampleState = PINState{Low: true, Final: true, TriesLeft: -1}
	sampleToken = Token{Label: "Citizen", Manufacturer: "Mohr", Model: "m", Serial: "01", MinPIN: 4, MaxPIN: 255,
		FreePublic: -1, FreePrivate: 1 << 33, PIN: PINState{TriesLeft: 3}, Initialised: true, RSA: true}
	sampleObject = Object{ID: []byte{1, 2}, Label: "کلید", CertificateDER: []byte("cert"), PublicKeyDER: []byte("key"),
		HasPublic: true, HasPrivate: true, Problem: "none"}
)

// sampleRequests and sampleReplies have a value in every field.
var sampleRequests = map[Verb]message{
	VerbTokens: &nothing{}, VerbLogout: &nothing{}, VerbLoginState: &nothing{}, VerbExit: &nothing{},
	VerbSelect:           &TokenName{"01", "Citizen", "Mohr"},
	VerbObjects:          &objectsRequest{7},
	VerbLogin:            &loginRequest{[]byte("1234")},
	VerbGenerateKey:      &KeySpec{ID: []byte("id"), Label: "label", Algorithm: P256},
	VerbSign:             &signRequest{KeyID{1, 31: 2}, crypto.SHA256, bytes.Repeat([]byte{9}, 32)},
	VerbWriteCertificate: &writeRequest{KeyID{3}, "label", []byte("cert")},
	VerbReadCertificates: &keyRequest{KeyID{4}},
	VerbChangePIN:        &changePINRequest{[]byte("1234"), []byte("567890")},
	VerbRetire:           &Retirement{KeyID{5}, KeyID{6}, [32]byte{7}},
	VerbRandom:           &randomRequest{32},
}

var sampleReplies = map[Verb]message{
	VerbSelect: &nothing{}, VerbLogout: &nothing{}, VerbWriteCertificate: &nothing{}, VerbChangePIN: &nothing{},
	VerbRetire: &nothing{}, VerbExit: &nothing{},
	VerbTokens:           &tokensReply{[]Token{sampleToken, {PIN: sampleState}}},
	VerbObjects:          &objectsReply{3, []Object{sampleObject, {}}},
	VerbLogin:            &sampleState,
	VerbLoginState:       &LoginState{true, sampleState},
	VerbGenerateKey:      &blob{[]byte("spki"), maxKey},
	VerbSign:             &blob{[]byte("sig"), maxSignature},
	VerbReadCertificates: &certificatesReply{[][]byte{[]byte("a"), []byte("b")}},
	VerbRandom:           &blob{[]byte("random"), maxRandom},
}

func TestPayloadRoundTrip(t *testing.T) {
	for verb := range verbs {
		for name, dir := range map[string]struct {
			sample map[Verb]message
			make   map[Verb]func() message
		}{"request": {sampleRequests, requests}, "reply": {sampleReplies, replies}} {
			m := dir.sample[verb]
			if m == nil || dir.make[verb] == nil {
				t.Errorf("%v: no %s", verb, name)
				continue
			}
			b := encode(m)
			got := dir.make[verb]()
			if err := decode(b, got); err != nil || !reflect.DeepEqual(got, m) {
				t.Errorf("%v %s: %+v, %v, want %+v", verb, name, got, err, m)
			}
			if err := decode(append(b, 0), dir.make[verb]()); !errors.Is(err, ErrFrame) {
				t.Errorf("%v %s with a trailing byte: %v", verb, name, err)
			}
			for n := range b {
				if err := decode(b[:n], dir.make[verb]()); !errors.Is(err, ErrFrame) {
					t.Errorf("%v %s cut to %d of %d bytes: %v", verb, name, n, len(b), err)
				}
			}
		}
	}
}

func TestPayloadBounds(t *testing.T) {
	long := strings.Repeat("x", 1<<16-1)
	tests := []struct {
		name string
		m    message
		in   string
		good bool
	}{
		{"empty PIN", &loginRequest{}, "\x00", false},
		{"one-byte PIN", &loginRequest{}, "\x011", true},
		{"empty new PIN", &changePINRequest{}, "\x011\x00", false},
		{"boolean 2", &LoginState{}, "\x02\x00\x00\x00\x00\xff", false},
		{"boolean 1", &LoginState{}, "\x01\x00\x00\x00\x00\xff", true},
		{"label not UTF-8", &KeySpec{}, "\x01i\x01\xff\x01", false},
		{"no CKA_ID", &KeySpec{}, "\x00\x00\x01", false},
		{"algorithm 0", &KeySpec{}, "\x01i\x00\x00", false},
		{"algorithm 2", &KeySpec{}, "\x01i\x00\x02", true},
		{"algorithm 3", &KeySpec{}, "\x01i\x00\x03", false},
		{"SHA-256 of 31 bytes", &signRequest{}, strings.Repeat("k", 32) + "\x05\x1f" + strings.Repeat("d", 31), false},
		{"SHA-256 of 32 bytes", &signRequest{}, strings.Repeat("k", 32) + "\x05\x20" + strings.Repeat("d", 32), true},
		{"SHA-1", &signRequest{}, strings.Repeat("k", 32) + "\x03\x14" + strings.Repeat("d", 20), false},
		{"largest certificate", &writeRequest{}, strings.Repeat("k", 32) + "\x00\x80\x00" + long[:MaxCertificate], true},
		{"too large a certificate", &writeRequest{}, strings.Repeat("k", 32) + "\x00\x80\x01" + long[:MaxCertificate+1], false},
		{"no signature", &blob{max: maxSignature}, "\x00\x00", false},
		{"33 tokens", &tokensReply{}, "\x21", false},
		{"513 objects", &objectsReply{}, "\x02\x01\x00\x00", false},
		{"512 objects", &objectsReply{}, "\x02\x00\x00\x00", true},
		{"more objects than there are", &objectsReply{}, "\x00\x00\x00\x01", false},
		{"no random bytes", &randomRequest{}, "\x00\x00", false},
		{"1024 random bytes", &randomRequest{}, "\x04\x00", true},
		{"1025 random bytes", &randomRequest{}, "\x04\x01", false},
	}
	for _, tt := range tests {
		if err := decode([]byte(tt.in), tt.m); (err == nil) != tt.good || (err != nil && !errors.Is(err, ErrFrame)) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestErrorReplies(t *testing.T) {
	for code, kind := range kinds {
		var w writer
		putError(&w, fmt.Errorf("wrapped: %w", &Error{Kind: kind, CKR: 5, Text: "text"}))
		got, malformed := getReply(VerbSign, w.b, &nothing{})
		var e *Error
		if malformed != nil || !errors.Is(got, kind) || !errors.As(got, &e) || e.CKR != 5 || e.Text != "text" || w.b[0] != code {
			t.Errorf("%v: %v, %v", kind, got, malformed)
		}
	}
	for reason := PINWrong; reason <= PINUnset; reason++ {
		var w writer
		putError(&w, &PINError{VerbSign, reason, sampleState})
		got, malformed := getReply(VerbSign, w.b, &nothing{})
		if want := (&PINError{VerbSign, reason, sampleState}); malformed != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %v, %v", reason, got, malformed)
		}
	}
	var w writer
	putError(&w, errors.New(strings.Repeat("é", 200)))
	if got, malformed := getReply(VerbSign, w.b, &nothing{}); malformed != nil || !errors.Is(got, ErrDevice) {
		t.Errorf("any error: %v, %v", got, malformed)
	}
	for _, bad := range []string{"", "\x00x", "\x01\x00\x00\x00\x00\x00\xff", "\x01\x07\x00\x00\x00\x00\xff", "\x16\x00\x00\x00\x00\x00", "\x02\x00\x00\x00\x00\x00x"} {
		if got, malformed := getReply(VerbSelect, []byte(bad), &nothing{}); got != nil || !errors.Is(malformed, ErrFrame) {
			t.Errorf("%x: %v, %v", bad, got, malformed)
		}
	}
}

func TestErrorText(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{&Error{Verb: VerbSign, Kind: ErrRemoved, CKR: 0x32, Text: "C_Sign"}, "pkcs11: sign: token or worker gone: C_Sign (CKR 0x32)"},
		{&PINError{Verb: VerbLogin, Reason: PINLength}, "pkcs11: login: PIN bad length"},
		{&Error{Verb: VerbLogin, Kind: ErrOutcomeUnknown, err: os.ErrDeadlineExceeded}, "pkcs11: login: outcome of the PIN try unknown: i/o timeout"},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Fuzz(func(t *testing.T, verb byte, in []byte) {
		newMessage := requests[Verb(verb)]
		if newMessage == nil {
			return
		}
		m := newMessage()
		if decode(in, m) != nil {
			return
		}
		if out := encode(m); !bytes.Equal(out, in) {
			t.Fatalf("%v: read %x, wrote %x", Verb(verb), in, out)
		}
	})
}

func FuzzReply(f *testing.F) {
	f.Fuzz(func(t *testing.T, verb byte, in []byte) {
		newMessage := replies[Verb(verb)]
		if newMessage == nil {
			return
		}
		m := newMessage()
		reported, malformed := getReply(Verb(verb), in, m)
		if malformed != nil {
			return
		}
		var w writer
		if reported != nil {
			putError(&w, reported)
		} else {
			w.u8(0)
			m.put(&w)
		}
		if !bytes.Equal(w.b, in) {
			t.Fatalf("%v: read %x, wrote %x", Verb(verb), in, w.b)
		}
	})
}

func FuzzSplitCertificate(f *testing.F) {
	f.Fuzz(func(t *testing.T, der []byte) {
		fields, err := SplitCertificate(der)
		if err != nil {
			return
		}
		for _, v := range [][]byte{fields.Serial, fields.Issuer, fields.Subject, fields.PublicKey} {
			if len(v) < 2 || !bytes.Contains(der, v) {
				t.Fatalf("%x is not of the certificate", v)
			}
		}
		KeyIDOf(fields.PublicKey)
	})
}

// TestSeeds keeps the committed seeds in step with the samples above.
func TestSeeds(t *testing.T) {
	seeds := map[string]string{}
	add := func(target, name, body string) {
		seeds[filepath.Join("testdata", "fuzz", target, name)] = "go test fuzz v1\n" + body
	}
	for verb := range verbs {
		name := strings.ReplaceAll(verb.String(), " ", "-")
		payload := encode(sampleRequests[verb])
		var frame bytes.Buffer
		if _, err := WriteFrame(&frame, Frame{false, verb, 7, payload}); err != nil {
			t.Fatal(err)
		}
		add("FuzzFrame", name, fmt.Sprintf("[]byte(%q)\n", frame.Bytes()))
		frame.Reset()
		if _, err := WriteFrame(&frame, Frame{true, verb, 7, append([]byte{0}, encode(sampleReplies[verb])...)}); err != nil {
			t.Fatal(err)
		}
		add("FuzzFrame", name+"-reply", fmt.Sprintf("[]byte(%q)\n", frame.Bytes()))
		add("FuzzRequest", name, fmt.Sprintf("byte('\\x%02x')\n[]byte(%q)\n", byte(verb), payload))
		add("FuzzReply", name, fmt.Sprintf("byte('\\x%02x')\n[]byte(%q)\n", byte(verb), append([]byte{0}, encode(sampleReplies[verb])...)))
	}
	for name, err := range map[string]error{"pin-error": &PINError{Reason: PINWrong, State: sampleState}, "error": &Error{Kind: ErrFull, CKR: 0x31, Text: "t"}} {
		var w writer
		putError(&w, err)
		add("FuzzReply", name, fmt.Sprintf("byte('\\x04')\n[]byte(%q)\n", w.b))
	}
	for path, body := range seeds {
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != body {
			t.Errorf("seed %s is not up to date (go test -run Seeds -update): %v", path, err)
		}
	}
}
