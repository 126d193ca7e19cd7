package fleettest

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Mode is what a Proxy does with the bytes of the server.
type Mode int32

// The modes.
const (
	Pass   Mode = iota
	Mute        // what the client sends arrives, nothing comes back: every answer is lost
	Refuse      // no connection stands
)

// Proxy is a bad network between a client and one server, on loopback.
type Proxy struct {
	target string
	listen net.Listener
	mode   atomic.Int32
	budget func() int64 // bytes both ways until a connection is reset; negative: never

	resets atomic.Int64
	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
	done   sync.WaitGroup
}

// NewProxy stands before target (host and port). budget, if not nil, is asked for
// each connection after how many bytes it is reset.
func NewProxy(target string, budget func() int64) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("fleettest: %w", err)
	}
	if budget == nil {
		budget = func() int64 { return -1 }
	}
	p := &Proxy{target: target, listen: l, budget: budget, open: map[net.Conn]bool{}}
	p.done.Go(p.accept)
	return p, nil
}

// Address is where the client connects.
func (p *Proxy) Address() string { return p.listen.Addr().String() }

// Resets counts the connections that were reset for their budget.
func (p *Proxy) Resets() int { return int(p.resets.Load()) }

// Set changes the mode. Refuse resets what is open.
func (p *Proxy) Set(m Mode) {
	p.mode.Store(int32(m))
	if m == Refuse {
		p.Cut()
	}
}

// Cut resets all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		reset(c)
	}
}

// Close ends the proxy and everything through it.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.listen.Close()
	p.Cut()
	p.done.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || Mode(p.mode.Load()) == Refuse {
		reset(c)
		return false
	}
	p.open[c] = true
	return true
}

func (p *Proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
	c.Close()
}

// reset closes with RST: what is in flight is lost on both sides.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}

func (p *Proxy) serve(client net.Conn) {
	if !p.keep(client) {
		return
	}
	defer p.drop(client)
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		reset(client)
		return
	}
	if !p.keep(server) {
		return
	}
	defer p.drop(server)
	left := &atomic.Int64{}
	limited := false
	if n := p.budget(); n >= 0 {
		limited = true
		left.Store(n)
	}
	var both sync.WaitGroup
	pump := func(to, from net.Conn, answers bool) {
		buf := make([]byte, 16<<10)
		for {
			n, err := from.Read(buf)
			out := buf[:n]
			if limited {
				if rest := left.Add(-int64(n)); rest < 0 {
					to.Write(out[:max(0, int64(n)+rest)]) // up to the very byte
					p.resets.Add(1)
					err, out = net.ErrClosed, nil
				}
			}
			if len(out) > 0 && !(answers && Mode(p.mode.Load()) == Mute) {
				if _, werr := to.Write(out); werr != nil {
					err = werr
				}
			}
			if tcp, ok := to.(*net.TCPConn); ok && err == io.EOF {
				tcp.CloseWrite() // a clean end stays one
				return
			}
			if err != nil {
				reset(to)
				reset(from)
				return
			}
		}
	}
	both.Go(func() { pump(server, client, false) })
	both.Go(func() { pump(client, server, true) })
	both.Wait()
}
