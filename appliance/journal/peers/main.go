// Command peers measures the journal beside what one would use instead of it:
// a plain file, bbolt and SQLite. It is for the desk; no program of the kiosk
// is linked with it.
//
//	peers bench    commits per second, flushes and bytes written
//	peers damage   what each says of damaged files
//	peers year     opening a year of records
//	peers all      the three, one after the other
//
// Every store works in a child process of its own, because some of them die of
// damaged files. What is printed are measurements: nothing is asserted.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

const usage = `usage: peers COMMAND [FLAGS]

  bench    commits per second, flushes and bytes written
  damage   what each store says of damaged files
  year     opening a year of records
  all      the three, one after the other

`

// options are the flags of all commands.
type options struct {
	dir     string
	commits int
	rounds  int
	trials  int
	records int
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == childFlag {
		if err := child(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "peers:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var o options
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprint(f.Output(), usage)
		f.PrintDefaults()
	}
	f.StringVar(&o.dir, "dir", "", "folder on the file system to measure; empty: a new one under the working directory")
	f.IntVar(&o.commits, "n", 500, "bench: commits in a round")
	f.IntVar(&o.rounds, "rounds", 5, "bench: rounds, in turns")
	f.IntVar(&o.trials, "trials", 100, "damage: trials of each kind and store")
	f.IntVar(&o.records, "records", 100_000, "year: records")
	if len(args) == 0 {
		f.Usage()
		return errors.New("no command")
	}
	if err := f.Parse(args[1:]); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil || f.NArg() > 0 {
		return errors.New("wrong usage")
	}
	commands := map[string][]func(options) error{
		"bench": {bench}, "damage": {damage}, "year": {year}, "all": {bench, damage, year},
	}[args[0]]
	if commands == nil {
		f.Usage()
		return fmt.Errorf("no command %q", args[0])
	}
	base := o.dir
	if base == "" {
		var err error
		if base, err = os.Getwd(); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp(base, ".peers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-stop
		os.RemoveAll(dir)
		os.Exit(1)
	}()
	if o.dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	for _, command := range commands {
		if err := command(o); err != nil {
			return err
		}
		fmt.Println()
	}
	return nil
}

// progress is for people who wait.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "  … "+format+"\n", args...) }
