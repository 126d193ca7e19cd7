package module

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"unsafe"

	p11 "github.com/miekg/pkcs11"

	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/pkcs11test"
)

const softokn = "/usr/lib/x86_64-linux-gnu/libsoftokn3.so"

// newNSS is a throw-away database of NSS softokn with a user PIN. NSS has its
// token in slot 2 and asks for an SO login with an empty PIN to set the first
// user PIN.
func newNSS(tb testing.TB) soft {
	tb.Helper()
	if _, err := os.Stat(softokn); err != nil {
		tb.Skipf("SKIPPED: NSS softokn is not installed (package libnss3): %v", err)
	}
	params := fmt.Sprintf("configdir='sql:%s' certPrefix='' keyPrefix='' secmod='secmod.db' flags= ", tb.TempDir())
	ctx := p11.New(softokn)
	b := append([]byte(params), 0)
	var pin runtime.Pinner
	pin.Pin(&b[0])
	defer pin.Unpin()
	check := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	check(ctx.Initialize(p11.InitializeWithReserved(unsafe.Pointer(&b[0]))))
	h, err := ctx.OpenSession(2, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
	check(err)
	check(ctx.Login(h, p11.CKU_SO, ""))
	check(ctx.InitPIN(h, softPIN))
	check(ctx.Logout(h))
	check(ctx.Finalize())
	return soft{module: softokn, env: []string{"MODULE_TEST_INIT=" + params}}
}

func testNSSInit(t *testing.T) {
	s := newNSS(t)
	if _, err := s.open(t).Tokens(ctx); err != nil {
		t.Error(err)
	}
	s.env = nil
	_, err := s.open(t).Tokens(ctx)
	wantErr(t, err, pkcs11.ErrModule)
}

func testCryptoSlot(t *testing.T) {
	if list, err := newNSS(t).open(t).Tokens(ctx); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}

func testSetPINLogin(t *testing.T) {
	s := newNSS(t).open(t)
	wantErr(t, s.ChangePIN(ctx, []byte(softPIN), []byte("567890")), pkcs11.ErrNotLoggedIn)
	login(t, s) // the PIN is the old one, and the session goes on
}

func TestContractNSS(t *testing.T) {
	pkcs11test.RunContract(t, func(t *testing.T) pkcs11test.Subject {
		return pkcs11test.Subject{Open: newNSS(t).open, PIN: softPIN, NewPIN: "567890", BadPIN: "9999"}
	})
}
