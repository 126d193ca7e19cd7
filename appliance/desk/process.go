package desk

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Program is one of the real programs: what the supervisor of the appliance would start.
type Program struct {
	Name string
	Path string
	Args []string
	Env  []string // added to the environment
}

// process is one run of a program in its own process group, so that its workers die with it.
type process struct {
	program Program
	cmd     *exec.Cmd
	ended   chan struct{} // closed after the process was reaped and its output read to the end
	err     error         // valid after ended

	mu   sync.Mutex
	gone bool // reaped, or about to be: the group's number may belong to another
}

// startProcess starts p. Its output is appended to the file logPath and to log. The parent's death
// kills it, so that a killed mohrctl leaves nothing behind.
func startProcess(p Program, logPath string, log *Log) (*process, error) {
	file, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("desk: log of %s: %w", p.Name, err)
	}
	lines := &lineWriter{log: log, program: p.Name}
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Env = append(os.Environ(), p.Env...)
	out := io.MultiWriter(file, lines)
	cmd.Stdout, cmd.Stderr = out, out // one writer: exec copies both with one goroutine
	cmd.WaitDelay = 2 * time.Second   // a grandchild that keeps the pipe open must not hold Wait
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		file.Close()
		return nil, fmt.Errorf("desk: start %s: %w", p.Name, err)
	}
	r := &process{program: p, cmd: cmd, ended: make(chan struct{})}
	go func() {
		// The end of the program is the end of its group: seen before it is reaped, while the number of the
		// group cannot belong to anybody else.
		for unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		}
		r.kill()
		r.mu.Lock()
		r.gone = true
		r.mu.Unlock()
		r.err = cmd.Wait()
		lines.flush()
		file.Close()
		close(r.ended)
	}()
	return r, nil
}

// kill ends the whole process group at once, as a power cut does. It does not wait.
func (r *process) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.gone {
		_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
	}
}

// stop asks the process to end, and kills it after the grace time.
func (r *process) stop(grace time.Duration) {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.ended:
	case <-time.After(grace):
		r.kill()
		<-r.ended
	}
}

// running tells whether the process has not ended yet.
func (r *process) running() bool {
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}
