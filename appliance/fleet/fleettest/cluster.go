// Package fleettest starts a real three-node NATS cluster with JetStream inside
// the test's own process, on loopback, with every write synced to disk
// (sync_interval: always). Nodes can be killed and started again on their folders.
//
// Nothing here is part of the appliance: the kiosk is only a client.
package fleettest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"mohr.internal/appliance/fleet"
)

// Nodes is the size of a cluster: the smallest that survives the loss of one.
const Nodes = 3

// Cluster is a running cluster. Its methods are not safe for concurrent use.
type Cluster struct {
	dir     string
	clients [Nodes]int // ports
	routes  [Nodes]int
	nodes   [Nodes]*server.Server
	opts    func(*server.Options)
}

// StartCluster starts three nodes that keep their files under dir and waits until
// they have a leader. change, if not nil, may bend each node's options.
func StartCluster(ctx context.Context, dir string, change func(*server.Options)) (*Cluster, error) {
	c := &Cluster{dir: dir, opts: change}
	ports, err := freePorts(2 * Nodes)
	if err != nil {
		return nil, err
	}
	copy(c.clients[:], ports)
	copy(c.routes[:], ports[Nodes:])
	for i := range Nodes {
		if err := c.start(i); err != nil {
			c.Stop()
			return nil, err
		}
	}
	if err := c.Wait(ctx); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// options of one node. What the centre's real configuration must also say is
// SyncAlways: without it a power cut at two nodes loses acknowledged messages.
func (c *Cluster) options(i int) (*server.Options, error) {
	o := &server.Options{
		ServerName: fmt.Sprintf("node-%d", i), Host: "127.0.0.1", Port: c.clients[i],
		JetStream: true, StoreDir: filepath.Join(c.dir, fmt.Sprintf("node-%d", i)), SyncAlways: true,
		JetStreamMaxMemory: 256 << 20, JetStreamMaxStore: 64 << 30,
		NoLog: true, NoSigs: true, MaxControlLine: 4096,
		Cluster: server.ClusterOpts{Name: "fleet", Host: "127.0.0.1", Port: c.routes[i], NoAdvertise: true},
	}
	for j, port := range c.routes {
		if j != i {
			o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: address(port)})
		}
	}
	if c.opts != nil {
		c.opts(o)
	}
	return o, os.MkdirAll(o.StoreDir, 0o700)
}

func (c *Cluster) start(i int) error {
	o, err := c.options(i)
	if err != nil {
		return fmt.Errorf("fleettest: node %d: %w", i, err)
	}
	node, err := server.NewServer(o)
	if err != nil {
		return fmt.Errorf("fleettest: node %d: %w", i, err)
	}
	go node.Start()
	if !node.ReadyForConnections(time.Minute) {
		node.Shutdown()
		return fmt.Errorf("fleettest: node %d is not ready", i)
	}
	c.nodes[i] = node
	return nil
}

// Kill stops a node without a word to anybody: no draining, no leader handed over.
func (c *Cluster) Kill(i int) {
	if c.nodes[i] == nil {
		return
	}
	c.nodes[i].Shutdown()
	c.nodes[i].WaitForShutdown()
	c.nodes[i] = nil
}

// Restart starts a killed node on its old folder and ports.
func (c *Cluster) Restart(i int) error {
	if c.nodes[i] != nil {
		return fmt.Errorf("fleettest: node %d runs", i)
	}
	return c.start(i)
}

// Wait returns when the cluster has a leader and all running nodes are up to date.
func (c *Cluster) Wait(ctx context.Context) error {
	for {
		if c.ready() {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(errors.New("fleettest: cluster has no leader"), ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (c *Cluster) ready() bool {
	leader := false
	for _, n := range c.nodes {
		if n == nil {
			continue
		}
		leader = leader || n.JetStreamIsLeader()
		if !n.JetStreamIsCurrent() {
			return false
		}
	}
	return leader
}

// Provision makes stream and bucket. On a busy machine a node
// that has just been started may count as away for a while.
func (c *Cluster) Provision(ctx context.Context, js jetstream.JetStream, replicas int) error {
	for {
		err := fleet.Provision(ctx, js, replicas)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// StreamLeader is the node that leads a stream, or -1.
func (c *Cluster) StreamLeader(stream string) int {
	for i, n := range c.nodes {
		if n != nil && n.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream) {
			return i
		}
	}
	return -1
}

// Addresses of all nodes, host and port, killed ones too.
func (c *Cluster) Addresses() []string {
	var out []string
	for _, p := range c.clients {
		out = append(out, address(p))
	}
	return out
}

// URLs are the addresses in the form a client takes.
func (c *Cluster) URLs() []string {
	var out []string
	for _, a := range c.Addresses() {
		out = append(out, "nats://"+a)
	}
	return out
}

// Stop ends all nodes. The folders stay.
func (c *Cluster) Stop() {
	for i := range c.nodes {
		c.Kill(i)
	}
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// freePorts looks for ports that nobody uses now, below those that the kernel gives to
// outgoing connections and to listeners on port 0: nobody takes them meanwhile, nor
// while a node is away. The routes of a cluster must be known before its first node
// starts.
func freePorts(n int) ([]int, error) {
	var ports []int
	for try := 0; len(ports) < n; try++ {
		port := 10_000 + rand.IntN(20_000)
		l, err := net.Listen("tcp", address(port))
		if err != nil {
			if try < 1000 {
				continue
			}
			return nil, fmt.Errorf("fleettest: %w", err)
		}
		defer l.Close()
		ports = append(ports, port)
	}
	return ports, nil
}
