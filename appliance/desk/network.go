package desk

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// network is the CA's end of the line on 127.0.0.1, which the bench can cut. While it is cut nothing
// listens on the port, so a client gets "connection refused"; the port stays the same over cuts.
type network struct {
	handler http.Handler
	addr    string
	asked   atomic.Int64 // requests that were answered, or not, to the end

	mu     sync.Mutex
	server *http.Server // nil while cut
}

func newNetwork(handler http.Handler) (*network, error) {
	n := &network{handler: handler, addr: "127.0.0.1:0"}
	if err := n.set(true); err != nil {
		return nil, err
	}
	return n, nil
}

// set joins or cuts the line. Cutting closes the open connections too.
func (n *network) set(on bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case on == (n.server != nil):
		return nil
	case !on:
		err := n.server.Close()
		n.server = nil
		return err
	}
	ln, err := net.Listen("tcp", n.addr)
	if err != nil {
		return fmt.Errorf("desk: network of the CA: %w", err)
	}
	n.addr = ln.Addr().String()
	// The handler may be told to fall silent for long; only the header has a deadline. net/http's own
	// complaints about cut connections are of no use to anybody.
	server := &http.Server{Handler: http.HandlerFunc(n.serve), ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	n.server = server
	go func() {
		if err := server.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.server == server {
				n.server = nil
			}
		}
	}()
	return nil
}

func (n *network) serve(w http.ResponseWriter, r *http.Request) {
	defer n.asked.Add(1)
	n.handler.ServeHTTP(w, r)
}

func (n *network) on() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.server != nil
}

func (n *network) url() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return "http://" + n.addr
}
