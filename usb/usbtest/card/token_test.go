package card

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	askPIN   = []byte{0, insVerify, 0, 1, 0}
	goodPIN  = append([]byte{0, insVerify, 0, 1, 8}, padded(UserPIN)...)
	badPIN   = append([]byte{0, insVerify, 0, 1, 8}, padded("9753")...)
	createEC = []byte("\x00\xe0\x00\x00\x19\x62\x17\x81\x02\x01\x00\x82\x01\x22\x83\x02\x4b\x01\x86\x03\x11\x11\xff\x85\x02\x00\x00\x8a\x01\x00")
	generate = []byte{0, insGenerate, 0, 0, 0}
	inDF     = []byte("\x00\xa4\x08\x0c\x02\x50\x15")
)

func do(t *testing.T, tok *Token, line string) string {
	t.Helper()
	answer, err := tok.Do(line)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func wantAnswer(t *testing.T, tok *Token, raw []byte, want string) {
	t.Helper()
	answer, err := tok.Transmit(raw)
	if err != nil || !bytes.Equal(answer, unhex(t, want)) {
		t.Fatalf("%s: %X, %v; want %s", Describe(raw), answer, err, want)
	}
}

func wantPulled(t *testing.T, tok *Token, raw []byte) {
	t.Helper()
	if answer, err := tok.Transmit(raw); !errors.Is(err, ErrPulled) || answer != nil {
		t.Fatalf("%s: %X, %v; want no answer", Describe(raw), answer, err)
	}
	if in, _ := tok.Inserted(); in {
		t.Fatal("still in the reader")
	}
}

// The state file is the card: what a command changed is in it when the answer
// comes, also when the card is pulled before it comes.
func TestTokenKeepsState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "card")
	tok := NewToken(initialised(t), path, nil)
	reload := func() *Card {
		t.Helper()
		c, err := Load(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	wantAnswer(t, tok, badPIN, "63C2")
	if left, _, _ := reload().PINTries(1); left != 2 {
		t.Errorf("%d tries in the file", left)
	}
	do(t, tok, "fault ins=20,pull=after")
	wantPulled(t, tok, badPIN)
	if left, _, _ := reload().PINTries(1); left != 1 {
		t.Errorf("%d tries in the file after the answer was lost", left)
	}
	do(t, tok, "insert")
	do(t, tok, "fault ins=20,pull=before")
	wantPulled(t, tok, badPIN)
	if left, _, _ := reload().PINTries(1); left != 1 {
		t.Errorf("%d tries in the file after a command that was not executed", left)
	}
	wantPulled(t, tok, goodPIN)
	do(t, tok, "insert")
	wantAnswer(t, tok, goodPIN, "9000")

	tok = NewToken(reload(), filepath.Join(path, "not a folder"), nil)
	if answer, err := tok.Transmit(badPIN); err == nil || answer != nil {
		t.Errorf("answered %X without saving", answer)
	}
}

func TestFaults(t *testing.T) {
	tok := NewToken(initialised(t), "", nil)
	do(t, tok, "fault n=2,sw=6F00")
	do(t, tok, "fault ins=A4,n=2,sw=6A84")
	wantAnswer(t, tok, askPIN, "63C3")
	wantAnswer(t, tok, badPIN, "6F00") // not executed
	wantAnswer(t, tok, askPIN, "63C3")
	wantAnswer(t, tok, inDF, "9000")
	wantAnswer(t, tok, inDF, "6A84")
	wantAnswer(t, tok, inDF, "9000") // once
	do(t, tok, "fault sw=6F00")
	do(t, tok, "clear")
	wantAnswer(t, tok, askPIN, "63C3")
	if got := do(t, tok, "status"); !strings.HasPrefix(got, "inserted=true commands=7 faults=0 slow=0s active=true used=") || !strings.HasSuffix(got, " capacity=131072 pin1=3 puk1=10 pin3=3 puk3=10") {
		t.Error(got)
	}
	for _, bad := range []string{"fault", "fault n=0,sw=6F00", "fault sw=1234", "fault sw=6F00,pull=after", "fault n=1", "fault pull=never",
		"fault ins=100,sw=6F00", "slow", "slow soon", "capacity", "atr", "atr 3B", "atr xyz", "explode", ""} {
		if _, err := tok.Do(bad); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}

// A pull in the middle of a slow key generation leaves an empty key file, as a
// real card does; put back, it can be used and found.
func TestPullDuringGeneration(t *testing.T) {
	tok := NewToken(initialised(t), "", nil)
	wantAnswer(t, tok, inDF, "9000")
	wantAnswer(t, tok, goodPIN, "9000")
	wantAnswer(t, tok, createEC, "9000")
	do(t, tok, "slow 1m")
	_, changed := tok.Inserted()
	go func() {
		time.Sleep(10 * time.Millisecond)
		tok.Pull()
	}()
	wantPulled(t, tok, generate)
	<-changed
	do(t, tok, "slow 1ms")
	do(t, tok, "insert")
	wantAnswer(t, tok, []byte("\x00\xa4\x08\x0c\x04\x50\x15\x4b\x01"), "9000")
	wantAnswer(t, tok, []byte("\x00\xca\x01\x86\x00"), "6A88")
	wantAnswer(t, tok, generate, "6982") // nobody is logged in any more
	wantAnswer(t, tok, goodPIN, "9000")
	wantAnswer(t, tok, generate, "9000")
}

func TestATRKnob(t *testing.T) {
	tok := NewToken(blank(), "", nil)
	for line, want := range map[string][]byte{"atr t0": ATRT0, "atr t1": ATRT1, "atr foreign": ATRForeign, "atr 3B00": {0x3b, 0}} {
		if do(t, tok, line); !bytes.Equal(tok.ATR(ATRT1), want) {
			t.Errorf("%s: %X", line, tok.ATR(ATRT1))
		}
	}
	if do(t, tok, "atr usual"); !bytes.Equal(tok.ATR(ATRT1), ATRT1) {
		t.Errorf("%X", tok.ATR(ATRT1))
	}
}

func TestFullKnob(t *testing.T) {
	path := filepath.Join(t.TempDir(), "card")
	tok := NewToken(initialised(t), path, nil)
	do(t, tok, "full")
	wantAnswer(t, tok, inDF, "9000")
	wantAnswer(t, tok, goodPIN, "9000")
	wantAnswer(t, tok, createEC, "6A84")
	if c, err := Load(path, nil); err != nil || c.Used() != c.Capacity() {
		t.Errorf("not kept: %v", err)
	}
	do(t, tok, "capacity 131072")
	wantAnswer(t, tok, createEC, "9000")
}

// The log says what is about to happen and what came of it, and no PIN, whatever
// the class, in pieces of a chain or in what is no command.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	tok := NewToken(initialised(t), "", slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	wantAnswer(t, tok, inDF, "9000")
	for _, text := range []string{`n=1 apdu="SELECT 00A4080C Lc 2 5015"`, "msg=executed n=1 status=9000 data=0 answered=true"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("not in the log: %s\n%s", text, out.String())
		}
	}
	pin := "97538642"
	for _, raw := range [][]byte{
		append([]byte{0, insVerify, 0, 1, 8}, pin...),
		append([]byte{0xa0, insVerify, 0, 1, 8}, pin...),
		append([]byte{0x10, insVerify, 0, 1, 4}, pin[:4]...),
		append([]byte{0, insVerify, 0, 1, 9}, pin...), // wrong length
		append([]byte{0, insChange, 0, 1, 16}, pin+pin...),
		append([]byte{0, insResetRetry, 0, 1, 16}, pin+pin...),
		append([]byte{0, insPutData, 1, 2, 19}, pin+pin+"\x03\x0a\x00"...),
		append([]byte{0, 0x21, 0, 1, 8}, pin...), // unknown instruction
		append([]byte{0, insVerify, 0, 1, 0, 0, 8}, pin...),
		[]byte(pin),
	} {
		tok.Transmit(raw)
	}
	for _, secret := range []string{"97538642", "3937353338363432", "39373533"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("in the log: %s\n%s", secret, out.String())
		}
	}
}
