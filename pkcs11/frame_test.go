package pkcs11

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestFrameMalformed(t *testing.T) {
	good := "\x00\x00\x00\x08\x01\x01\x00\x00\x00\x07hi"
	tests := []struct {
		name, in string
		want     error
	}{
		{"good", good, nil},
		{"nothing", "", io.EOF},
		{"part of length", good[:3], io.ErrUnexpectedEOF},
		{"length only", good[:4], io.ErrUnexpectedEOF},
		{"part of header", good[:7], io.ErrUnexpectedEOF},
		{"part of payload", good[:11], io.ErrUnexpectedEOF},
		{"shorter than header", "\x00\x00\x00\x05\x01\x01\x00\x00\x00", ErrFrame},
		{"one over the cap", "\x00\x01\x00\x01\x01\x01\x00\x00\x00\x07", ErrFrame},
		{"4 GiB", "\xff\xff\xff\xff\x01\x01\x00\x00\x00\x07", ErrFrame},
		{"version 0", "\x00\x00\x00\x06\x00\x01\x00\x00\x00\x07", ErrFrame},
		{"version 2", "\x00\x00\x00\x06\x02\x01\x00\x00\x00\x07", ErrFrame},
		{"verb 0", "\x00\x00\x00\x06\x01\x00\x00\x00\x00\x07", ErrFrame},
		{"reply", "\x00\x00\x00\x06\x01\x81\x00\x00\x00\x07", nil},
		{"reply to verb 0", "\x00\x00\x00\x06\x01\x80\x00\x00\x00\x07", ErrFrame},
		{"verb 15", "\x00\x00\x00\x06\x01\x0f\x00\x00\x00\x07", ErrFrame},
	}
	for _, tt := range tests {
		f, err := ReadFrame(strings.NewReader(tt.in))
		if !errors.Is(err, tt.want) || (err != nil && f.Payload != nil) {
			t.Errorf("%s: %+v, %v, want %v", tt.name, f, err, tt.want)
		}
	}
}

func TestFrameCap(t *testing.T) {
	var buf bytes.Buffer
	if n, err := WriteFrame(&buf, Frame{Verb: VerbSign, Payload: make([]byte, MaxPayload+1)}); n != 0 || !errors.Is(err, ErrFrame) {
		t.Errorf("over the cap: %d, %v", n, err)
	}
	if _, err := WriteFrame(&buf, Frame{Verb: VerbSign, Payload: make([]byte, MaxPayload)}); err != nil {
		t.Error(err)
	}
	if f, err := ReadFrame(&buf); err != nil || len(f.Payload) != MaxPayload {
		t.Errorf("at the cap: %d, %v", len(f.Payload), err)
	}
}

// keeper keeps what it was given, not a copy: the test sees it wiped.
type keeper struct{ b []byte }

func (k *keeper) Write(b []byte) (int, error) { k.b = b; return len(b), nil }

func TestFrameWiped(t *testing.T) {
	var k keeper
	f := Frame{Verb: VerbLogin, Payload: []byte("\x041234")}
	if _, err := WriteFrame(&k, f); err != nil {
		t.Fatal(err)
	}
	f.Wipe()
	for name, b := range map[string][]byte{"buffer": k.b, "payload": f.Payload} {
		if !bytes.Equal(b, make([]byte, len(b))) {
			t.Errorf("%s not wiped: %q", name, b)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		frame, err := ReadFrame(r)
		if err != nil {
			return
		}
		var out bytes.Buffer
		if _, err := WriteFrame(&out, frame); err != nil {
			t.Fatal(err)
		}
		if read := in[:len(in)-r.Len()]; !bytes.Equal(out.Bytes(), read) {
			t.Fatalf("read %x, wrote %x", read, out.Bytes())
		}
	})
}
