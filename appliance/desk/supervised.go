package desk

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// supervised is a program that is started again when it ends by itself, as the appliance does.
type supervised struct {
	program Program
	logPath string
	log     *Log
	news    *notice
	again   time.Duration         // pause before the next start
	started func(context.Context) // called in its own goroutine after each start; its context ends with the process
	done    chan struct{}         // closed when no process runs and none will be started

	mu       sync.Mutex
	current  *process
	restarts int
	retired  chan struct{}
}

func newSupervised(p Program, logPath string, log *Log, news *notice, again time.Duration) *supervised {
	return &supervised{
		program: p, logPath: logPath, log: log, news: news, again: again,
		done: make(chan struct{}), retired: make(chan struct{}),
	}
}

// run starts the program again and again until it is retired or ctx ends.
func (s *supervised) run(ctx context.Context) {
	defer close(s.done)
	for {
		p, ok := s.start()
		if !ok {
			return
		}
		if p != nil {
			alive, ended := context.WithCancel(ctx)
			if s.started != nil {
				go s.started(alive)
			}
			<-p.ended
			ended()
		}
		select {
		case <-s.retired:
			return
		default:
		}
		if p != nil {
			s.log.Add(s.program.Name, fmt.Sprintf("(ended by itself: %v)", p.err))
		}
		s.news.tell()
		select {
		case <-s.retired:
			return
		case <-ctx.Done():
			return
		case <-time.After(s.again):
		}
		s.mu.Lock()
		s.restarts++
		s.mu.Unlock()
	}
}

// start starts one process. It returns nil where that failed, and false where none must be started any more.
func (s *supervised) start() (*process, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.retired:
		return nil, false
	default:
	}
	p, err := startProcess(s.program, s.logPath, s.log)
	if err != nil {
		s.log.Add(s.program.Name, err.Error())
		s.current = nil
		return nil, true
	}
	s.current = p
	s.news.tell()
	return p, true
}

// retire lets no further process be started.
func (s *supervised) retire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.retired:
	default:
		close(s.retired)
	}
}

func (s *supervised) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

func (s *supervised) kill() {
	if p := s.process(); p != nil {
		p.kill()
	}
}

func (s *supervised) stop() {
	if p := s.process(); p != nil {
		p.stop(stopGrace)
	}
}

func (s *supervised) state() ProgramState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ProgramState{Name: s.program.Name, Running: s.current != nil && s.current.running(), Restarts: s.restarts}
}
