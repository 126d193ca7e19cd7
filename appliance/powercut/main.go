// Command powercut cuts the power of a kiosk, thousands of times.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"

	"mohr.internal/appliance/powercut/internal/trial"
)

const usage = `usage: powercut [-n POINTS] [-seed N] [-workers N] [-keep FOLDER]
       powercut -replay FILE -seed N -n POINTS -point NUMBER

Records citizens' sessions with the disk under them, cuts the power at POINTS
moments, and has the kiosk start on what is left. Needs root, /dev/fuse, loop
devices and e2fsprogs; ends with status 3 where one is missing.

`

// The program's ends.
const (
	failed  = 1
	usedBad = 2
	skipped = 3
)

func main() {
	err := run()
	var skip *skip
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(usedBad)
	case errors.As(err, &skip):
		fmt.Fprintf(os.Stderr, "\n*** SKIPPED, NOTHING WAS TESTED: powercut: %v ***\n\n", err)
		os.Exit(skipped)
	default:
		fmt.Fprintln(os.Stderr, "powercut:", err)
		os.Exit(failed)
	}
}

// skip is the reason why nothing can be tested here.
type skip struct{ error }

func run() error {
	if trial.IsWorker() {
		return trial.Work()
	}
	o := trial.Options{Out: os.Stdout, Progress: os.Stderr}
	f := flag.NewFlagSet("powercut", flag.ContinueOnError)
	f.Usage = func() { io.WriteString(f.Output(), usage); f.PrintDefaults() }
	f.IntVar(&o.Points, "n", 1000, "how many power cuts")
	f.Uint64Var(&o.Seed, "seed", 0, "chooses the moments; 0 draws one")
	f.IntVar(&o.Workers, "workers", 2, "power cuts at the same time")
	f.StringVar(&o.Features, "ext4", "", "features of the ext4, as mkfs.ext4 -O takes them; metadata_csum shows why it is off")
	f.IntVar(&o.Only, "point", -1, "try this point alone")
	f.StringVar(&o.Keep, "keep", "", "folder for the recordings if something fails")
	f.StringVar(&o.Replay, "replay", "", "recordings of an earlier run")
	if err := f.Parse(os.Args[1:]); err != nil {
		return flag.ErrHelp
	}
	if f.NArg() > 0 || o.Points < 1 || o.Workers < 1 {
		f.Usage()
		return flag.ErrHelp
	}
	if err := trial.Need(); err != nil {
		return &skip{err}
	}
	if err := trial.Isolate(); err != nil {
		return &skip{err}
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64N(1 << 32)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return trial.Run(ctx, o)
}
