package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	"mohr.internal/appliance/fleet/fleettest"
	"mohr.internal/kiosk/cmp"
	"mohr.internal/kiosk/cmp/cmptest"
)

// faults are those that were really injected, and what the kiosks saw of them.
type faults struct {
	posted, dropped, doubled, differed atomic.Int64 // at the CA
	failed, unsettled                  atomic.Int64 // at the kiosks
	misjudged                          atomic.Int64 // of them at kiosks whose clock was off
	settled                            atomic.Int64 // requests
	last, most                         atomic.Int64 // Unix nanoseconds of the last settled request, and of the markth
	mark                               int64
}

// settle notes that a request is.
func (f *faults) settle() {
	now := time.Now().UnixNano()
	f.last.Store(now)
	if f.settled.Add(1) == f.mark {
		f.most.Store(now)
	}
}

// network stands before the CA: it drops answers after the CA has done its work, and
// delivers some requests twice.
type network struct {
	ca   http.Handler
	plan plan
	*faults
}

func (n *network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, cmp.MaxMessage))
	if err != nil {
		panic(http.ErrAbortHandler) // cut off on its way here
	}
	n.posted.Add(1)
	answer := n.ask(r, body)
	if rand.Float64() < n.plan.Double {
		n.doubled.Add(1)
		if again := n.ask(r, body); !bytes.Equal(again.Body.Bytes(), answer.Body.Bytes()) {
			n.differed.Add(1)
		}
	}
	if rand.Float64() < n.plan.Drop {
		n.dropped.Add(1)
		panic(http.ErrAbortHandler)
	}
	for k, v := range answer.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(answer.Code)
	w.Write(answer.Body.Bytes())
}

func (n *network) ask(r *http.Request, body []byte) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	n.ca.ServeHTTP(w, again)
	return w
}

var nobody = log.New(io.Discard, "", 0) // an HTTP server complains of every broken connection

// site is a CA behind an HTTP server on loopback.
type site struct {
	ca     *cmptest.CA
	url    string
	listen *fleettest.Resetting
	server *http.Server
}

// openSite starts a CA. wrap may stand before it; budget is when connections break.
func (w *world) openSite(wrap func(http.Handler) http.Handler, budget func() int64) (*site, error) {
	ca, err := cmptest.NewCA(cmptest.CAOptions{PKI: w.pki, Now: time.Now})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &site{ca: ca, url: "http://" + l.Addr().String() + "/", listen: &fleettest.Resetting{Listener: l, Budget: budget}}
	s.server = &http.Server{Handler: wrap(ca), ErrorLog: nobody}
	go s.server.Serve(s.listen)
	return s, nil
}

func (s *site) close() { s.server.Close() }

// bare posts the same bytes to an untroubled CA with nothing but an HTTP client, as
// many at a time as the processors can use, and returns how many a second.
func (w *world) bare(ctx context.Context, kiosks []*simulated, most int) (rate float64, n int, err error) {
	s, err := w.openSite(func(h http.Handler) http.Handler { return h }, func() int64 { return -1 })
	if err != nil {
		return 0, 0, err
	}
	defer s.close()
	const parallel = 16
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: parallel}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	next := make(chan []byte)
	var workers sync.WaitGroup
	var failed atomic.Int64
	start := time.Now()
	for range parallel {
		workers.Go(func() {
			for der := range next {
				if post(ctx, client, s.url, der) != nil {
					failed.Add(1)
				}
			}
		})
	}
	for _, k := range kiosks {
		for _, r := range k.backlog {
			if n < most {
				next <- r.der
				n++
			}
		}
	}
	close(next)
	workers.Wait()
	took := time.Since(start)
	if failed.Load() > 0 || len(s.ca.Issued()) != n {
		return 0, n, fmt.Errorf("bare client: %d of %d failed, %d issued", failed.Load(), n, len(s.ca.Issued()))
	}
	return float64(n) / took.Seconds(), n, nil
}

func post(ctx context.Context, c *http.Client, url string, der []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(der))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", cmptest.ContentType)
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, cmp.MaxMessage))
	if err != nil {
		return err
	}
	_, err = cmp.Parse(b)
	return err
}
