package pcsc

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"testing"
	"time"

	"mohr.internal/pkcs11"
	"mohr.internal/usb/usbtest/card"
)

func do(t *testing.T, r *Reader, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if _, err := r.Token.Do(line); err != nil {
			t.Fatal(err)
		}
	}
}

var spec = pkcs11.KeySpec{ID: []byte("renewal-0001"), Label: "key", Algorithm: pkcs11.P256}

// The token is pulled in the middle of key generation. OpenSC answers
// GENERAL_ERROR at once, and the module goes on saying that the token is there
// until the daemon looks again, 400 ms later: presence is what USB says. When the
// token is put back, one key is made, beside the empty key file of the first
// attempt.
func TestPullDuringKeyGeneration(t *testing.T) {
	slow(t)
	r := Start(t, newToken(t))
	s := r.open(t)
	login(t, s)
	do(t, r, "slow 1m")
	time.AfterFunc(300*time.Millisecond, r.Token.Pull)
	begun := time.Now()
	if _, err := s.GenerateKey(t.Context(), spec); !errors.Is(err, pkcs11.ErrRemoved) && !errors.Is(err, pkcs11.ErrDevice) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("noticed after %v", took)
	}
	s.Close()
	r.Wait(false)
	do(t, r, "slow 0s")
	r.Insert()
	s = r.open(t)
	login(t, s)
	spki, err := s.GenerateKey(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.GenerateKey(t.Context(), spec); err != nil || !bytes.Equal(again, spki) {
		t.Errorf("another key: %v", err)
	}
	if list, err := s.Objects(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("%d objects, %v", len(list), err)
	}
}

// Pulled at each VERIFY of a login, before or after it is executed, the token
// loses no more than the one try, and is told as a wrong PIN only if it is spent.
func TestPullDuringLogin(t *testing.T) {
	slow(t)
	r := Start(t, newToken(t))
	for _, when := range []string{"before", "after"} {
		for n := 1; pullAtVerify(t, r, n, when); n++ {
			if n > 20 {
				t.Fatal("a login without end")
			}
		}
	}
}

// pullAtVerify says whether there was an n-th VERIFY.
func pullAtVerify(t *testing.T, r *Reader, n int, when string) bool {
	t.Helper()
	if err := r.Token.Replace(newCard(t)); err != nil {
		t.Fatal(err)
	}
	s := r.open(t)
	defer s.Close()
	if _, err := s.LoginState(t.Context()); err != nil {
		t.Fatal(err)
	}
	do(t, r, fmt.Sprintf("fault ins=20,n=%d,pull=%s", n, when))
	_, err := s.Login(t.Context(), []byte("9999"))
	in, _ := r.Token.Inserted()
	if in {
		do(t, r, "clear")
		return false
	}
	left, _, _ := triesLeft(t, r)
	t.Logf("pulled %s VERIFY %d: %d tries, %v", when, n, left, err)
	var refused *pkcs11.PINError
	if told := errors.As(err, &refused); err == nil || left < 2 || told && left == 3 {
		t.Errorf("%d tries left, told %v", left, err)
	}
	r.Wait(false)
	r.Insert()
	return true
}

// A full card and a failing one are told apart from a pulled one.
func TestFullAndFailing(t *testing.T) {
	slow(t)
	r := Start(t, newToken(t))
	s := r.open(t)
	login(t, s)
	do(t, r, "full")
	if _, err := s.GenerateKey(t.Context(), spec); !errors.Is(err, pkcs11.ErrFull) {
		t.Errorf("full: got %v", err)
	}
	do(t, r, "capacity 131072", "fault ins=46,sw=6F00")
	if _, err := s.GenerateKey(t.Context(), spec); !errors.Is(err, pkcs11.ErrDevice) {
		t.Errorf("failing: got %v", err)
	}
	spki, err := s.GenerateKey(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	do(t, r, "fault ins=2A,sw=6F00")
	if _, err := s.Sign(t.Context(), pkcs11.KeyIDOf(spki), crypto.SHA256, make([]byte, 32)); !errors.Is(err, pkcs11.ErrDevice) {
		t.Errorf("failing signature: got %v", err)
	}
	if _, err := s.Sign(t.Context(), pkcs11.KeyIDOf(spki), crypto.SHA256, make([]byte, 32)); err != nil {
		t.Error(err)
	}
}

// A card that no driver knows is no token.
func TestForeignCard(t *testing.T) {
	slow(t)
	tok := card.NewToken(newCard(t), "", nil)
	tok.SetATR(card.ATRForeign)
	r := Start(t, tok)
	if list, err := r.open(t).Tokens(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	r.Pull()
	tok.SetATR(nil)
	r.Insert()
	if list, err := r.open(t).Tokens(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}
