package outboxlink

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Deliver brings one parcel to the CA. It may try for as long as ctx allows and
// reports each failed try: why, the how manieth in a row, and the wait before the
// next. It returns the CA's answer.
type Deliver func(ctx context.Context, id string, der []byte, failed func(why string, tries int, next time.Duration)) ([]byte, error)

// Again waits after an answer that did not settle a parcel; after is what kioskd asked for.
type Again func(ctx context.Context, id string, after time.Duration) error

// Work takes parcels from kioskd on conn and delivers them, each by itself, until
// the connection or ctx ends.
func Work(ctx context.Context, conn net.Conn, deliver Deliver, again Again) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	w := &worker{conn: conn, jobs: map[string]*job{}}
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel(errors.New("outboxlink: connection ended"))
	for {
		m, err := read(conn)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		switch m.Kind {
		case kindParcel:
			if j := w.add(ctx, m.ID); j != nil {
				running.Go(func() {
					defer w.remove(m.ID, j)
					w.run(j, m, deliver, again)
				})
			}
		case kindVerdict:
			w.verdict(m)
		case kindWithdraw:
			w.withdraw(m.ID)
		default:
			return errors.New("outboxlink: kioskd sent a " + m.Kind)
		}
	}
}

// job is one parcel on its way.
type job struct {
	ctx      context.Context
	cancel   context.CancelFunc
	verdicts chan message
}

type worker struct {
	out  sync.Mutex
	conn net.Conn
	mu   sync.Mutex
	jobs map[string]*job
}

func (w *worker) send(m message) error {
	w.out.Lock()
	defer w.out.Unlock()
	w.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	return write(w.conn, m)
}

func (w *worker) add(ctx context.Context, id string) *job {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.jobs[id] != nil {
		return nil // already on its way
	}
	j := &job{verdicts: make(chan message, 1)}
	j.ctx, j.cancel = context.WithCancel(ctx)
	w.jobs[id] = j
	return j
}

func (w *worker) remove(id string, j *job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j.cancel()
	if w.jobs[id] == j {
		delete(w.jobs, id)
	}
}

func (w *worker) verdict(m message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if j := w.jobs[m.ID]; j != nil {
		select {
		case j.verdicts <- m:
		default:
		}
	}
}

func (w *worker) withdraw(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if j := w.jobs[id]; j != nil {
		j.cancel()
		delete(w.jobs, id)
	}
}

// run delivers one parcel until kioskd says that it is done.
func (w *worker) run(j *job, m message, deliver Deliver, again Again) {
	for {
		answer, err := deliver(j.ctx, m.ID, m.DER, func(why string, tries int, next time.Duration) {
			w.send(message{Kind: kindFailed, ID: m.ID, Why: clip(why), Tries: min(tries, maxTries), After: min(next, maxWait).Milliseconds()})
		})
		if err != nil {
			return // only when ctx has ended
		}
		if err := w.send(message{Kind: kindAnswer, ID: m.ID, DER: answer}); err != nil {
			return
		}
		select {
		case <-j.ctx.Done():
			return
		case v := <-j.verdicts:
			if v.Done {
				return
			}
			if again(j.ctx, m.ID, time.Duration(v.After)*time.Millisecond) != nil {
				return
			}
		}
	}
}

func clip(s string) string {
	const limit = 1000
	if len(s) > limit {
		return s[:limit]
	}
	return s
}
