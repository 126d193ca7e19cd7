package pcsc

import (
	"fmt"
	"os"
	"testing"

	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/module"
	"mohr.internal/pkcs11/pkcs11test"
	"mohr.internal/usb/usbtest/card"
)

// TestMain is the worker when this binary was started by open.
func TestMain(m *testing.M) {
	if os.Getenv("PCSC_TEST_WORKER") == "" {
		os.Exit(m.Run())
	}
	conn, err := pkcs11.Inherit()
	if err == nil {
		err = module.Serve(conn, os.Args[len(os.Args)-1], module.Options{})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// newCard is an initialised card.
func newCard(tb testing.TB) *card.Card {
	tb.Helper()
	c := card.New(card.Options{Serial: [10]byte{9: 1}})
	if err := c.Initialise(card.Profile{Label: "Citizen"}); err != nil {
		tb.Fatal(err)
	}
	return c
}

func newToken(tb testing.TB) *card.Token { return card.NewToken(newCard(tb), "", nil) }

// open starts the real worker with stock OpenSC.
func (r *Reader) open(tb testing.TB) *pkcs11.Session {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	w, err := pkcs11.StartWorker(pkcs11.WorkerCommand{Path: self, ModulePath: Module(), Env: append([]string{"PCSC_TEST_WORKER=1"}, r.Env...)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		w.Conn().Close()
		w.Wait()
		if tb.Failed() {
			tb.Logf("worker's stderr: %s", w.StderrTail())
		}
	})
	return w.Session()
}

// Stock opensc-pkcs11.so on the virtual card, through the real worker, keeps
// what every module has to keep. Each case has a card of its own; the daemon is
// one for all, as it takes half a second to see its first card.
func TestContractOpenSC(t *testing.T) {
	r := Start(t, newToken(t))
	pkcs11test.RunContract(t, func(t *testing.T) pkcs11test.Subject {
		if err := r.Token.Replace(newCard(t)); err != nil {
			t.Fatal(err)
		}
		return pkcs11test.Subject{Open: r.open, PIN: card.UserPIN, NewPIN: "567890", BadPIN: "9999", Short: "12", Locks: 3, OneCertificate: true}
	})
}
