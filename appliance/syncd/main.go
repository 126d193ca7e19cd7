// Command syncd holds the station's only network connections: it takes CMP
// messages from kioskd, brings them to the CA and hands back the answers; where a
// fleet is configured it publishes kioskd's journal there and looks certificates
// up. It keeps no state, sees no token and no PIN.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"mohr.internal/appliance/carrier"
	"mohr.internal/appliance/config"
)

const usage = `usage: syncd -config FILE

Delivers what kioskd has stored to the CA, and its journal to the fleet if there
is one. FILE is JSON:
  {"outbox": SOCKET, "ca": {"url": URL}, "timeouts": {...}, "backoff": {...},
   "fleet": {"socket": SOCKET, "kiosk": ID, "urls": [...], "recheck": "5m", ...}}
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
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	return carrier.Run(ctx, c, log)
}
