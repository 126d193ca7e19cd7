package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mohr.internal/appliance/fleet/entry"
	"mohr.internal/appliance/fleetlink"
)

// Journal is what Follow publishes; *fleetlink.Client is one.
type Journal interface {
	Head(ctx context.Context) (head entry.Head, cleared *entry.Head, err error)
	Hash(ctx context.Context, seq uint64) (entry.Head, error)
	Record(ctx context.Context, seq uint64, after *entry.Head) (fleetlink.Record, error)
	Changed() <-chan struct{}
	Acknowledged(h entry.Head)
	Forked(ours entry.Head, last []byte)
	Trouble(why string)
}

var _ Journal = (*fleetlink.Client)(nil)

// Follow publishes the journal, and whatever is added to it, until ctx ends. It goes
// on after every failure; a fork is reported and waited out.
func (c *Client) Follow(ctx context.Context, j Journal) error {
	f := &follower{Client: c, journal: j, trouble: "not yet connected"}
	for tries := 0; ; tries++ {
		changed := j.Changed() // before anything is read
		before := f.published
		err := f.round(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if f.published > before {
			tries = 0
		}
		pause := c.wait(tries)
		var fork *ForkError
		switch {
		case errors.As(err, &fork):
			c.opts.Log.Error("fork", "kiosk", c.opts.Kiosk, "ours", fork.Ours, "theirs", fork.Theirs)
			j.Forked(fork.Ours, fork.Last)
			pause = max(c.opts.Max, pause) // an officer is not there in a second; a change wakes us
		case isStale(err):
			c.opts.Log.Info("the log has moved", "kiosk", c.opts.Kiosk)
			changed = nil
		default:
			c.opts.Log.Info("fleet log waits", "kiosk", c.opts.Kiosk, "err", err)
			f.say(err.Error())
			changed = nil // growth is no reason to try earlier
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-time.After(pause):
		}
	}
}

// follower is one Follow.
type follower struct {
	*Client
	journal   Journal
	trouble   string
	published int
}

func (f *follower) say(why string) {
	if why != f.trouble {
		f.trouble = why
		f.journal.Trouble(why)
	}
}

// position is a place in the log from which to go on.
type position struct {
	at    entry.Head // the last record of ours that the centre has; Seq 0 for none
	seq   uint64     // the stream's sequence of the last message of our subject
	after *entry.Head
}

// round finds out where to go on, publishes until everything is there, and goes on
// publishing what comes. It returns only with an error.
func (f *follower) round(ctx context.Context) error {
	p, err := f.resume(ctx)
	if err != nil {
		return err
	}
	f.say("")
	if p.at.Seq > 0 {
		f.journal.Acknowledged(p.at)
	}
	for {
		changed := f.journal.Changed()
		head, _, err := f.journal.Head(ctx)
		if err != nil {
			return err
		}
		for p.at.Seq < head.Seq {
			if f.opts.Yield != nil {
				f.opts.Yield(ctx)
			}
			if p, err = f.publish(ctx, p); err != nil {
				return err
			}
			f.published++
			f.journal.Acknowledged(p.at)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-time.After(f.opts.Recheck):
			if p, err = f.resume(ctx); err != nil {
				return err
			}
		}
	}
}

// resume compares the end of the centre's log with the journal.
func (f *follower) resume(ctx context.Context) (position, error) {
	last, raw, seq, err := f.last(ctx)
	if err != nil {
		return position{}, err
	}
	ours, cleared, err := f.journal.Head(ctx) // after last: what the centre has, the journal had before
	if err != nil || last == nil {
		return position{seq: seq}, err
	}
	theirs := last.Head()
	if theirs.Journal == ours.Journal && theirs.Seq <= ours.Seq {
		same, err := f.journal.Hash(ctx, theirs.Seq)
		if err != nil {
			return position{}, err
		}
		if same == theirs {
			return position{at: theirs, seq: seq}, nil
		}
	}
	if cleared != nil && *cleared == theirs {
		return position{seq: seq, after: cleared}, nil
	}
	return position{}, &ForkError{ours, theirs, raw}
}

// last reads the last message of our subject, parsed and raw; nil if there is none.
func (f *follower) last(ctx context.Context) (*entry.Entry, []byte, uint64, error) {
	ctx, cancel := f.timeout(ctx)
	defer cancel()
	if f.stream == nil {
		s, err := f.js.Stream(ctx, Stream)
		if err != nil {
			return nil, nil, 0, reply("stream", err)
		}
		f.stream = s
	}
	m, err := f.stream.GetLastMsgForSubject(ctx, Subject(f.opts.Kiosk))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil, 0, nil
	}
	if err != nil {
		return nil, nil, 0, reply("read the end of the log", err)
	}
	e, err := entry.Parse(m.Data)
	if err != nil {
		return nil, nil, 0, reply(fmt.Sprintf("message %d of the log", m.Sequence), err)
	}
	if e.Kiosk != f.opts.Kiosk {
		return nil, nil, 0, fmt.Errorf("fleet: message %d of our log is kiosk %s's", m.Sequence, e.Kiosk)
	}
	return &e, m.Data, m.Sequence, nil
}

// publish brings the next record to the centre and returns the place behind it.
func (f *follower) publish(ctx context.Context, p position) (position, error) {
	r, err := f.journal.Record(ctx, p.at.Seq+1, p.after)
	if err != nil {
		return p, err
	}
	e, err := entry.Parse(r.Entry)
	if err != nil {
		return p, err
	}
	if e.Kiosk != f.opts.Kiosk || e.Seq != p.at.Seq+1 || e.Prev != p.at.Hash || p.at.Seq > 0 && e.Journal != p.at.Journal {
		return p, fmt.Errorf("fleet: kioskd gave record %v of kiosk %s to follow %v", e.Head(), e.Kiosk, p.at)
	}
	if r.Pickup != nil {
		if err := f.Put(ctx, r.Key, r.Pickup); errors.Is(err, ErrConflict) {
			f.opts.Log.Error("pick-up not stored", "kiosk", f.opts.Kiosk, "err", err) // must not stop the log
		} else if err != nil {
			return p, err
		}
	}
	ctx, cancel := f.timeout(ctx)
	defer cancel()
	m := &nats.Msg{Subject: Subject(f.opts.Kiosk), Data: r.Entry}
	ack, err := f.js.PublishMsg(ctx, m, jetstream.WithExpectStream(Stream), jetstream.WithExpectLastSequencePerSubject(p.seq), jetstream.WithRetryAttempts(0))
	if err != nil {
		return p, reply(fmt.Sprintf("publish record %d", e.Seq), err)
	}
	return position{at: e.Head(), seq: ack.Sequence}, nil
}
