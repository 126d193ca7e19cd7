package pkcs11test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"mohr.internal/pkcs11"
)

// workerEnv holds the token and its faults in the environment of a test binary
// that is to be a worker.
const workerEnv = "PKCS11TEST_WORKER"

type workerSpec struct {
	Token  Options
	Faults []Fault
}

// WorkerMain is the first call of a TestMain: in a process that StartWorker made
// it serves the software token and does not return.
func WorkerMain() {
	spec, ok := os.LookupEnv(workerEnv)
	if !ok {
		return
	}
	if err := serveWorker(spec); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serveWorker(text string) error {
	var spec workerSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return err
	}
	conn, err := pkcs11.Inherit()
	if err != nil {
		return err
	}
	t := New(spec.Token)
	t.Inject(spec.Faults...)
	b := &backend{t: t, life: -1}
	c := &faultyConn{conn: conn, b: b, before: failBefore, after: failAfter}
	return pkcs11.Serve(c, b)
}

func failBefore(k Kind) {
	self := syscall.Getpid()
	switch k {
	case Segfault:
		syscall.Kill(self, syscall.SIGSEGV)
		time.Sleep(time.Minute)
	case Killed:
		syscall.Kill(self, syscall.SIGKILL)
	case Exit0:
		os.Exit(0)
	case Exit2:
		os.Exit(2)
	case Stopped:
		syscall.Kill(self, syscall.SIGSTOP)
	case Stdout:
		fmt.Println("Token driver (c) 2009, thank you for choosing us")
	case StderrFlood:
		os.Stderr.Write(bytes.Repeat([]byte("x"), 1<<20))
		os.Stderr.WriteString("the end\n")
	case Report:
		report()
	case Grandchild:
		cmd := exec.Command("/bin/sleep", "60") // holds stderr open
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		} else {
			fmt.Fprintf(os.Stderr, "grandchild %d\n", cmd.Process.Pid)
		}
		syscall.Kill(self, syscall.SIGKILL)
	}
}

// report tells what a parent's test wants to know about the process.
func report() {
	dumpable, _, _ := syscall.RawSyscall6(syscall.SYS_PRCTL, syscall.PR_GET_DUMPABLE, 0, 0, 0, 0, 0)
	var core syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_CORE, &core)
	stdin, _ := os.Readlink("/proc/self/fd/0")
	stdout, _ := os.Readlink("/proc/self/fd/1")
	_, fd3 := os.Readlink("/proc/self/fd/3")
	pgid, _ := syscall.Getpgid(0)
	dir, _ := os.Getwd()
	fmt.Fprintf(os.Stderr, "dumpable %d core %d/%d stdin %s stdout %s fd3 %t leader %t env %d dir %s\n", dumpable, core.Cur, core.Max,
		stdin, stdout, fd3 == nil, pgid == os.Getpid(), len(os.Environ()), dir)
}

func failAfter(k Kind) {
	switch k {
	case Exit0After:
		os.Exit(0)
	case SegfaultAfter:
		syscall.Kill(syscall.Getpid(), syscall.SIGSEGV)
		time.Sleep(time.Minute)
	case StaysAfterExit:
		time.Sleep(time.Minute)
	}
}

// StartWorker starts this test binary as a worker with a software token, whose
// state lives between workers if Options.File is set. The package's TestMain has
// to call WorkerMain.
func StartWorker(tb testing.TB, o Options, faults ...Fault) *pkcs11.Worker {
	tb.Helper()
	spec, err := json.Marshal(workerSpec{o, faults})
	if err != nil {
		tb.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	w, err := pkcs11.StartWorker(pkcs11.WorkerCommand{Path: self, Env: []string{workerEnv + "=" + string(spec)}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		w.Conn().Close()
		w.Wait()
	})
	return w
}
