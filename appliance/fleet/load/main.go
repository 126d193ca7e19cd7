// Command load is the examination of the delivery: many simulated kiosks, each with a
// month's backlog, a CA that really checks and issues, a three-node NATS cluster, and
// a network that drops, doubles and breaks. It ends with what it found, check by
// check, and fails if one certificate is missing or one is there twice.
//
// The kiosks' side is the real one: the ledger and outbox of package kiosk over a
// journal in memory, outboxlink, fleetlog and fleetlink on Unix sockets. The other
// side is what syncd runs (package carrier), all kiosks in one child process, so
// that its memory can be measured. Everything is on loopback and in a temporary
// folder, and nothing runs longer than -limit.
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
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// plan is the size of a run.
type plan struct {
	Kiosks, Requests int
	Drop, Double     float64 // of the CA's answers
	Limit            time.Duration
	Bare             int // requests for the bare client to compare with
}

func run() error {
	var p plan
	flag.IntVar(&p.Kiosks, "kiosks", 1000, "simulated kiosks, 3 to 2000")
	flag.IntVar(&p.Requests, "requests", 20, "backlog of each, 1 to 50")
	flag.Float64Var(&p.Drop, "drop", 0.3, "share of the CA's answers that are lost")
	flag.Float64Var(&p.Double, "double", 0.1, "share of the requests that arrive twice")
	flag.DurationVar(&p.Limit, "limit", 10*time.Minute, "give up after this time")
	flag.IntVar(&p.Bare, "bare", 4000, "requests that the bare client posts, at most")
	carry := flag.String("carry", "", "used by load itself: be the syncd of the kiosks in this folder")
	flag.Parse()
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected %q", flag.Arg(0))
	case p.Kiosks < 3 || p.Kiosks > 2000:
		return fmt.Errorf("-kiosks %d: want 3 to 2000", p.Kiosks)
	case p.Requests < 1 || p.Requests > 50:
		return fmt.Errorf("-requests %d: want 1 to 50", p.Requests)
	case p.Drop < 0 || p.Drop > 0.9 || p.Double < 0 || p.Double > 1:
		return errors.New("-drop and -double are shares")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, p.Limit)
	defer cancel()
	if *carry != "" {
		return carryAll(ctx, *carry)
	}
	return examine(ctx, p)
}
