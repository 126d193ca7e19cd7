package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"mohr.internal/appliance/desk"
)

// flags is a flag set that prints text and the flags for --help.
func flags(name, text string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprint(f.Output(), text)
		f.PrintDefaults()
	}
	return f
}

// parse reads the flags. done says that only help was asked for.
func parse(f *flag.FlagSet, args []string, most int) (done bool, err error) {
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return true, nil
	case err != nil:
		return false, errUsage
	}
	if f.NArg() > most {
		fmt.Fprintf(os.Stderr, "mohrctl %s: %d arguments, at most %d\n", f.Name(), f.NArg(), most)
		return false, errUsage
	}
	return false, nil
}

// programs are the three programs beside this one, unless dir says otherwise.
func programs(dir string) (desk.Programs, error) {
	if dir == "" {
		self, err := os.Executable()
		if err != nil {
			return desk.Programs{}, fmt.Errorf("where are the programs? %w", err)
		}
		dir = filepath.Dir(self)
	}
	p := desk.Programs{
		Kioskd: filepath.Join(dir, "kioskd"), Tokend: filepath.Join(dir, "tokend"), Syncd: filepath.Join(dir, "syncd"),
	}
	for _, path := range []string{p.Kioskd, p.Tokend, p.Syncd} {
		if _, err := os.Stat(path); err != nil {
			return p, fmt.Errorf("program missing (run make build): %w", err)
		}
	}
	return p, nil
}
