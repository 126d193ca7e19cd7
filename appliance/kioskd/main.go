// Command kioskd is the ceremony program: screens, journal and the flow at the
// counter. It holds no network socket and no vendor code.
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

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/kioskd/internal/station"
)

const usage = `usage: kioskd -config FILE [-create-journal]

Serves citizens at the counter. FILE is JSON; see package appliance/config.
-create-journal makes the empty journal of a new station and ends. It is never
done by itself: a station that lost its journal must say so.
`

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kioskd:", err)
		os.Exit(1)
	}
}

func run() error {
	flag.Usage = func() { fmt.Fprint(flag.CommandLine.Output(), usage) }
	path := flag.String("config", "", "configuration file")
	create := flag.Bool("create-journal", false, "make the empty journal of a new station")
	flag.Parse()
	if *path == "" || flag.NArg() > 0 {
		flag.Usage()
		return errors.New("want -config FILE")
	}
	c, err := config.LoadKioskd(*path)
	if err != nil {
		return err
	}
	if *create {
		return station.Create(c)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	return station.Run(ctx, c, slog.New(slog.NewTextHandler(os.Stderr, nil)))
}
