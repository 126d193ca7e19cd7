package pkcs11

import "sync"

// ring keeps the last bytes written to it.
type ring struct {
	mu    sync.Mutex
	b     []byte
	limit int
}

func newRing(limit int) *ring {
	if limit <= 0 {
		limit = 16 << 10
	}
	return &ring{limit: limit}
}

func (r *ring) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(p)
	if len(p) > r.limit {
		p = p[len(p)-r.limit:]
	}
	if drop := len(r.b) + len(p) - r.limit; drop > 0 {
		r.b = r.b[:copy(r.b, r.b[drop:])]
	}
	r.b = append(r.b, p...)
	return n, nil
}

// Bytes gives a copy of what is kept.
func (r *ring) Bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]byte(nil), r.b...)
}
