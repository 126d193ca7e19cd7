package main

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// A program that ends is started again after a second; one that keeps ending within
// settled, ever later, up to maxDelay.
const (
	minDelay = time.Second
	maxDelay = 30 * time.Second
	settled  = time.Minute
)

// nextDelay says how long to wait before a program that ran for ran, after a delay of
// last, is started again.
func nextDelay(last, ran time.Duration) time.Duration {
	if last == 0 || ran >= settled {
		return minDelay
	}
	return min(2*last, maxDelay)
}

// supervisor starts programs and collects whoever ends: its own, and the orphans that
// every first process inherits. There is one collector for both, because two waiting
// processes would take each other's children.
type supervisor struct {
	null, out *os.File
	say       func(string, ...any)

	mu   sync.Mutex
	ends map[int]chan syscall.WaitStatus // by process id of a running program
}

func newSupervisor(null, out *os.File, say func(string, ...any)) *supervisor {
	return &supervisor{null: null, out: out, say: say, ends: map[int]chan syscall.WaitStatus{}}
}

// run never returns.
func (s *supervisor) run(list []service, now func() time.Time) {
	for _, svc := range list {
		go s.keep(svc, now)
	}
	for {
		s.collect()
	}
}

func (s *supervisor) keep(svc service, now func() time.Time) {
	var delay time.Duration
	for {
		began := now()
		status, err := s.once(svc)
		if err != nil {
			s.say("%s: %v", svc.path, err)
		} else {
			s.say("%s ended: %s", svc.path, describe(status))
		}
		delay = nextDelay(delay, now().Sub(began))
		time.Sleep(delay)
	}
}

// once starts svc in a process group of its own and returns when it has ended. What it
// left behind in its group is killed: a new tokend must not meet the old one's daemon.
func (s *supervisor) once(svc service) (syscall.WaitStatus, error) {
	end := make(chan syscall.WaitStatus, 1)
	out := s.out
	if svc.mute {
		out = s.null
	}
	s.mu.Lock() // the collector may not see the end before it is told of the start
	pid, err := syscall.ForkExec(svc.path, append([]string{svc.path}, svc.args...), &syscall.ProcAttr{
		Dir:   workdir(svc),
		Env:   environ(),
		Files: []uintptr{s.null.Fd(), out.Fd(), out.Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		s.mu.Unlock()
		return 0, err
	}
	s.ends[pid] = end
	s.mu.Unlock()
	status := <-end
	syscall.Kill(-pid, syscall.SIGKILL)
	return status, nil
}

// collect waits for one child to end.
func (s *supervisor) collect() {
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &status, 0, nil)
	if errors.Is(err, syscall.ECHILD) {
		time.Sleep(100 * time.Millisecond) // none is running yet
	}
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if end, ours := s.ends[pid]; ours {
		delete(s.ends, pid)
		end <- status
	}
}

func describe(w syscall.WaitStatus) string {
	if w.Signaled() {
		return w.Signal().String()
	}
	return fmt.Sprintf("exit status %d", w.ExitStatus())
}
