// Command syncd holds the station's only network connection: it takes CMP
// messages from kioskd, brings them to the CA and hands back the answers. It
// keeps no state, sees no token and no PIN.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/courier"
	"mohr.internal/appliance/outboxlink"
)

const usage = `usage: syncd -config FILE

Delivers what kioskd has stored to the CA. FILE is JSON:
  {"outbox": SOCKET, "ca": {"url": URL}, "timeouts": {...}, "backoff": {...}}
`

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "syncd:", err)
		os.Exit(1)
	}
}

func run() error {
	flag.Usage = func() { fmt.Fprint(flag.CommandLine.Output(), usage) }
	path := flag.String("config", "", "configuration file")
	flag.Parse()
	if *path == "" || flag.NArg() > 0 {
		flag.Usage()
		return errors.New("want -config FILE and nothing else")
	}
	c, err := config.LoadSyncd(*path)
	if err != nil {
		return err
	}
	transport, err := transport(c)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	mail := &courier.Courier{
		URL:    c.CA.URL,
		Client: courier.NewClient(c.Timeouts.Connect.Std(), c.Timeouts.Request.Std(), transport),
		Min:    c.Backoff.Min.Std(), Max: c.Backoff.Max.Std(),
		Jitter: rand.Float64, InFlight: make(chan struct{}, 4), Now: time.Now,
	}
	for ctx.Err() == nil {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.Outbox)
		if err == nil {
			log.Info("connected to kioskd")
			err = outboxlink.Work(ctx, conn, mail.Deliver, mail.Again)
		}
		if ctx.Err() == nil {
			log.Info("waiting for kioskd", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	return nil
}

func transport(c *config.Syncd) (*http.Transport, error) {
	t := &http.Transport{DialContext: (&net.Dialer{Timeout: c.Timeouts.Connect.Std()}).DialContext}
	if c.CA.Anchors == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.CA.Anchors)
	if err != nil {
		return nil, fmt.Errorf("ca.anchors: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca.anchors: no certificate in %s", c.CA.Anchors)
	}
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return t, nil
}
