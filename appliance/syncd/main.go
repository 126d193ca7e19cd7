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
	"os"
	"os/signal"
	"syscall"
	"time"

	"mohr.internal/appliance/carrier"
	"mohr.internal/appliance/config"
	"mohr.internal/appliance/program"
)

const usage = `usage: syncd -config FILE [-appliance] [-log FILE]

Delivers what kioskd has stored to the CA, and its journal to the fleet if there
is one. FILE is JSON:
  {"outbox": SOCKET, "ca": {"url": URL}, "timeouts": {...}, "backoff": {...},
   "fleet": {"socket": SOCKET, "kiosk": ID, "urls": [...], "recheck": "5m", ...}}
` + program.Usage

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "syncd:", err)
		os.Exit(1)
	}
}

func run() error {
	flag.Usage = func() { fmt.Fprint(flag.CommandLine.Output(), usage) }
	var flags program.Flags
	flags.Add(flag.CommandLine)
	flag.Parse()
	if flags.Config == "" || flag.NArg() > 0 {
		flag.Usage()
		return errors.New("want -config FILE and nothing else")
	}
	log, err := flags.Logger(os.Stderr)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	c, err := program.Load(ctx, &flags, config.LoadSyncd, log)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	go program.LogMemoryEvery(ctx, log, time.Minute)
	return carrier.Run(ctx, c, log)
}
