package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mohr.internal/appliance/fleet"
	"mohr.internal/appliance/fleet/fleettest"
)

// measures is what is seen while it runs.
type measures struct {
	total, records           int
	issuedAfter, loggedAfter time.Duration
	mostAfter, mostLogged    time.Duration // 95 % of the certificates, of the records
	outage                   time.Duration
	rss                      []int64       // of the child, each second
	others                   float64       // share of the processors that other programs took until those 95 %
	spent                    time.Duration // processor time of our own until then
}

// rate is that of the first 95 %: the rest waits, after several lost answers in a row,
// for its next try, and shows how patient the back-off is and not how fast it goes.
func (m *measures) rate() float64 { return 0.95 * float64(m.total) / m.mostAfter.Seconds() }

// watch waits until every kiosk has every certificate and the centre every record,
// kills a node on the way, and prints how it goes.
func (m *measures) watch(ctx context.Context, kiosks []*simulated, c *child, cluster *fleettest.Cluster, f *faults, say func(string, ...any)) error {
	start := time.Now()
	before, err := useOf(c.cmd.Process.Pid)
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	victim, back := -1, false
	var killed time.Time
	for n := 0; ; n++ {
		issued, behind, logged := 0, 0, 0
		for _, k := range kiosks {
			issued += k.issued()
			behind += k.behind()
			logged += int(k.log.Status().Acknowledged.Seq)
		}
		now := time.Since(start)
		rss, err := c.rss()
		if err != nil {
			return fmt.Errorf("syncd is gone: %w", err)
		}
		m.rss = append(m.rss, rss)
		if f.most.Load() != 0 && m.mostAfter == 0 {
			m.mostAfter = time.Unix(0, f.most.Load()).Sub(start)
			after, err := useOf(c.cmd.Process.Pid)
			if err != nil {
				return err
			}
			m.others, m.spent = others(before, after), after.own-before.own
		}
		if issued == m.total && m.issuedAfter == 0 {
			m.issuedAfter = time.Unix(0, f.last.Load()).Sub(start)
			say("the last of %d certificates", issued)
		}
		done := issued == m.total && behind == 0
		if m.mostLogged == 0 && logged >= m.records*95/100 {
			m.mostLogged = now
		}
		if n%5 == 0 || done {
			say("%6d certificates, %7d records behind, syncd %d MB", issued, behind, rss>>20)
		}
		switch {
		case victim < 0 && (issued > m.total/4 || done):
			if victim = cluster.StreamLeader(fleet.Stream); victim >= 0 {
				say("node %d, which leads the stream, is killed", victim)
				cluster.Kill(victim)
				killed = time.Now()
			}
		case victim >= 0 && !back && time.Since(killed) > outage:
			if err := cluster.Restart(victim); err != nil {
				return err
			}
			back, m.outage = true, time.Since(killed)
			say("node %d is back", victim)
		}
		if done && m.loggedAfter == 0 {
			m.loggedAfter = now
		}
		if done && back {
			return nil
		}
		select {
		case <-ctx.Done():
			for _, d := range []*time.Duration{&m.issuedAfter, &m.mostAfter, &m.loggedAfter, &m.mostLogged} {
				*d = max(*d, now)
			}
			return errors.Join(fmt.Errorf("%d certificates missing, %d records behind", m.total-issued, behind), ctx.Err())
		case <-tick.C:
		}
	}
}

// settled are the samples after the start, when every kiosk has handed out its backlog.
func (m *measures) settled() []int64 { return m.rss[min(len(m.rss)/5, max(0, len(m.rss)-2)):] }

func (m *measures) memory() string {
	if len(m.rss) < 2 {
		return "not enough samples"
	}
	s := m.settled()
	return fmt.Sprintf("syncd of all kiosks: %d MB at the first fifth, %d MB at most from there, %d MB at the end (%d samples)",
		s[0]>>20, slices.Max(s)>>20, m.rss[len(m.rss)-1]>>20, len(m.rss))
}

// long says whether a run is long and large enough to judge speed and memory by it: of a
// short one they are printed.
func (m *measures) long() bool { return m.total >= 10_000 && len(m.rss) >= 30 }

// flat compares the second half with the first.
func (m *measures) flat() error {
	half := len(m.rss) / 2
	first, second := slices.Max(m.rss[:half]), slices.Max(m.rss[half:])
	if float64(second) > 1.1*float64(first) {
		return fmt.Errorf("at most %d MB in the first half, %d MB in the second", first>>20, second>>20)
	}
	return nil
}
