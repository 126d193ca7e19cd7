package fleetlink

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"mohr.internal/appliance/fleet/entry"
)

// Lookup finds the sealed pick-up of a key in the fleet; nil if there is none.
type Lookup func(ctx context.Context, key entry.KeyID) ([]byte, error)

// Client is syncd's end of one connection.
type Client struct {
	peer    *peer
	mu      sync.Mutex
	changed chan struct{}
}

// NewClient speaks on conn. Run must be called for anything to be answered.
func NewClient(conn net.Conn) *Client {
	return &Client{peer: newPeer(conn), changed: make(chan struct{})}
}

// How long things may take. kioskd answers from disk; the fleet may be far.
const (
	askTimeout    = 20 * time.Second
	lookupTimeout = 20 * time.Second
)

// Run hears kioskd until the connection or ctx ends. Look-ups are answered with
// lookup, a few at a time.
func (c *Client) Run(ctx context.Context, lookup Lookup) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.peer.conn.Close() })
	defer stop()
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	slots := make(chan struct{}, 4)
	return c.peer.run(func(m message) error {
		switch m.Kind {
		case kindChanged:
			c.wake()
		case kindLookup:
			select {
			case slots <- struct{}{}:
			default:
				return c.peer.send(message{Kind: kindRefused, Answer: true, ID: m.ID, Why: "too many look-ups at a time"})
			}
			running.Go(func() {
				defer func() { <-slots }()
				c.peer.send(c.found(ctx, m, lookup))
			})
		default:
			return errors.New("fleetlink: kioskd sent a " + m.Kind)
		}
		return nil
	})
}

func (c *Client) found(ctx context.Context, m message, lookup Lookup) message {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	pickup, err := lookup(ctx, entry.KeyID(m.Key))
	if err != nil {
		return message{Kind: kindRefused, Answer: true, ID: m.ID, Why: clip(err.Error())}
	}
	return message{Kind: kindLookup, Answer: true, ID: m.ID, Pickup: pickup}
}

func (c *Client) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
}

// Changed is closed when the journal has grown or a fork was cleared.
func (c *Client) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// Head asks where the journal ends and what an officer has cleared.
func (c *Client) Head(ctx context.Context) (h entry.Head, cleared *entry.Head, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	a, err := c.peer.ask(ctx, message{Kind: kindHead})
	if err != nil {
		return entry.Head{}, nil, err
	}
	if a.Cleared != nil {
		h := a.Cleared.unpack()
		cleared = &h
	}
	return a.Head.unpack(), cleared, nil
}

// Hash asks for the hash of one record.
func (c *Client) Hash(ctx context.Context, seq uint64) (entry.Head, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	a, err := c.peer.ask(ctx, message{Kind: kindHash, Seq: seq})
	if err != nil {
		return entry.Head{}, err
	}
	return a.Head.unpack(), nil
}

// Record asks for one record.
func (c *Client) Record(ctx context.Context, seq uint64, after *entry.Head) (Record, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	m := message{Kind: kindRecord, Seq: seq}
	if after != nil {
		m.Theirs = packHead(*after)
	}
	a, err := c.peer.ask(ctx, m)
	if err != nil {
		return Record{}, err
	}
	r := Record{Entry: a.Entry, Pickup: a.Pickup}
	if len(a.Key) == 0 != (a.Pickup == nil) {
		return Record{}, errors.New("fleetlink: record with a key or a pick-up alone")
	}
	copy(r.Key[:], a.Key)
	return r, nil
}

// Acknowledged tells kioskd how far the centre has the journal.
func (c *Client) Acknowledged(h entry.Head) {
	c.peer.send(message{Kind: kindAcknowledged, Head: packHead(h)}) // a dead connection is noticed by Run
}

// Forked tells kioskd that the centre's log ends outside our journal, and with what.
func (c *Client) Forked(ours entry.Head, last []byte) {
	c.peer.send(message{Kind: kindForked, Head: packHead(ours), Entry: last})
}

// Trouble tells kioskd why the fleet cannot be reached, "" when it can.
func (c *Client) Trouble(why string) { c.peer.send(message{Kind: kindTrouble, Why: clip(why)}) }
