package fleetlink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// peer is one end of a connection: it pairs questions with answers.
type peer struct {
	conn net.Conn
	out  sync.Mutex

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan message
	done    chan struct{}
}

func newPeer(conn net.Conn) *peer {
	return &peer{conn: conn, waiting: map[uint64]chan message{}, done: make(chan struct{})}
}

func (p *peer) send(m message) error {
	p.out.Lock()
	defer p.out.Unlock()
	p.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	err := write(p.conn, m)
	if err != nil {
		p.conn.Close() // half a message may be out
	}
	return err
}

// run reads until the connection ends; take gets what is not an answer. At most
// one question of the other side is worked on by take itself.
func (p *peer) run(take func(message) error) error {
	var err error
	for err == nil {
		var m message
		if m, err = read(p.conn); err != nil {
			break
		}
		if !m.Answer {
			err = take(m)
			continue
		}
		p.mu.Lock()
		answer := p.waiting[m.ID]
		delete(p.waiting, m.ID)
		p.mu.Unlock()
		if answer != nil { // else the asker has gone
			answer <- m
		}
	}
	close(p.done)
	p.conn.Close()
	return err
}

// maxQuestions bounds what may be open at one time.
const maxQuestions = 64

// ask sends a question and waits for its answer.
func (p *peer) ask(ctx context.Context, m message) (message, error) {
	answer := make(chan message, 1)
	p.mu.Lock()
	if len(p.waiting) >= maxQuestions {
		p.mu.Unlock()
		return message{}, errors.New("fleetlink: too many questions are open")
	}
	p.last++
	m.ID = p.last
	p.waiting[m.ID] = answer
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.waiting, m.ID)
		p.mu.Unlock()
	}()
	if err := p.send(m); err != nil {
		return message{}, err
	}
	select {
	case a := <-answer:
		if a.Kind == kindRefused {
			return message{}, &RefusedError{m.Kind, a.Why}
		}
		if a.Kind != m.Kind {
			return message{}, fmt.Errorf("fleetlink: %s was answered with %s", m.Kind, a.Kind)
		}
		return a, nil
	case <-p.done:
		return message{}, fmt.Errorf("fleetlink: %s: %w", m.Kind, ErrOffline)
	case <-ctx.Done():
		return message{}, fmt.Errorf("fleetlink: %s: %w", m.Kind, ctx.Err())
	}
}

// ErrOffline means that the other program is not there.
var ErrOffline = errors.New("nobody is connected")

// RefusedError is the other side's reason for not answering a question.
type RefusedError struct{ Question, Why string }

func (e *RefusedError) Error() string { return fmt.Sprintf("fleetlink: %s: %s", e.Question, e.Why) }
