// Package program is what the station's three programs have in common as
// programs: where their log goes, what they do without a configuration, and how
// much memory they say they use.
//
// On the appliance a program is started again a second after it ended, and its
// configuration lies on a partition that may not be there. So with -appliance a
// program waits for its configuration instead of ending, and says why once.
//
// Nothing here makes a file: a log file has to exist.
package program

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Flags are those that each program has.
type Flags struct {
	Config    string // path of the configuration
	Appliance bool   // run as on the appliance: wait for the configuration
	Log       string // file or device for the log, instead of stderr
}

// Add defines -config, -appliance and -log.
func (f *Flags) Add(set *flag.FlagSet) {
	set.StringVar(&f.Config, "config", "", "configuration `FILE`")
	set.BoolVar(&f.Appliance, "appliance", false, "run as on the appliance: wait for what is missing instead of ending")
	set.StringVar(&f.Log, "log", "", "write to this existing `FILE` or device, e.g. /dev/console, instead of stderr")
}

// Usage describes the flags of Add, for a program's own usage text.
const Usage = `-appliance waits for a configuration that is missing or bad instead of ending.
-log FILE writes to an existing file or device, e.g. /dev/console, not to stderr.
`

// Logger returns the program's log. With -log all of stderr goes to that file, so
// that it also gets what a child or a dying program writes there.
func (f *Flags) Logger(stderr io.Writer) (*slog.Logger, error) {
	if f.Log != "" {
		file, err := os.OpenFile(f.Log, os.O_WRONLY|os.O_APPEND|unix.O_NOCTTY, 0)
		if err != nil {
			return nil, fmt.Errorf("program: log: %w", err)
		}
		defer file.Close()
		if err := unix.Dup3(int(file.Fd()), int(os.Stderr.Fd()), 0); err != nil {
			return nil, fmt.Errorf("program: log to %s: %w", f.Log, err)
		}
		stderr = os.Stderr
	}
	return slog.New(slog.NewTextHandler(stderr, nil)), nil
}

// retry is how often a configuration that could not be read is tried again.
const retry = 2 * time.Second

// Load reads the configuration. Without -appliance one that cannot be read is an
// error; with it Load waits until it can, and logs the reason once, and again only
// when it is another one. The only error then is that of ctx.
func Load[T any](ctx context.Context, f *Flags, load func(path string) (T, error), log *slog.Logger) (T, error) {
	said := ""
	for {
		c, err := load(f.Config)
		if err == nil || !f.Appliance {
			return c, err
		}
		if err.Error() != said {
			said = err.Error()
			log.Error("waiting for the configuration", "err", err)
		}
		select {
		case <-ctx.Done():
			return c, ctx.Err()
		case <-time.After(retry):
		}
	}
}
