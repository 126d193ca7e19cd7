package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"fmt"
	"io"
	"sync"
	"time"

	"filippo.io/age"
	"github.com/nats-io/nats.go/jetstream"

	"mohr.internal/appliance/fleet"
	"mohr.internal/appliance/fleet/entry"
	"mohr.internal/appliance/fleet/fleettest"
	"mohr.internal/kiosk"
	"mohr.internal/kiosk/cmp/cmptest"
)

// tally counts checks and prints each.
type tally struct{ passed, failed int }

func (t *tally) check(what string, err error) {
	if err != nil {
		t.failed++
		fmt.Printf("FAIL  %s: %v\n", what, err)
		return
	}
	t.passed++
	fmt.Printf("ok    %s\n", what)
}

func none(what string, n int) error {
	if n != 0 {
		return fmt.Errorf("%d %s", n, what)
	}
	return nil
}

func least(got, want float64) error {
	if !(got >= want) {
		return fmt.Errorf("%.2f, want at least %.2f", got, want)
	}
	return nil
}

// issued compares what the CA issued with what the kiosks asked for and were given.
func (t *tally) issued(ca *cmptest.CA, kiosks []*simulated, total int) {
	all := ca.Issued()
	certs := map[kiosk.RenewalID][]byte{}
	doubled := 0
	for _, i := range all {
		id := kiosk.RenewalID(i.TransactionID)
		if certs[id] != nil {
			doubled++
		}
		certs[id] = i.Cert.Raw
	}
	t.check(fmt.Sprintf("the CA issued %d certificates", total), none("off", len(all)-total))
	t.check("none twice for one request", none("twice", doubled))
	lost, wrong, keys := 0, 0, 0
	for _, k := range kiosks {
		for _, r := range k.backlog {
			n, _ := k.ledger.Renewal(r.id)
			switch {
			case n.State != kiosk.Issued || certs[r.id] == nil:
				lost++
			case !bytes.Equal(n.Certificate, certs[r.id]):
				wrong++
			case !bytes.Contains(n.Certificate, r.newKey):
				keys++
			}
		}
	}
	t.check("every kiosk has every certificate", none("lost", lost))
	t.check("each the one that the CA issued, for the key that was asked for", none("wrong", wrong+keys))
}

// log reads the whole stream and compares it with the journals.
func (t *tally) log(ctx context.Context, js jetstream.JetStream, cluster *fleettest.Cluster, w *world, kiosks []*simulated) {
	byID := map[string]*simulated{}
	for _, k := range kiosks {
		byID[k.id] = k
	}
	at := map[string]uint64{}
	var lost, doubled, wrong, forged, unreadable, shown, n int
	names := [][]byte{[]byte(cmptest.Citizen.NationalID), []byte(cmptest.Citizen.Family), []byte(cmptest.Citizen.FamilyFa)}
	err := stream(ctx, js, cluster, func(data []byte) error {
		e, err := entry.Parse(data)
		k := byID[e.Kiosk]
		if err != nil || k == nil {
			return fmt.Errorf("entry of kiosk %q: %v", e.Kiosk, err)
		}
		switch want := at[e.Kiosk] + 1; {
		case e.Seq < want:
			doubled++
			return nil
		case e.Seq > want:
			lost += int(e.Seq - want)
		}
		at[e.Kiosk] = e.Seq
		r, err := k.journal.Read(e.Seq)
		if err != nil || r.Hash != e.Hash || r.Prev != e.Prev {
			wrong++
			return nil
		}
		for _, name := range names {
			if bytes.Contains(data, name) {
				shown++
			}
		}
		if n++; n%16 == 0 { // signing is the same for all
			key, _ := k.key.Public().(*ecdsa.PublicKey)
			if e.Verify(key) != nil {
				forged++
			}
			if !opens(e, w.centre, r.Payload) {
				unreadable++
			}
		}
		return nil
	})
	for _, k := range kiosks {
		h, _ := k.log.Head()
		lost += int(h.Seq - at[k.id])
	}
	t.check(fmt.Sprintf("the stream can be read, %d records", n), err)
	t.check("every journal is there to its end", none("records lost", lost))
	t.check("no record twice", none("twice", doubled))
	t.check("each with the journal's own hashes", none("wrong", wrong))
	t.check("signed by the kiosk (one in 16 verified)", none("forged", forged))
	t.check("the centre opens the sealed part (one in 16)", none("unreadable", unreadable))
	t.check("no name and no national ID in any message", none("messages show a person", shown))
}

func opens(e entry.Entry, centre age.Identity, payload []byte) bool {
	r, err := age.Decrypt(bytes.NewReader(e.Sealed), centre)
	if err != nil {
		return false
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return false
	}
	p, err := entry.ParsePrivate(b)
	return err == nil && bytes.Equal(p.Payload, payload) && e.CheckHash(payload) == nil
}

// stream reads every message, in order, once all nodes are up to date.
func stream(ctx context.Context, js jetstream.JetStream, cluster *fleettest.Cluster, take func([]byte) error) error {
	if err := cluster.Wait(ctx); err != nil {
		return err
	}
	for { // a consumer may run on a node that lags
		s, err := js.Stream(ctx, fleet.Stream)
		if err != nil {
			return err
		}
		lag, info := false, s.CachedInfo()
		if info.Cluster != nil {
			for _, r := range info.Cluster.Replicas {
				lag = lag || !r.Current || r.Lag > 0
			}
		}
		if info.Cluster != nil && info.Cluster.Leader != "" && !lag {
			return readAll(ctx, s, info.State.Msgs, take)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the nodes are not up to date: %w", ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func readAll(ctx context.Context, s jetstream.Stream, total uint64, take func([]byte) error) error {
	c, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	it, err := c.Messages(jetstream.PullMaxMessages(500))
	if err != nil {
		return err
	}
	defer it.Stop()
	stop := context.AfterFunc(ctx, it.Stop)
	defer stop()
	for range total {
		m, err := it.Next()
		if err != nil {
			return err
		}
		if err := take(m.Data()); err != nil {
			return err
		}
	}
	return nil
}

// pickups looks every certificate up as another kiosk would.
func (t *tally) pickups(ctx context.Context, js jetstream.JetStream, kiosks []*simulated) {
	kv, err := js.KeyValue(ctx, fleet.Bucket)
	if err != nil {
		t.check("the bucket is there", err)
		return
	}
	var mu sync.Mutex
	missing, wrong := 0, 0
	next := make(chan *simulated)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for k := range next {
				for _, r := range k.backlog {
					n, _ := k.ledger.Renewal(r.id)
					found, err := kv.Get(ctx, entry.KeyIDOf(r.newKey).String())
					var p entry.Pickup
					if err == nil {
						p, err = entry.OpenPickup(found.Value(), r.newKey)
					}
					mu.Lock()
					if err != nil {
						missing++
					} else if p.Renewal != r.id || !bytes.Equal(p.Certificate, n.Certificate) || p.Request == nil {
						wrong++
					}
					mu.Unlock()
				}
			}
		})
	}
	for _, k := range kiosks {
		next <- k
	}
	close(next)
	workers.Wait()
	t.check("every certificate is found by its key", none("missing", missing))
	t.check("and is the right one", none("wrong", wrong))
}
