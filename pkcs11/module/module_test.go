package module

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/pkcs11test"
)

// TestMain is the worker when this binary was started by open.
func TestMain(m *testing.M) {
	if out := os.Getenv("MODULE_TEST_PROBE"); out != "" {
		probeMain(out)
	}
	if os.Getenv("MODULE_TEST_WORKER") == "" {
		os.Exit(m.Run())
	}
	conn, err := pkcs11.Inherit()
	if err == nil {
		err = Serve(conn, os.Args[len(os.Args)-1], Options{InitString: os.Getenv("MODULE_TEST_INIT")})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// soft is a throw-away token of a module in software, SoftHSM as a rule.
type soft struct {
	env    []string
	module string
	via    []string // what runs the worker, nothing as a rule
}

const (
	softPIN = "1234"
	softSO  = "12345678"
)

func newSoft(tb testing.TB) soft {
	tb.Helper()
	util, err := exec.LookPath("softhsm2-util")
	if _, missing := os.Stat(softHSM); missing != nil || err != nil {
		tb.Skipf("SKIPPED: SoftHSM is not installed (packages softhsm2, libsofthsm2): %v %v", missing, err)
	}
	dir := tb.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+dir+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	s := soft{env: []string{"SOFTHSM2_CONF=" + conf}, module: softHSM}
	cmd := exec.Command(util, "--init-token", "--free", "--label", "Citizen", "--so-pin", softSO, "--pin", softPIN)
	cmd.Env = append(os.Environ(), s.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("softhsm2-util: %v\n%s", err, out)
	}
	return s
}

// start starts a worker with the module.
func (s soft) start(tb testing.TB, env ...string) *pkcs11.Worker {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	line := append(slices.Clone(s.via), self)
	w, err := pkcs11.StartWorker(pkcs11.WorkerCommand{Path: line[0], Args: line[1:], ModulePath: s.module,
		Env: append(append([]string{"MODULE_TEST_WORKER=1"}, s.env...), env...)})
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
	return w
}

func (s soft) open(tb testing.TB) *pkcs11.Session { return s.start(tb).Session() }

func TestContractSoftHSM(t *testing.T) {
	pkcs11test.RunContract(t, func(t *testing.T) pkcs11test.Subject {
		return pkcs11test.Subject{Open: newSoft(t).open, PIN: softPIN, NewPIN: "567890", BadPIN: "9999", Short: "12"}
	})
}
