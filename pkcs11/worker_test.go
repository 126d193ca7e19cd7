package pkcs11_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/pkcs11test"
)

// short is for faults that last until the deadline; all others have the full
// time, since a busy machine may take seconds to start a worker.
var short = pkcs11.WithDeadlines(pkcs11.Deadlines{pkcs11.VerbGenerateKey: time.Second, pkcs11.VerbLogin: time.Second,
	pkcs11.VerbChangePIN: time.Second, pkcs11.VerbRandom: time.Second, pkcs11.VerbExit: time.Second})

func TestFaultsOfAProcess(t *testing.T) {
	rows := append([]fault{
		{"segmentation fault", pkcs11test.Segfault, gone, gone},
		{"killed", pkcs11test.Killed, gone, gone},
		{"status 0 without a reply", pkcs11test.Exit0, gone, gone},
		{"status 2, as Go after a fault in C", pkcs11test.Exit2, gone, gone},
		{"status 0 after a good reply", pkcs11test.Exit0After, nil, gone},
		{"stopped", pkcs11test.Stopped, gone, gone},
		{"text on standard output", pkcs11test.Stdout, nil, nil},
		{"flood on standard error", pkcs11test.StderrFlood, nil, nil},
		{"leaves a grandchild", pkcs11test.Grandchild, gone, gone},
	}, faults...)
	for _, f := range rows {
		for _, v := range []pkcs11.Verb{pkcs11.VerbRandom, pkcs11.VerbLogin, pkcs11.VerbChangePIN} {
			if v == pkcs11.VerbRandom && (f.kind == pkcs11test.Pull || f.kind == pkcs11test.PullAfter) {
				continue // the software token's generator does not look for the token
			}
			if f.kind == pkcs11test.ExitAfterReply {
				continue // with status 1, which counts more than the reply if it is known in time
			}
			t.Run(f.name+"/"+v.String(), func(t *testing.T) {
				t.Parallel()
				w := pkcs11test.StartWorker(t, pkcs11test.Options{}, pkcs11test.Fault{Kind: f.kind, Verb: v})
				s := w.Session()
				if f.kind == pkcs11test.Hang || f.kind == pkcs11test.HangAfter || f.kind == pkcs11test.Stopped {
					s = w.Session(short)
				}
				check(t, s, v, f)
				s.Close()
				reaped(t, w)
				if err := syscall.Kill(w.PID(), 0); !errors.Is(err, syscall.ESRCH) {
					t.Errorf("worker still there: %v", err)
				}
			})
		}
	}
}

// reaped waits for the end of a worker that has no reason to live.
func reaped(t *testing.T, w *pkcs11.Worker) error {
	t.Helper()
	select {
	case <-w.Done():
	case <-time.After(time.Minute):
		t.Fatal("worker was not reaped")
	}
	return w.Wait()
}

// An abnormal end counts over a good-looking reply, as soon as it is known.
func TestAbnormalEndAfterGoodReply(t *testing.T) {
	w := pkcs11test.StartWorker(t, pkcs11test.Options{}, pkcs11test.Fault{Kind: pkcs11test.SegfaultAfter, Verb: pkcs11.VerbExit})
	s := w.Session()
	if err := call(s, pkcs11.VerbTokens); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := reaped(t, w); err == nil {
		t.Error("a crash at exit looks like a good end")
	}
}

func TestWorkerGoodEnd(t *testing.T) {
	w := pkcs11test.StartWorker(t, pkcs11test.Options{})
	s := w.Session()
	if err := call(s, pkcs11.VerbLogin); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := reaped(t, w); err != nil {
		t.Errorf("end: %v, stderr %s", err, w.StderrTail())
	}
}

func TestWorkerStaysAfterExit(t *testing.T) {
	w := pkcs11test.StartWorker(t, pkcs11test.Options{}, pkcs11test.Fault{Kind: pkcs11test.StaysAfterExit, Verb: pkcs11.VerbExit})
	s := w.Session(short)
	if err := s.Close(); !errors.Is(err, gone) {
		t.Errorf("close: %v", err)
	}
	if err := reaped(t, w); err == nil {
		t.Error("a worker that had to be killed looks like a good end")
	}
}

func TestWorkerSurroundings(t *testing.T) {
	w := pkcs11test.StartWorker(t, pkcs11test.Options{}, pkcs11test.Fault{Kind: pkcs11test.Report, Verb: pkcs11.VerbRandom})
	s := w.Session()
	if err := call(s, pkcs11.VerbRandom); err != nil {
		t.Fatal(err)
	}
	s.Close()
	reaped(t, w)
	got := strings.TrimSpace(string(w.StderrTail()))
	if want := "dumpable 0 core 0/0 stdin /dev/null stdout /dev/null fd3 false leader true env 1 dir /"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWorkerStderrKept(t *testing.T) {
	w := pkcs11test.StartWorker(t, pkcs11test.Options{}, pkcs11test.Fault{Kind: pkcs11test.StderrFlood, Verb: pkcs11.VerbRandom})
	s := w.Session()
	if err := call(s, pkcs11.VerbRandom); err != nil {
		t.Fatal(err)
	}
	s.Close()
	reaped(t, w)
	if tail := w.StderrTail(); len(tail) != 16<<10 || !bytes.HasSuffix(tail, []byte("xthe end\n")) {
		t.Errorf("%d bytes kept, ending %q", len(tail), tail[max(0, len(tail)-20):])
	}
}

func TestWorkerTakesItsGrandchildren(t *testing.T) {
	w := pkcs11test.StartWorker(t, pkcs11test.Options{}, pkcs11test.Fault{Kind: pkcs11test.Grandchild, Verb: pkcs11.VerbRandom})
	call(w.Session(), pkcs11.VerbRandom)
	reaped(t, w)
	_, text, ok := strings.Cut(strings.TrimSpace(string(w.StderrTail())), "grandchild ")
	pid, err := strconv.Atoi(text)
	if !ok || err != nil {
		t.Fatalf("no grandchild: %s", w.StderrTail())
	}
	dead(t, pid)
}

// dead waits until a process that is not our child is gone, or a zombie of init.
func dead(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || bytes.Contains(stat, []byte(") Z ")) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d lives", pid)
}

// parentMain is a parent that starts a worker, tells its pid and waits to be
// killed.
func parentMain() {
	if os.Getenv("PKCS11_TEST_PARENT") == "" {
		return
	}
	self, _ := os.Executable()
	w, err := pkcs11.StartWorker(pkcs11.WorkerCommand{Path: self, Env: []string{"PKCS11TEST_WORKER={}"}})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(w.PID())
	time.Sleep(time.Minute)
}

func TestWorkerDiesWithItsParent(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "PKCS11_TEST_PARENT=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	cmd.Process.Kill()
	cmd.Wait()
	if err != nil {
		t.Fatalf("parent said %q", line)
	}
	dead(t, pid)
}

func TestWorkerNotStarted(t *testing.T) {
	for name, cmd := range map[string]pkcs11.WorkerCommand{
		"no such program": {Path: "/nonexistent/worker"},
		"not a program":   {Path: "/dev/null"},
		"no such folder":  {Path: "/bin/true", Dir: "/nonexistent"},
	} {
		if w, err := pkcs11.StartWorker(cmd); err == nil || w != nil {
			t.Errorf("%s: %v, %v", name, w, err)
		}
	}
	w, err := pkcs11.StartWorker(pkcs11.WorkerCommand{Path: "/bin/true"}) // ends at once
	if err != nil {
		t.Fatal(err)
	}
	if err := call(w.Session(), pkcs11.VerbLogin); !errors.Is(err, gone) && !errors.Is(err, unknown) {
		t.Errorf("got %v", err)
	}
	reaped(t, w)
}

// The module's path is the last argument and the environment is not inherited.
func TestWorkerCommand(t *testing.T) {
	t.Setenv("SECRET", "1")
	out := filepath.Join(t.TempDir(), "out")
	w, err := pkcs11.StartWorker(pkcs11.WorkerCommand{Path: "/bin/sh", ModulePath: "/lib/module.so",
		Args: []string{"-c", `echo "$1 $SECRET" >"$OUT"`, "sh"}, Env: []string{"OUT=" + out}})
	if err != nil {
		t.Fatal(err)
	}
	if err := reaped(t, w); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(out); string(b) != "/lib/module.so \n" {
		t.Errorf("worker saw %q", b)
	}
}

// No descriptor, process or goroutine is left behind by a hundred workers.
func TestWorkerLeavesNothing(t *testing.T) {
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(list)
	}
	run := func() {
		w := pkcs11test.StartWorker(t, pkcs11test.Options{}, pkcs11test.Fault{Kind: pkcs11test.Crash, Verb: pkcs11.VerbRandom})
		call(w.Session(), pkcs11.VerbRandom)
		reaped(t, w)
	}
	run()
	before := count()
	for range 20 {
		run()
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}
