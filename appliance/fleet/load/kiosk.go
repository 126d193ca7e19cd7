package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"mohr.internal/appliance/fleet/fleettest"
	"mohr.internal/appliance/fleetlink"
	"mohr.internal/appliance/fleetlog"
	"mohr.internal/appliance/outboxlink"
	"mohr.internal/kiosk"
)

// simulated is a kiosk without a screen: kioskd's side of both sockets.
type simulated struct {
	id                    string
	key                   crypto.Signer
	backlog               []raised
	journal               *fleettest.Journal
	ledger                *kiosk.Ledger
	outbox                *kiosk.Outbox
	log                   *fleetlog.Log
	server                *fleetlink.Server
	clock                 *clock
	disorder              int // parcels that are not handed out in the journal's order
	outboxPath, fleetPath string
}

func newSimulated(w *world, id string, n uint64, key crypto.Signer, backlog []raised, dir string) (*simulated, error) {
	k := &simulated{
		id: id, key: key, backlog: backlog, clock: &clock{jumpy: jumpy(int(n))},
		outboxPath: filepath.Join(dir, id+".o"), fleetPath: filepath.Join(dir, id+".f"),
	}
	var journalID [8]byte
	binary.BigEndian.PutUint64(journalID[:], n+1)
	k.journal = fleettest.NewJournal(journalID)
	for i, r := range backlog {
		for _, record := range r.records {
			if k.clock.jumpy {
				record.Time = jumps[i%len(jumps)](r.at).Unix()
			}
			b, err := record.Marshal()
			if err != nil {
				return nil, err
			}
			if _, err := k.journal.Append(b); err != nil {
				return nil, err
			}
		}
	}
	quiet := slog.New(slog.DiscardHandler)
	var err error
	if k.ledger, err = kiosk.OpenLedger(k.journal.Ledger(), k.clock); err != nil {
		return nil, err
	}
	k.outbox = kiosk.NewOutbox(k.ledger, w.pki.Roots(), []*x509.Certificate{w.pki.Issuing}, k.clock, quiet)
	for i, p := range k.outbox.Pending() {
		if i >= len(backlog) || !strings.HasPrefix(p.ID, backlog[i].id.String()) {
			k.disorder++
		}
	}
	k.log, err = fleetlog.New(fleetlog.Options{
		Request: k.ledger.Request, Kiosk: id, Journal: k.journal, Changed: k.journal.Changed, Recipients: []string{w.centre.Recipient().String()}, Key: key, Rand: rand.Reader,
	})
	if err != nil {
		return nil, err
	}
	k.server = fleetlink.NewServer(k.log, quiet)
	return k, nil
}

// serve answers the carrier until ctx ends.
func (k *simulated) serve(ctx context.Context, running *sync.WaitGroup, f *faults) error {
	ol, err := net.Listen("unix", k.outboxPath)
	if err != nil {
		return err
	}
	fl, err := net.Listen("unix", k.fleetPath)
	if err != nil {
		ol.Close()
		return err
	}
	k.clock.start.Store(time.Now().UnixNano())
	running.Go(func() { outboxlink.Serve(ctx, ol, box{k, f}, slog.New(slog.DiscardHandler)) })
	running.Go(func() { k.server.Serve(ctx, fl) })
	return nil
}

// issued counts the requests that have their certificate.
func (k *simulated) issued() int {
	return len(k.ledger.All(func(n kiosk.Renewal) bool { return n.State == kiosk.Issued }))
}

// behind is how many records the centre has not acknowledged.
func (k *simulated) behind() int {
	h, _ := k.log.Head()
	return int(h.Seq - k.log.Status().Acknowledged.Seq)
}

// box is the ceremony's outbox for the link, with every failure counted.
type box struct {
	*simulated
	faults *faults
}

func (b box) Changed() <-chan struct{} { return b.outbox.Changed() }

func (b box) Pending() (out []outboxlink.Parcel) {
	for _, p := range b.outbox.Pending() {
		out = append(out, outboxlink.Parcel(p))
	}
	return out
}

func (b box) Failed(id string, f outboxlink.Failure) {
	b.faults.failed.Add(1)
	b.outbox.Failed(id, f.Why)
}

func (b box) Answer(id string, der []byte) (bool, time.Duration) {
	v := b.outbox.Answer(id, der)
	if v.Done {
		b.faults.settle()
	} else {
		b.faults.unsettled.Add(1)
		if b.clock.jumpy {
			b.faults.misjudged.Add(1)
		}
	}
	return v.Done, v.After
}
