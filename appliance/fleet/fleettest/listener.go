package fleettest

import (
	"net"
	"sync/atomic"
)

// Resetting makes the connections of a listener break: each is reset after as many
// bytes, both ways together, as budget says; negative: never. Unlike a Proxy it
// costs no connection of its own.
type Resetting struct {
	net.Listener
	Budget func() int64
	resets atomic.Int64
}

// Resets counts the connections that were reset.
func (r *Resetting) Resets() int { return int(r.resets.Load()) }

// Accept implements net.Listener.
func (r *Resetting) Accept() (net.Conn, error) {
	c, err := r.Listener.Accept()
	if err != nil {
		return nil, err
	}
	n := r.Budget()
	if n < 0 {
		return c, nil
	}
	out := &brittle{Conn: c, owner: r}
	out.left.Store(n)
	return out, nil
}

// brittle is a connection that ends at a certain byte.
type brittle struct {
	net.Conn
	owner *Resetting
	left  atomic.Int64
	dead  atomic.Bool
}

func (b *brittle) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if rest := b.left.Add(-int64(n)); rest < 0 {
		b.kill()
		return max(0, n+int(max(rest, -int64(n)))), net.ErrClosed
	}
	return n, err
}

func (b *brittle) Write(p []byte) (int, error) {
	if rest := b.left.Add(-int64(len(p))); rest < 0 {
		n, _ := b.Conn.Write(p[:max(0, len(p)+int(max(rest, -int64(len(p)))))]) // up to the very byte
		b.kill()
		return n, net.ErrClosed
	}
	return b.Conn.Write(p)
}

func (b *brittle) kill() {
	if b.dead.CompareAndSwap(false, true) {
		b.owner.resets.Add(1)
		reset(b.Conn)
	}
}
