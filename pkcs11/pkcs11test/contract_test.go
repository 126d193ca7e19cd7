package pkcs11test

import (
	"os"
	"path/filepath"
	"testing"

	"mohr.internal/pkcs11"
)

func TestMain(m *testing.M) {
	WorkerMain()
	os.Exit(m.Run())
}

func subject(open func(testing.TB) *pkcs11.Session) Subject {
	return Subject{Open: open, PIN: "1234", NewPIN: "567890", BadPIN: "9999", Short: "12", Locks: 3}
}

func TestContractInProcess(t *testing.T) {
	RunContract(t, func(t *testing.T) Subject {
		tok := New(Options{})
		return subject(func(tb testing.TB) *pkcs11.Session { return tok.Open(tb) })
	})
}

func TestContractWorker(t *testing.T) {
	RunContract(t, func(t *testing.T) Subject {
		o := Options{File: filepath.Join(t.TempDir(), "token.json"), Flags: FlagsFinal}
		return subject(func(tb testing.TB) *pkcs11.Session { return StartWorker(tb, o).Session() })
	})
}
