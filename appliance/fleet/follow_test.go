package fleet_test

import (
	"fmt"
	mrand "math/rand/v2"
	"testing"
	"time"

	"mohr.internal/appliance/fleet"
	"mohr.internal/appliance/fleet/entry"
	"mohr.internal/appliance/fleet/fleettest"
)

func newJournal(name string) *fleettest.Journal {
	var id [8]byte
	copy(id[:], name)
	return fleettest.NewJournal(id)
}

// What is in the journal reaches the centre once and in order; a new syncd goes on
// behind the last acknowledged record.
func TestResumes(t *testing.T) {
	j := newJournal(t.Name())
	s := start(t, "resumes", j)
	s.append(20)
	s.acknowledged()
	s.stop()
	s.append(5)
	s = start(t, "resumes", j)
	s.acknowledged()
	s.append(5)
	s.acknowledged()
	s.complete()
	if s.log.Status().Trouble != "" || len(s.forked()) != 0 {
		t.Errorf("%+v", s.log.Status())
	}
}

// proxied is a station behind one bad network to all nodes.
func proxied(t *testing.T, id string, j *fleettest.Journal, budget func() int64) (*station, []*fleettest.Proxy) {
	t.Helper()
	var proxies []*fleettest.Proxy
	var urls []string
	for _, a := range cluster.Addresses() {
		p := must[*fleettest.Proxy](t)(fleettest.NewProxy(a, budget))
		t.Cleanup(p.Close)
		proxies = append(proxies, p)
		urls = append(urls, "nats://"+p.Address())
	}
	return start(t, id, j, urls...), proxies
}

func all(proxies []*fleettest.Proxy, f func(*fleettest.Proxy)) {
	for _, p := range proxies {
		f(p)
	}
}

// A record whose acknowledgement is lost is not published a second time.
func TestLostAcknowledgements(t *testing.T) {
	s, proxies := proxied(t, "lost-acks", newJournal(t.Name()), nil)
	for range 5 {
		s.append(1)
		s.acknowledged()
		before := len(messages(t, s.id))
		all(proxies, func(p *fleettest.Proxy) { p.Set(fleettest.Mute) })
		s.append(1)
		eventually(t, "the record without its acknowledgement", func() bool { return len(messages(t, s.id)) == before+1 })
		if h, _ := s.log.Head(); s.log.Status().Acknowledged == h {
			t.Fatal("acknowledged through a mute network")
		}
		all(proxies, func(p *fleettest.Proxy) { p.Set(fleettest.Pass); p.Cut() })
		s.append(1)
		s.acknowledged()
	}
	s.complete()
}

// A network that comes and goes, and connections reset at any byte, lose and double
// nothing.
func TestFlappingNetwork(t *testing.T) {
	random := mrand.New(mrand.NewPCG(1, 2))
	s, proxies := proxied(t, "flapping", newJournal(t.Name()), func() int64 { return 500 + mrand.Int64N(12_000) })
	for range 12 {
		s.append(5)
		time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
		all(proxies, func(p *fleettest.Proxy) { p.Set(fleettest.Refuse) })
		time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
		all(proxies, func(p *fleettest.Proxy) { p.Set(fleettest.Pass) })
	}
	s.acknowledged()
	s.complete()
	resets := 0
	all(proxies, func(p *fleettest.Proxy) { resets += p.Resets() })
	t.Logf("%d connections reset within a message", resets)
}

// The loss of a node, and with it of the stream's leader, is a pause and nothing else.
func TestNodeKilled(t *testing.T) {
	s := start(t, "node-killed", newJournal(t.Name()))
	s.append(10)
	s.acknowledged()
	for range 2 {
		leader := -1
		eventually(t, "a leader", func() bool { leader = cluster.StreamLeader(fleet.Stream); return leader >= 0 })
		s.append(10)
		cluster.Kill(leader)
		s.append(10)
		s.acknowledged()
		if now := cluster.StreamLeader(fleet.Stream); now == leader {
			t.Errorf("node %d still leads", now)
		}
		if err := cluster.Restart(leader); err != nil {
			t.Fatal(err)
		}
		s.append(10)
		s.acknowledged()
	}
	ctx := t.Context()
	if err := cluster.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	s.complete()
}

// A card that was rolled back is found at the first sync, and publishes nothing until
// an officer clears exactly the end that was reported.
func TestRolledBackJournal(t *testing.T) {
	j := newJournal(t.Name())
	s := start(t, "rolled-back", j)
	s.append(8)
	s.acknowledged()
	full, _ := s.log.Head()
	s.stop()

	s = start(t, "rolled-back", j.Copy(5))
	eventually(t, "alarm", func() bool { return len(s.forked()) > 0 })
	if got := s.forked()[0]; got != full {
		t.Errorf("fork at %v, want %v", got, full)
	}
	must[uint64](t)(s.journal.Append(record(t, 200))) // life goes on differently
	must[uint64](t)(s.journal.Append(record(t, 201)))
	must[uint64](t)(s.journal.Append(record(t, 202)))
	must[uint64](t)(s.journal.Append(record(t, 203))) // longer than the old one now
	eventually(t, "second alarm", func() bool { return len(s.forked()) > 1 })
	if n := len(messages(t, s.id)); n != 8 || s.log.Status().Fork == nil {
		t.Fatalf("%d messages in spite of the fork, status %+v", n, s.log.Status())
	}
	s.clear(entry.Head{Journal: full.Journal, Seq: 7, Hash: full.Hash}) // not what was reported
	time.Sleep(300 * time.Millisecond)
	if n := len(messages(t, s.id)); n != 8 {
		t.Fatalf("%d messages after another end was cleared", n)
	}
	s.clear(full)
	s.acknowledged()
	got := s.stored()
	if len(got) != 8+9 || got[8].After == nil || *got[8].After != full || got[8].Seq != 1 {
		t.Fatalf("%d messages; the first behind the fork is %v after %v", len(got), got[8].Head(), got[8].After)
	}
	for _, e := range got[9:] {
		if e.After != nil {
			t.Errorf("record %d leaves a log, too", e.Seq)
		}
	}
	s.append(1)
	s.acknowledged()
}

func (s *station) clear(h entry.Head) {
	s.mu.Lock()
	s.cleared = &h
	s.mu.Unlock()
	s.journal.Wake()
}

// Of a card and its clone one goes on; the other raises the alarm.
func TestClone(t *testing.T) {
	j := newJournal(t.Name())
	a := start(t, "cloned", j)
	a.append(5)
	a.acknowledged()
	b := start(t, "cloned", j.Copy(5))
	b.acknowledged()
	a.append(3)
	a.acknowledged()
	eventually(t, "alarm at the clone that has nothing to say", func() bool { return len(b.forked()) > 0 })
	must[uint64](t)(b.journal.Append(record(t, 100)))
	time.Sleep(100 * time.Millisecond)
	a.append(3)
	a.acknowledged()
	a.complete()
	if len(a.forked()) != 0 {
		t.Error("alarm at the one that goes on")
	}

	// Both speak at once: one of them wins.
	c := start(t, "cloned-2", newJournal("one"))
	d := start(t, "cloned-2", newJournal("two"))
	for i := range 10 {
		must[uint64](t)(c.journal.Append(record(t, i)))
		must[uint64](t)(d.journal.Append(record(t, 100+i)))
	}
	eventually(t, "alarm at one of two", func() bool { return len(c.forked())+len(d.forked()) > 0 })
	winner, loser := c, d
	if len(c.forked()) > 0 {
		winner, loser = d, c
	}
	winner.acknowledged()
	winner.complete()
	if len(winner.forked()) != 0 || len(loser.forked()) == 0 {
		t.Errorf("alarms %v and %v", winner.forked(), loser.forked())
	}
}

// Many kiosks at once do not disturb each other.
func TestManyKiosks(t *testing.T) {
	var all []*station
	for i := range 20 {
		s := start(t, fmt.Sprintf("many-%d", i), newJournal(fmt.Sprint(i)))
		s.append(10)
		all = append(all, s)
	}
	for _, s := range all {
		s.acknowledged()
	}
	for _, s := range all {
		s.complete()
	}
}
