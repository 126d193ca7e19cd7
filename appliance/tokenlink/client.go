package tokenlink

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// Client is kioskd's end.
type Client struct {
	path  string
	log   *slog.Logger
	grace time.Duration // before a tokend that cannot be reached is reported Away
}

// NewClient returns a client of the tokend that listens on path. tokend need not
// run yet.
func NewClient(path string, log *slog.Logger) *Client { return &Client{path, log, awayAfter} }

// Waits between two attempts to reach tokend.
const (
	retryMin = 20 * time.Millisecond
	retryMax = time.Second
)

const (
	awayAfter    = 2 * time.Second  // a restart of tokend is no news
	snapshotTime = 10 * time.Second // for the first event of a connection
)

// Watch reports devices until ctx ends, which closes the channel. It survives a
// restart of tokend: when the connection is lost, each device known so far is
// reported Removed, and a new Snapshot comes with the next connection. If that
// takes long, from the start on as well, Away is reported in between, once. The
// caller has to take events promptly; a slow one makes tokend close the
// connection, with the same effect.
func (c *Client) Watch(ctx context.Context) (<-chan Event, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("tokenlink: watch: %w", err)
	}
	out := make(chan Event)
	go func() {
		defer close(out)
		wait, said := retryMin, false
		lost, away := time.Now(), false
		for {
			seen, err := c.watchOnce(ctx, out)
			if ctx.Err() != nil {
				return
			}
			if seen {
				wait, lost, away = retryMin, time.Now(), false
			}
			if !away && time.Since(lost) >= c.grace {
				away = true
				select {
				case out <- Event{Kind: Away}:
				case <-ctx.Done():
					return
				}
			}
			if seen || !said { // once, not at each attempt
				c.log.Warn("no tokend, trying again", "err", err)
			}
			said = true
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			wait = min(2*wait, retryMax)
		}
	}()
	return out, nil
}

// watchOnce reports events of one connection. seen is whether there were any.
func (c *Client) watchOnce(ctx context.Context, out chan<- Event) (seen bool, err error) {
	conn, err := c.dial(ctx, &request{Op: opWatch})
	if err != nil {
		return false, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	send := func(e Event) bool {
		select {
		case out <- e:
			return true
		case <-ctx.Done():
			return false
		}
	}
	var known []Device
	defer func() {
		for i := range known {
			if !send(Event{Kind: Removed, Device: known[i]}) {
				return
			}
		}
	}()
	conn.SetReadDeadline(time.Now().Add(snapshotTime))
	for {
		var e Event
		if err := readMessage(conn, maxReply, &e); err != nil {
			return seen, err
		}
		conn.SetReadDeadline(time.Time{})
		if known, err = follow(known, e, seen); err != nil {
			return seen, err
		}
		seen = true
		if !send(e) {
			return seen, ctx.Err()
		}
	}
}

// follow returns the devices known after e, or what is wrong with e.
func follow(known []Device, e Event, seen bool) ([]Device, error) {
	switch e.Kind {
	case Snapshot:
		if seen {
			return known, fmt.Errorf("tokenlink: second snapshot: %w", ErrMessage)
		}
		return e.Devices, nil
	case Inserted:
		if !seen || index(known, e.Device.ID) >= 0 || len(known) == maxDevices {
			return known, fmt.Errorf("tokenlink: insertion of %q: %w", e.Device.ID, ErrMessage)
		}
		return append(known[:len(known):len(known)], e.Device), nil
	default:
		i := index(known, e.Device.ID)
		if i < 0 {
			return known, fmt.Errorf("tokenlink: removal of %q: %w", e.Device.ID, ErrMessage)
		}
		return append(known[:i:i], known[i+1:]...), nil
	}
}

func index(devices []Device, id string) int {
	for i, d := range devices {
		if d.ID == id {
			return i
		}
	}
	return -1
}

// Attach starts a worker for a device and returns the connection to it, to be
// given to pkcs11.NewSession. Closing the connection ends the worker.
func (c *Client) Attach(ctx context.Context, deviceID string) (net.Conn, error) {
	conn, err := c.dial(ctx, &request{Op: opAttach, Device: deviceID})
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	var r reply
	err = readMessage(conn, maxRequest, &r)
	if err == nil {
		err = r.err()
	}
	if !stop() && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("tokenlink: attach %s: %w", deviceID, err)
	}
	return conn, nil
}

func (c *Client) dial(ctx context.Context, req *request) (net.Conn, error) {
	if err := req.check(); err != nil {
		return nil, fmt.Errorf("tokenlink: %w", err)
	}
	return dial(ctx, c.path, req)
}

// dial connects and sends the first message, which fits into the socket's buffer.
func dial(ctx context.Context, path string, first checker) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("tokenlink: %w", err)
	}
	conn.SetWriteDeadline(time.Now().Add(writeTime))
	if err := writeMessage(conn, first); err != nil {
		conn.Close()
		return nil, fmt.Errorf("tokenlink: %w", err)
	}
	conn.SetWriteDeadline(time.Time{})
	return conn, nil
}
