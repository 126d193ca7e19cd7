package pkcs11

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// WorkerCommand is how a worker is started: Path Args... ModulePath.
type WorkerCommand struct {
	// Path is the program, as a rule this very one (os.Executable).
	Path string
	Args []string

	// ModulePath is the PKCS#11 module, absolute and from configuration, never
	// from input. It becomes the last argument; empty adds none.
	ModulePath string

	// Env is the whole environment of the worker; nothing is inherited.
	Env []string

	// Dir is the working directory; empty means "/".
	Dir string

	// Credential, if set, is the user the worker runs as.
	Credential *syscall.Credential

	// StderrLimit is how many of the last bytes of stderr are kept, 16 KiB if 0.
	StderrLimit int
}

// Worker is a running worker process: its own process group, standard input and
// output on /dev/null, the conversation on descriptor 3, killed with the thread
// that started it.
type Worker struct {
	conn   *workerConn
	pid    int
	stderr *ring

	mu   sync.Mutex // guards gone against a kill of a reused pid
	gone bool

	done chan struct{} // closed when reaped
	err  error         // how it ended, valid after done
}

// StartWorker starts a worker. The caller ends it by closing Conn, by Kill, or
// by the exit verb (Session.Close); it is always reaped.
func StartWorker(c WorkerCommand) (*Worker, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("pkcs11: worker: socketpair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "worker"), os.NewFile(uintptr(pair[1]), "worker")
	defer theirs.Close()
	conn, err := net.FileConn(ours) // has its own descriptor
	ours.Close()
	if err != nil {
		return nil, fmt.Errorf("pkcs11: worker: %w", err)
	}

	w := &Worker{stderr: newRing(c.StderrLimit), done: make(chan struct{})}
	w.conn = &workerConn{Conn: conn, w: w}
	args := c.Args
	if c.ModulePath != "" {
		args = append(args[:len(args):len(args)], c.ModulePath)
	}
	cmd := exec.Command(c.Path, args...)
	cmd.Env = append([]string{}, c.Env...) // not nil: nil would inherit ours
	cmd.Dir = c.Dir
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.Stderr = w.stderr
	cmd.ExtraFiles = []*os.File{theirs}     // descriptor 3
	cmd.WaitDelay = 500 * time.Millisecond  // a grandchild may hold stderr open
	cmd.SysProcAttr = &syscall.SysProcAttr{ // Pdeathsig is of the thread, see run
		Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: c.Credential,
	}
	started := make(chan error)
	go w.run(cmd, started)
	if err := <-started; err != nil {
		conn.Close()
		return nil, fmt.Errorf("pkcs11: worker %s: %w", c.Path, err)
	}
	return w, nil
}

// run starts the process and waits for its end on one thread that lives as long:
// the kernel sends Pdeathsig when the starting thread ends, not the program.
func (w *Worker) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(w.done)
	if err := cmd.Start(); err != nil {
		w.gone, w.err = true, err
		started <- err
		return
	}
	w.pid = cmd.Process.Pid
	started <- nil
	waitEnd(w.pid)
	w.mu.Lock()
	w.gone = true
	// What the module started (some call system) goes with it. The pid cannot
	// have been reused: the worker is not reaped yet.
	syscall.Kill(-w.pid, syscall.SIGKILL)
	w.mu.Unlock()
	if w.err = cmd.Wait(); errors.Is(w.err, exec.ErrWaitDelay) {
		w.err = nil
	}
}

// waitEnd blocks until the process has ended, without reaping it.
func waitEnd(pid int) {
	const idPid, wexited, wnowait = 1, 4, 0x1000000 // P_PID, WEXITED, WNOWAIT (waitid(2))
	var info [128]byte                              // siginfo_t
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, idPid, uintptr(pid),
			uintptr(unsafe.Pointer(&info[0])), wexited|wnowait, 0, 0)
		if errno != syscall.EINTR {
			return
		}
	}
}

// Conn is the conversation. Closing it kills the worker: a module that hangs in
// C notices nothing else.
func (w *Worker) Conn() net.Conn { return w.conn }

// Session starts the conversation with the worker.
func (w *Worker) Session(opts ...Option) *Session { return NewSession(w.conn, opts...) }

// Kill ends the worker and all it started with SIGKILL. It does not wait.
func (w *Worker) Kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.gone {
		syscall.Kill(-w.pid, syscall.SIGKILL)
	}
}

// Wait blocks until the worker is reaped. nil means that it ended by itself with
// status 0, as after the exit verb; anything else, a kill included, is an error.
func (w *Worker) Wait() error {
	<-w.done
	return w.err
}

// Done is closed when the worker is reaped.
func (w *Worker) Done() <-chan struct{} { return w.done }

// PID is the worker's process id.
func (w *Worker) PID() int { return w.pid }

// StderrTail is the end of what the worker wrote to stderr: evidence after a
// crash. It is a module's text and never shown to people.
func (w *Worker) StderrTail() []byte { return w.stderr.Bytes() }

// workerConn kills on Close, and reports an abnormal end over a good-looking
// reply where it is known in time.
type workerConn struct {
	net.Conn
	w *Worker
}

func (c *workerConn) Close() error {
	c.w.Kill()
	return c.Conn.Close()
}

// CloseWrite tells the worker that no request follows; it ends by itself.
func (c *workerConn) CloseWrite() error { return c.Conn.(*net.UnixConn).CloseWrite() }

func (c *workerConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	select {
	case <-c.w.done:
		if c.w.err != nil {
			Wipe(b[:n])
			return 0, fmt.Errorf("pkcs11: worker: %w", c.w.err)
		}
	default:
	}
	return n, err
}
