package fleetlink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"mohr.internal/appliance/fleet/entry"
)

// Record is one journal record ready for the fleet.
type Record struct {
	Entry  []byte      // entry.Entry, marshalled and signed
	Key    entry.KeyID // of the certificate that this record says was issued
	Pickup []byte      // that certificate, sealed; nil with most records
}

// Log is the journal as kioskd shows it to the fleet.
type Log interface {
	// Head is where the journal ends. cleared is the end of a foreign log that an
	// officer has decided to leave behind, if there is one.
	Head() (head entry.Head, cleared *entry.Head)
	// Hash is the hash of one record, zero for one that is not there.
	Hash(seq uint64) (entry.Head, error)
	// Record makes the entry of one record. after is set for the first record behind
	// a cleared fork and must be the head that was cleared.
	Record(seq uint64, after *entry.Head) (Record, error)
	// Changed is closed when Head may differ.
	Changed() <-chan struct{}
	// Acknowledged is told how far the centre has the journal.
	Acknowledged(h entry.Head)
	// Forked is told with which entry the centre's log of this kiosk ends, and that it
	// is not in the journal: the card was rolled back or cloned. Nothing is published
	// until an officer has cleared exactly that head.
	Forked(ours entry.Head, last []byte)
	// Trouble is told why the fleet cannot be reached, and with "" that it can.
	Trouble(why string)
}

// Server is kioskd's end.
type Server struct {
	journal Log
	log     *slog.Logger

	mu   sync.Mutex
	peer *peer // nil while syncd is not there
}

// NewServer serves a journal to syncd.
func NewServer(journal Log, log *slog.Logger) *Server { return &Server{journal: journal, log: log} }

// Serve answers syncd on l until ctx ends. There is one syncd: a new connection
// replaces the old one.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	previous := func() {}
	var done sync.WaitGroup
	defer done.Wait()
	for {
		conn, err := l.Accept()
		previous()
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("fleetlink: %w", err)
		}
		done.Wait()
		each, cancel := context.WithCancel(ctx)
		previous = cancel
		done.Go(func() {
			defer cancel()
			err := s.serveOne(each, conn)
			if each.Err() == nil {
				s.log.Info("syncd left the fleet's socket", "err", err)
			}
		})
	}
}

func (s *Server) serveOne(ctx context.Context, conn net.Conn) error {
	p := newPeer(conn)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	s.set(p)
	defer s.set(nil)
	go func() {
		for {
			changed := s.journal.Changed()
			if p.send(message{Kind: kindChanged}) != nil {
				return
			}
			select {
			case <-changed:
			case <-p.done:
				return
			}
		}
	}()
	return p.run(func(m message) error { return s.take(p, m) })
}

func (s *Server) set(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peer = p
}

// take answers one question or hears one piece of news.
func (s *Server) take(p *peer, m message) error {
	switch m.Kind {
	case kindHead:
		h, cleared := s.journal.Head()
		a := message{Kind: kindHead, Answer: true, ID: m.ID, Head: packHead(h)}
		if cleared != nil {
			a.Cleared = packHead(*cleared)
		}
		return p.send(a)
	case kindHash:
		h, err := s.journal.Hash(m.Seq)
		if err != nil {
			return s.refuse(p, m, err)
		}
		return p.send(message{Kind: kindHash, Answer: true, ID: m.ID, Head: packHead(h)})
	case kindRecord:
		return s.record(p, m)
	case kindAcknowledged:
		s.journal.Acknowledged(m.Head.unpack())
	case kindForked:
		s.journal.Forked(m.Head.unpack(), m.Entry)
	case kindTrouble:
		s.journal.Trouble(m.Why)
	default:
		return errors.New("fleetlink: syncd sent a " + m.Kind)
	}
	return nil
}

func (s *Server) record(p *peer, m message) error {
	var after *entry.Head
	if m.Theirs != nil {
		h := m.Theirs.unpack()
		after = &h
	}
	r, err := s.journal.Record(m.Seq, after)
	if err != nil {
		return s.refuse(p, m, err)
	}
	a := message{Kind: kindRecord, Answer: true, ID: m.ID, Entry: r.Entry, Pickup: r.Pickup}
	if r.Pickup != nil {
		a.Key = r.Key[:]
	}
	return p.send(a)
}

// refuse tells why there is no answer: a record that is damaged on disk costs the
// record, not the connection.
func (s *Server) refuse(p *peer, m message, err error) error {
	s.log.Error("cannot serve the journal", "question", m.Kind, "seq", m.Seq, "err", err)
	return p.send(message{Kind: kindRefused, Answer: true, ID: m.ID, Why: clip(err.Error())})
}

// Lookup asks the fleet for the certificate of a public key: the bytes of a sealed
// pick-up, or nil if there is none. It waits no longer than ctx allows; ErrOffline
// means that syncd is not there, a RefusedError that the fleet cannot be reached.
func (s *Server) Lookup(ctx context.Context, key entry.KeyID) ([]byte, error) {
	s.mu.Lock()
	p := s.peer
	s.mu.Unlock()
	if p == nil {
		return nil, fmt.Errorf("fleetlink: lookup: %w", ErrOffline)
	}
	a, err := p.ask(ctx, message{Kind: kindLookup, Key: key[:]})
	if err != nil {
		return nil, err
	}
	return a.Pickup, nil
}
