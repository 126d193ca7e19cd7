package fleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mohr.internal/appliance/fleet/entry"
)

// Names at the centre.
const (
	Stream = "KIOSKS"
	Bucket = "PICKUP"
)

// Subject is where a kiosk's journal goes.
func Subject(kiosk string) string { return "kiosk." + kiosk + ".log" }

// Options of a Client.
type Options struct {
	Kiosk       string
	URLs        []string
	TLS         *tls.Config // nil: none, for loopback
	Credentials string      // file with the account's JWT and seed; "" if TLS alone says who we are

	Connect  time.Duration  // for one try to connect
	Request  time.Duration  // for one question to the centre
	Min, Max time.Duration  // of the wait between two tries
	Recheck  time.Duration  // how often the end of the log is read although nothing is to be published
	Jitter   func() float64 // uniform in [0, 1)
	// Yield is called before each record: it may wait, for a bounded time, for what is
	// more urgent. nil: nothing is.
	Yield func(context.Context)
	Log   *slog.Logger
}

// Client is a kiosk's connection to the centre. It may be used by several goroutines.
type Client struct {
	opts   Options
	conn   *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream // nil until it was reached once; only Follow uses it

	mu   sync.Mutex
	kv   jetstream.KeyValue // nil until it was reached once
	link context.Context    // ends with the connection
	lost context.CancelFunc
}

// ErrFork is what every ForkError is.
var ErrFork = errors.New("fleet: the centre's log is not that of this journal")

// ForkError says that the centre's log of this kiosk ends at a record that the
// journal does not have.
type ForkError struct {
	Ours, Theirs entry.Head
	Last         []byte // the entry of Theirs, as the centre has it
}

func (e *ForkError) Error() string {
	return fmt.Sprintf("%v: ours ends at %v, theirs at %v", ErrFork, e.Ours, e.Theirs)
}

// Is makes errors.Is(err, ErrFork) true.
func (e *ForkError) Is(target error) bool { return target == ErrFork }

// ErrConflict means that the bucket has another pick-up for a key that is as new as
// the one to be stored.
var ErrConflict = errors.New("fleet: another pick-up for this key")

// Open prepares a connection and returns at once; it is made, and made again, in
// the background for as long as the client is not closed.
func Open(o Options) (*Client, error) {
	if err := entry.CheckKiosk(o.Kiosk); err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	c := &Client{opts: o}
	c.link, c.lost = context.WithCancel(context.Background())
	options := []nats.Option{
		nats.Name("kiosk " + o.Kiosk), nats.Timeout(o.Connect), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(func(tries int) time.Duration { return c.wait(tries) }),
		nats.ReconnectBufSize(-1), // what cannot be sent now fails now: nothing is sent twice behind our back
		nats.PingInterval(20 * time.Second), nats.MaxPingsOutstanding(2), nats.NoEcho(), nats.NoCallbacksAfterClientClose(),
		nats.IgnoreAuthErrorAbort(), nats.IgnoreDiscoveredServers(), // only those that are configured
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			o.Log.Info("fleet connection lost", "kiosk", o.Kiosk, "err", err)
			c.disconnected()
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { o.Log.Warn("fleet", "kiosk", o.Kiosk, "err", err) }),
	}
	if o.TLS != nil {
		options = append(options, nats.Secure(o.TLS))
	}
	if o.Credentials != "" {
		options = append(options, nats.UserCredentials(o.Credentials))
	}
	conn, err := nats.Connect(strings.Join(o.URLs, ","), options...)
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(o.Request))
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("fleet: %w", err)
	}
	c.conn, c.js = conn, js
	return c, nil
}

// Close ends the connection.
func (c *Client) Close() {
	c.conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost()
}

// wait is the pause after the n-th failure: full jitter under a limit that doubles
// from Min to Max, and never less than Min.
func (c *Client) wait(n int) time.Duration {
	limit := c.opts.Max
	if n < 30 && c.opts.Min<<n < limit {
		limit = c.opts.Min << n
	}
	return max(c.opts.Min, time.Duration(c.opts.Jitter()*float64(limit)))
}

// reply turns what the client library says into one line with our prefix.
func reply(doing string, err error) error { return fmt.Errorf("fleet: %s: %w", doing, err) }

// isStale says that somebody, perhaps we ourselves, has written since we looked.
func isStale(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) ||
		errors.Is(err, jetstream.ErrKeyExists)
}

// timeout bounds one question. It ends with the connection, too: an answer that was
// lost with it will never come, and asking again is safe.
func (c *Client) timeout(ctx context.Context) (context.Context, context.CancelFunc) {
	c.mu.Lock()
	link := c.link
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, c.opts.Request)
	stop := context.AfterFunc(link, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

func (c *Client) disconnected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost()
	c.link, c.lost = context.WithCancel(context.Background())
}
