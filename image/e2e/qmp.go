package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// maxQMPLine bounds a line of the monitor. Its longest answers here are some
// kilobytes.
const maxQMPLine = 1 << 20

// QMP is the client's end of QEMU's monitor (docs/interop/qmp-spec): JSON objects,
// one a line. Commands are numbered; one at a time is under way.
type QMP struct {
	conn io.ReadWriteCloser

	asking sync.Mutex // one command at a time
	last   int

	mu      sync.Mutex
	answers map[int]chan qmpMessage
	events  map[string]int
	err     error // why reading ended
	ended   chan struct{}
}

// qmpMessage is any line: greeting, event, answer or error.
type qmpMessage struct {
	Greeting json.RawMessage `json:"QMP"`
	ID       *int            `json:"id"`
	Return   json.RawMessage `json:"return"`
	Event    string          `json:"event"`
	Error    *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
}

// errQMPEnded is the answer of a monitor that is gone.
var errQMPEnded = errors.New("qmp: the monitor ended")

// NewQMP takes the greeting and negotiates capabilities (none).
func NewQMP(conn io.ReadWriteCloser, limit time.Duration) (*QMP, error) {
	q := &QMP{conn: conn, answers: map[int]chan qmpMessage{}, events: map[string]int{}, ended: make(chan struct{})}
	greeted := make(chan struct{})
	go q.read(greeted)
	select {
	case <-greeted:
	case <-q.ended:
		return nil, q.failure()
	case <-time.After(limit):
		conn.Close()
		return nil, fmt.Errorf("qmp: no greeting within %v", limit)
	}
	if err := q.Do(limit, "qmp_capabilities", nil, nil); err != nil {
		conn.Close()
		return nil, err
	}
	return q, nil
}

func (q *QMP) read(greeted chan struct{}) {
	lines := bufio.NewScanner(q.conn)
	lines.Buffer(make([]byte, 0, 4096), maxQMPLine)
	var failed error
	for lines.Scan() {
		var m qmpMessage
		if failed = json.Unmarshal(lines.Bytes(), &m); failed != nil {
			break
		}
		q.mu.Lock()
		switch {
		case m.Greeting != nil:
			select {
			case <-greeted:
			default:
				close(greeted)
			}
		case m.Event != "":
			q.events[m.Event]++
		case m.ID != nil && q.answers[*m.ID] != nil:
			q.answers[*m.ID] <- m // one answer fits in
			delete(q.answers, *m.ID)
		}
		q.mu.Unlock()
	}
	if failed == nil {
		failed = lines.Err()
	}
	q.mu.Lock()
	q.err = errQMPEnded
	if failed != nil {
		q.err = fmt.Errorf("%w: %w", errQMPEnded, failed)
	}
	q.mu.Unlock()
	close(q.ended)
}

func (q *QMP) failure() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}

// Events is how often an event has come.
func (q *QMP) Events(name string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.events[name]
}

// Do runs a command and puts what it returns into result, unless that is nil.
func (q *QMP) Do(limit time.Duration, command string, arguments, result any) error {
	q.asking.Lock()
	defer q.asking.Unlock()
	q.last++
	id, answer := q.last, make(chan qmpMessage, 1)
	q.mu.Lock()
	q.answers[id] = answer
	q.mu.Unlock()
	request := map[string]any{"execute": command, "id": id}
	if arguments != nil {
		request["arguments"] = arguments
	}
	line, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("qmp: %s: %w", command, err)
	}
	if _, err := q.conn.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("qmp: %s: %w", command, err)
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			return fmt.Errorf("qmp: %s: %s: %s", command, m.Error.Class, m.Error.Desc)
		}
		if result != nil {
			if err := json.Unmarshal(m.Return, result); err != nil {
				return fmt.Errorf("qmp: %s: answer: %w", command, err)
			}
		}
		return nil
	case <-q.ended:
		return fmt.Errorf("qmp: %s: %w", command, q.failure())
	case <-time.After(limit):
		return fmt.Errorf("qmp: %s: no answer within %v", command, limit)
	}
}

// Close ends the conversation.
func (q *QMP) Close() error { return q.conn.Close() }
