package outboxlink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Parcel is one message to deliver.
type Parcel struct {
	ID  string
	DER []byte
}

// Outbox is what the server hands out and reports to.
type Outbox interface {
	// Pending are the parcels to deliver now. Changed is closed when they may differ.
	Pending() []Parcel
	Changed() <-chan struct{}
	// Answer judges what the CA sent for a parcel: done, or to be sent again after a while.
	Answer(id string, der []byte) (done bool, after time.Duration)
	// Failed is told of each attempt without an answer.
	Failed(id string, f Failure)
}

// NoCA stands in a Failure's Why where the CA's address was reached and somebody, a
// proxy or another server, answered there in another way than a CA does.
const NoCA = "no CA answered"

// Failure is one attempt without an answer.
type Failure struct {
	Why   string
	Tries int           // in a row, since syncd took the parcel
	Next  time.Duration // until the next try
}

// Serve answers syncd on l until ctx ends. There is one syncd: a new connection
// replaces the old one, which a half-dead peer may have left behind.
func Serve(ctx context.Context, l net.Listener, box Outbox, log *slog.Logger) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var previous context.CancelFunc = func() {}
	var done sync.WaitGroup
	defer done.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			previous()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("outboxlink: %w", err)
		}
		previous()
		done.Wait()
		each, cancel := context.WithCancel(ctx)
		previous = cancel
		done.Go(func() {
			defer cancel()
			err := serveOne(each, conn, box)
			if each.Err() == nil {
				log.Info("syncd went away", "err", err)
			}
		})
	}
}

// serveOne runs one connection: one goroutine reads answers, this one hands out
// what is pending and withdraws what no longer is.
func serveOne(ctx context.Context, conn net.Conn, box Outbox) error {
	var out sync.Mutex
	send := func(m message) error {
		out.Lock()
		defer out.Unlock()
		conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
		return write(conn, m)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	reader := make(chan struct{})
	go func() {
		defer close(reader)
		for {
			m, err := read(conn)
			if err == nil {
				err = take(m, box, send)
			}
			if err != nil {
				cancel(err)
				return
			}
		}
	}()
	given := map[string]bool{} // by this connection
	for {
		changed := box.Changed()
		pending := map[string]bool{}
		for _, p := range box.Pending() {
			pending[p.ID] = true
			if given[p.ID] {
				continue
			}
			given[p.ID] = true
			if err := send(message{Kind: kindParcel, ID: p.ID, DER: p.DER}); err != nil {
				cancel(err)
			}
		}
		for id := range given {
			if !pending[id] {
				delete(given, id)
				if err := send(message{Kind: kindWithdraw, ID: id}); err != nil {
					cancel(err)
				}
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			conn.Close()
			<-reader
			return context.Cause(ctx)
		}
	}
}

func take(m message, box Outbox, send func(message) error) error {
	switch m.Kind {
	case kindAnswer:
		done, after := box.Answer(m.ID, m.DER)
		return send(message{Kind: kindVerdict, ID: m.ID, Done: done, After: min(after, maxWait).Milliseconds()})
	case kindFailed:
		box.Failed(m.ID, Failure{m.Why, m.Tries, time.Duration(m.After) * time.Millisecond})
		return nil
	}
	return errors.New("outboxlink: syncd sent a " + m.Kind)
}
