package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mohr.internal/appliance/fleet/fleettest"
)

// Where connections break: at the CA after a few exchanges, at NATS after some
// hundred records.
func caBudget() int64   { return rand.Int64N(200_000) }
func natsBudget() int64 { return rand.Int64N(4 << 20) }

// outage is how long the killed node stays away.
const outage = 10 * time.Second

// examine runs everything and prints what it found.
func examine(ctx context.Context, p plan) error {
	debug.SetGCPercent(400) // the kiosks' own memory is not what is examined
	dir, err := os.MkdirTemp("", "load")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	start := time.Now()
	say := func(format string, args ...any) {
		fmt.Printf("%6.1f s  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
	w, err := newWorld()
	if err != nil {
		return err
	}
	kiosks, err := w.everybody(ctx, p, dir)
	if err != nil {
		return err
	}
	total := p.Kiosks * p.Requests
	say("%d kiosks with %d requests each, signed over %d days", p.Kiosks, p.Requests, backlogDays)

	half := len(kiosks) / 2
	before, n, err := w.bare(ctx, kiosks[:half], min(p.Bare, total)/2)
	if err != nil {
		return err
	}
	say("bare HTTP client, no faults: %d requests, %.0f a second", n, before)

	cluster, err := fleettest.StartCluster(ctx, dir, nil)
	if err != nil {
		return err
	}
	defer cluster.Stop()
	conn, err := nats.Connect(strings.Join(cluster.URLs(), ","), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	if err := cluster.Provision(ctx, js, fleettest.Nodes); err != nil {
		return err
	}
	var servers []string
	var proxies []*fleettest.Proxy
	for _, a := range cluster.Addresses() {
		proxy, err := fleettest.NewProxy(a, natsBudget)
		if err != nil {
			return err
		}
		defer proxy.Close()
		proxies, servers = append(proxies, proxy), append(servers, "nats://"+proxy.Address())
	}
	f := faults{mark: int64(total) * 95 / 100}
	line := &network{plan: p, faults: &f}
	s, err := w.openSite(func(h http.Handler) http.Handler { line.ca = h; return line }, caBudget)
	if err != nil {
		return err
	}
	defer s.close()

	serving, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	for _, k := range kiosks {
		if err := k.serve(serving, &running, &f); err != nil {
			return err
		}
	}
	c, err := startChild(dir, kiosks, s.url, servers)
	if err != nil {
		return err
	}
	say("three NATS nodes with sync_interval always, a CA, and syncd for all kiosks in process %d", c.cmd.Process.Pid)

	m := &measures{total: total, records: totalRecords(kiosks, p)}
	werr := m.watch(ctx, kiosks, c, cluster, &f, say)
	if err := c.end(); err != nil {
		werr = errors.Join(werr, fmt.Errorf("syncd: %w", err))
	}
	if werr != nil {
		say("not finished: %v", werr)
	}
	after, n, err := w.bare(ctx, kiosks[half:], min(p.Bare, total)/2)
	if err != nil {
		return err
	}
	say("bare HTTP client again: %d requests, %.0f a second", n, after)
	rate := (before + after) / 2
	resets, jumpers, disorder := 0, 0, 0
	for _, k := range kiosks {
		disorder += k.disorder
		if k.clock.jumpy {
			jumpers++
		}
	}
	for _, p := range proxies {
		resets += p.Resets()
	}
	fmt.Printf("\nfaults    %d posts reached the CA for %d requests; %d answers dropped, %d requests doubled, %d HTTP and %d NATS connections reset, one node of %d killed for %v\n",
		f.posted.Load(), total, f.dropped.Load(), f.doubled.Load(), s.listen.Resets(), resets, fleettest.Nodes, m.outage.Round(time.Second/10))
	fmt.Printf("kiosks    %d failed tries, %d answers that settled nothing\n", f.failed.Load(), f.unsettled.Load())
	fmt.Printf("clocks    of %d kiosks jumped between 1970, ten years on and a year back for %v; they misjudged %d answers\n", jumpers, jumping, f.misjudged.Load())
	fmt.Printf("requests  %.0f a second until 95 %% had their certificate after %.1f s, all after %.1f s; bare client %.0f a second; ratio %.2f (goal 0.5)\n",
		m.rate(), m.mostAfter.Seconds(), m.issuedAfter.Seconds(), rate, m.rate()/rate)
	fmt.Printf("cpu       %.1f ms for each request until then, everything together; other programs took %.0f %% of the processors\n",
		m.spent.Seconds()*1000/float64(f.mark), m.others*100)
	fmt.Printf("log       %d records, %.0f a second until 95 %% were acknowledged after %.1f s, all after %.1f s\n",
		m.records, 0.95*float64(m.records)/m.mostLogged.Seconds(), m.mostLogged.Seconds(), m.loggedAfter.Seconds())
	fmt.Printf("memory    %s\n\n", m.memory())

	t := &tally{}
	t.check("all delivered in time", werr)
	switch ratio := m.rate() / rate; {
	case !m.long():
		fmt.Printf("--    ratio to the bare client %.2f, memory at most %d MB: not judged by so short a run\n", ratio, slices.Max(m.rss)>>20)
	case ratio < 0.5 && m.others > 0.15:
		fmt.Printf("--    ratio to the bare client: %.2f, not judged: other programs took %.0f %% of the processors\n", ratio, m.others*100)
		t.check("memory of syncd is flat", m.flat())
	default:
		t.check("ratio to the bare client", least(ratio, 0.5))
		t.check("memory of syncd is flat", m.flat())
	}
	if jumpers > 0 {
		t.check("kiosks whose clocks jump hand out their requests in the journal's order", none("parcels out of order", disorder))
	}
	t.check("identical bytes get the identical answer", none("answers that differed", int(f.differed.Load())))
	t.issued(s.ca, kiosks, total)
	t.log(ctx, js, cluster, w, kiosks)
	t.pickups(ctx, js, kiosks)
	fmt.Printf("\n%d passed, %d failed\n", t.passed, t.failed)
	if t.failed > 0 {
		return fmt.Errorf("%d checks failed", t.failed)
	}
	return nil
}

func totalRecords(kiosks []*simulated, p plan) int {
	n := 0
	for _, k := range kiosks {
		h, _ := k.log.Head()
		n += int(h.Seq) + 2*p.Requests // Delivered and Issued are to come
	}
	return n
}
