package tokenlink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"
)

// BenchAgent inserts and removes the desk's devices by their keys.
type BenchAgent interface {
	Insert(key string) error
	Remove(key string) error
}

// ServeBench answers clients of l until ctx ends, as Serve does.
func ServeBench(ctx context.Context, l net.Listener, a BenchAgent, log *slog.Logger) error {
	return serve(ctx, l, log, func(_ context.Context, c net.Conn) error {
		for {
			var req benchRequest
			err := readMessage(c, maxRequest, &req)
			if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
				return nil
			}
			c.SetWriteDeadline(time.Now().Add(writeTime))
			if err != nil {
				writeMessage(c, replyTo(fmt.Errorf("%w: %w", ErrRequest, err)))
				return err
			}
			do := a.Insert
			if req.Op == opRemove {
				do = a.Remove
			}
			if err := writeMessage(c, replyTo(do(req.Key))); err != nil {
				return err
			}
		}
	})
}

// Bench is the desk's end of the bench socket.
type Bench struct{ path string }

// NewBench returns the bench of the tokend that listens on path.
func NewBench(path string) Bench { return Bench{path} }

// Insert puts the device with the key in. When it returns, the event is on its way
// to all watchers.
func (b Bench) Insert(ctx context.Context, key string) error { return b.do(ctx, opInsert, key) }

// Remove pulls it out. When it returns, the worker of the device is being killed.
func (b Bench) Remove(ctx context.Context, key string) error { return b.do(ctx, opRemove, key) }

func (b Bench) do(ctx context.Context, op, key string) error {
	conn, err := dial(ctx, b.path, &benchRequest{Op: op, Key: key})
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	var r reply
	if err := readMessage(conn, maxRequest, &r); err != nil {
		return fmt.Errorf("tokenlink: bench: %w", err)
	}
	return r.err()
}
