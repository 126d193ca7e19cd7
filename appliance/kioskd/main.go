// Command kioskd is the ceremony program: screens, journal and the flow at the
// counter. It holds no network socket and no vendor code.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/kioskd/internal/station"
	"mohr.internal/appliance/program"
)

const usage = `usage: kioskd -config FILE [-appliance] [-log FILE] [-create-journal]

Serves citizens at the counter. FILE is JSON; see package appliance/config.
-create-journal makes the empty journal of a new station and ends. It is never
done by itself: a station that lost its journal must say so.
-appliance draws on /dev/fb0 from the start, and serves only while /perm is a
mounted, writable file system with a configuration on it; until then the screen
says what is missing.
-log FILE writes to an existing file or device, e.g. /dev/console, not to stderr.
`

// The appliance's own devices.
const (
	perm        = "/perm"
	framebuffer = "/dev/fb0"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kioskd:", err)
		os.Exit(1)
	}
}

func run() error {
	flag.Usage = func() { fmt.Fprint(flag.CommandLine.Output(), usage) }
	var flags program.Flags
	flags.Add(flag.CommandLine)
	create := flag.Bool("create-journal", false, "make the empty journal of a new station")
	flag.Parse()
	if flags.Config == "" || flag.NArg() > 0 || *create && flags.Appliance {
		flag.Usage()
		return errors.New("want -config FILE")
	}
	log, err := flags.Logger(os.Stderr)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if flags.Appliance {
		return station.Run(ctx, station.Options{
			Load:  func() (*config.Kioskd, error) { return config.LoadKioskd(flags.Config) },
			Panel: config.Panel{Kind: "framebuffer", Path: framebuffer}, Perm: &station.Perm{Dir: perm}, Log: log,
		})
	}
	c, err := config.LoadKioskd(flags.Config)
	if err != nil {
		return err
	}
	if *create {
		return station.Create(c)
	}
	return station.Run(ctx, station.Options{Load: func() (*config.Kioskd, error) { return c, nil }, Panel: c.Panel, Log: log})
}
