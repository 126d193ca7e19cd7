// Package carrier is what syncd does: it joins kioskd's two sockets with the CA
// (courier) and with the fleet (fleet). Each side waits and tries again by itself,
// so a fleet that cannot be reached never holds up a request to the CA.
//
// It keeps nothing on disk, sees no token and no PIN.
package carrier

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/courier"
	"mohr.internal/appliance/fleet"
	"mohr.internal/appliance/fleetlink"
	"mohr.internal/appliance/outboxlink"
)

// inFlight bounds exchanges with the CA at one time.
const inFlight = 4

// askLimit bounds the wait for one answer of the fleet: one that went down with a
// node never comes, and asking again is safe.
const askLimit = 10 * time.Second

// The mail goes first: while an exchange with the CA is under way, the log gives up
// the line for at most this long before each record.
const (
	giveWay = 5 * time.Second
	lookUp  = 50 * time.Millisecond // whether it is still so
)

// redial is how long kioskd is left alone after its socket was not there.
const redial = 200 * time.Millisecond

// maxPEM bounds the files with certificates and keys.
const maxPEM = 1 << 20

// Run serves until ctx ends. An error means that the configuration's files cannot be
// used; nothing was started then.
func Run(ctx context.Context, c *config.Syncd, log *slog.Logger) error {
	transport, err := transport(c)
	if err != nil {
		return err
	}
	mail := &courier.Courier{
		URL:    c.CA.URL,
		Client: courier.NewClient(c.Timeouts.Connect.Std(), c.Timeouts.Request.Std(), transport),
		Min:    c.Backoff.Min.Std(), Max: c.Backoff.Max.Std(),
		Jitter: rand.Float64, InFlight: make(chan struct{}, inFlight), Now: time.Now,
	}
	var running sync.WaitGroup
	defer running.Wait()
	if c.Fleet != nil {
		centre, err := open(c, func(ctx context.Context) { yield(ctx, mail) }, log)
		if err != nil {
			return err
		}
		running.Go(func() {
			defer centre.Close()
			dial(ctx, c.Fleet.Socket, log, func(conn net.Conn) error { return serveFleet(ctx, conn, centre) })
		})
	}
	dial(ctx, c.Outbox, log, func(conn net.Conn) error { return outboxlink.Work(ctx, conn, mail.Deliver, mail.Again) })
	return nil
}

// dial connects to one of kioskd's sockets, again and again until ctx ends.
func dial(ctx context.Context, path string, log *slog.Logger, work func(net.Conn) error) {
	for ctx.Err() == nil {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err == nil {
			log.Info("connected to kioskd", "socket", path)
			err = work(conn)
			conn.Close()
		}
		if ctx.Err() == nil {
			log.Info("waiting for kioskd", "socket", path, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(redial):
		}
	}
}

// serveFleet publishes the journal behind one connection and answers its look-ups.
func serveFleet(ctx context.Context, conn net.Conn, centre *fleet.Client) error {
	ctx, cancel := context.WithCancel(ctx)
	link := fleetlink.NewClient(conn)
	var following sync.WaitGroup
	following.Go(func() { centre.Follow(ctx, link) })
	err := link.Run(ctx, centre.Lookup)
	cancel()
	following.Wait()
	return err
}

// yield lets requests to the CA go first. A CA that does not answer slows the log
// down and never stops it.
func yield(ctx context.Context, mail *courier.Courier) {
	for end := time.Now().Add(giveWay); len(mail.InFlight) > 0 && time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookUp):
		}
	}
}

func open(c *config.Syncd, yield func(context.Context), log *slog.Logger) (*fleet.Client, error) {
	o := fleet.Options{
		Kiosk: c.Fleet.Kiosk, URLs: c.Fleet.URLs, Credentials: c.Fleet.Credentials,
		Connect: c.Timeouts.Connect.Std(), Request: min(c.Timeouts.Request.Std(), askLimit), Yield: yield,
		Min: c.Backoff.Min.Std(), Max: c.Backoff.Max.Std(), Recheck: c.Fleet.Recheck.Std(), Jitter: rand.Float64, Log: log,
	}
	if c.Fleet.Credentials != "" {
		if _, err := readFile("fleet.credentials", c.Fleet.Credentials); err != nil {
			return nil, err
		}
	}
	if c.Fleet.Anchors != "" {
		anchors, err := anchors("fleet.anchors", c.Fleet.Anchors)
		if err != nil {
			return nil, err
		}
		o.TLS = &tls.Config{RootCAs: anchors, MinVersion: tls.VersionTLS13}
	}
	if c.Fleet.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(c.Fleet.Certificate, c.Fleet.Key)
		if err != nil {
			return nil, fmt.Errorf("fleet.certificate: %w", err)
		}
		o.TLS.Certificates = []tls.Certificate{pair}
	}
	return fleet.Open(o)
}

func transport(c *config.Syncd) (*http.Transport, error) {
	t := &http.Transport{DialContext: (&net.Dialer{Timeout: c.Timeouts.Connect.Std()}).DialContext, MaxIdleConnsPerHost: inFlight}
	if c.CA.Anchors == "" {
		return t, nil
	}
	pool, err := anchors("ca.anchors", c.CA.Anchors)
	if err != nil {
		return nil, err
	}
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return t, nil
}

func anchors(key, path string) (*x509.CertPool, error) {
	pem, err := readFile(key, path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in %s", key, path)
	}
	return pool, nil
}

// readFile reads a small file and names the key of the configuration if it cannot.
func readFile(key, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if len(b) > maxPEM {
		return nil, fmt.Errorf("%s: %s is larger than %d bytes", key, path, maxPEM)
	}
	return b, nil
}
