package pcsc

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// process is a running daemon with a folder of its own.
type process struct {
	socket string
	cmd    *exec.Cmd
	output tail
	ended  chan struct{} // closed when it is reaped
	err    error         // how it ended, valid after ended
}

// startProcess starts the daemon with its files in dir. The goroutine that starts
// it stays with it on one thread: the kernel kills the daemon when that thread
// ends (Pdeathsig), and the daemon's mounts are those of the thread.
func startProcess(program string, args []string, dir string, confine func() error) (*process, error) {
	p := &process{socket: filepath.Join(dir, "pcscd.comm"), ended: make(chan struct{})}
	p.cmd = exec.Command(program, args...)
	p.cmd.Dir, p.cmd.Env = "/", []string{} // nil would inherit ours
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.WaitDelay = time.Second // a grandchild may hold the output open
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		err := confine()
		if err == nil {
			err = p.cmd.Start()
		}
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("pcsc: %w", err)
	}
	return p, nil
}

// stop ends the daemon, by force if it does not end by itself.
func (p *process) stop(grace time.Duration) {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(grace):
		p.cmd.Process.Kill()
		<-p.ended
	}
}

// tail keeps the end of what a daemon says, for the log when it fails.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const maxTail = 2 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b[max(0, len(b)-maxTail):]...)
	t.b = append(t.b[:0], t.b[max(0, len(t.b)-maxTail):]...)
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
