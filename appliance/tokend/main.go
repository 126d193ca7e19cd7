// Program tokend owns USB and the tokens. It reports insertions to kioskd and
// gives it each token through a worker process, which alone loads the vendor's
// PKCS#11 module.
//
//	tokend -config FILE [-appliance] [-log FILE]    watch USB (and a desk's bench), serve kioskd
//	tokend worker MODULE                            one token session on descriptor 3, started by tokend
//
// It has no network and no journal. Of what passes through it, PINs included, it
// logs nothing.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"mohr.internal/appliance/program"
)

const usage = `Usage: tokend -config FILE [-appliance] [-log FILE]

Watches USB, gives each inserted device a role by its port and a model by the
catalogue, and serves kioskd on the socket that FILE names. FILE is JSON; its
keys are described in the package appliance/config.

Ends on SIGTERM or SIGINT, after all workers have ended.

` + program.Usage + `
(tokend worker MODULE is what tokend starts for each token. It is of no use by
hand.)
`

func main() {
	err := run(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "tokend:", err)
		os.Exit(1)
	}
}

// harden keeps what passes through this process, PINs among it, out of core
// dumps and out of reach of other processes of the same user.
func harden() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("RLIMIT_CORE: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("PR_SET_DUMPABLE: %w", err)
	}
	return nil
}

func run(args []string, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "worker" {
		return worker(args[1:])
	}
	flags := flag.NewFlagSet("tokend", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }
	var f program.Flags
	f.Add(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if f.Config == "" || flags.NArg() > 0 {
		flags.Usage()
		return errors.New("-config FILE is required, and nothing else")
	}
	if err := harden(); err != nil {
		return err
	}
	log, err := f.Logger(stderr)
	if err != nil {
		return err
	}
	return serve(&f, log)
}
