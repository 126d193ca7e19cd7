package tokenlink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Agent is what tokend does behind its socket.
type Agent interface {
	// Watch returns a channel that brings a Snapshot first. The agent closes it
	// when ctx ends, or if its reader is too slow.
	Watch(ctx context.Context) <-chan Event

	// Attach starts the worker of a device. On success the server calls relay
	// exactly once with the connection; relay closes it and returns when the
	// worker is gone.
	Attach(ctx context.Context, device string) (relay func(net.Conn), err error)
}

const (
	firstMessage = 5 * time.Second // a client that connects has to say why
	writeTime    = 5 * time.Second // and one that watches has to read
	maxClients   = 32
)

// Listen makes the Unix socket at path with mode 0600. A socket file that nobody
// answers on, as a killed program leaves it, is replaced.
func Listen(path string) (net.Listener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("tokenlink: %s: another program listens", path)
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		if st, err := os.Lstat(path); err == nil && st.Mode().Type() == fs.ModeSocket {
			os.Remove(path)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("tokenlink: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("tokenlink: %w", err)
	}
	return l, nil
}

// Serve answers clients of l until ctx ends, then closes l and all connections
// and waits for their relays.
func Serve(ctx context.Context, l net.Listener, a Agent, log *slog.Logger) error {
	return serve(ctx, l, log, func(ctx context.Context, c net.Conn) error {
		var req request
		c.SetReadDeadline(time.Now().Add(firstMessage))
		if err := readMessage(c, maxRequest, &req); err != nil {
			c.SetWriteDeadline(time.Now().Add(writeTime))
			writeMessage(c, replyTo(fmt.Errorf("%w: %w", ErrRequest, err)))
			return err
		}
		c.SetReadDeadline(time.Time{})
		if req.Op == opAttach {
			return attach(ctx, c, a, req.Device)
		}
		return watch(ctx, c, a)
	})
}

func attach(ctx context.Context, c net.Conn, a Agent, device string) error {
	relay, err := a.Attach(ctx, device)
	c.SetWriteDeadline(time.Now().Add(writeTime))
	werr := writeMessage(c, replyTo(err))
	c.SetWriteDeadline(time.Time{})
	if err != nil {
		return fmt.Errorf("attach %q: %w", device, err)
	}
	if werr != nil {
		c.Close() // relay sees it and ends the worker
	}
	relay(c)
	return nil
}

func watch(ctx context.Context, c net.Conn, a Agent) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		c.Read(make([]byte, 1)) // the client has nothing more to say
		cancel()
	}()
	for e := range a.Watch(ctx) {
		c.SetWriteDeadline(time.Now().Add(writeTime))
		if err := writeMessage(c, &e); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}
	return nil
}

// serve runs handle for each connection, at most maxClients at a time.
func serve(ctx context.Context, l net.Listener, log *slog.Logger, handle func(context.Context, net.Conn) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	slots := make(chan struct{}, maxClients)
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				c.Close()
			}
			return nil
		}
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("tokenlink: %w", err)
			}
			log.Warn("accept", "err", err) // out of descriptors, for one
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			log.Warn("too many clients", "limit", maxClients)
			c.Close()
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			defer c.Close()
			defer context.AfterFunc(ctx, func() { c.Close() })()
			if err := handle(ctx, c); err != nil {
				log.Info("client ends", "err", err)
			}
		})
	}
}
