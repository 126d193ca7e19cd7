package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const usage = `usage: e2e -image FILE [-bare FILE] [-amd64 FILE] [flags]

Boots the Raspberry Pi's image in QEMU and carries first renewals through it; see
package image/e2e. The last line is "N passed, N failed".

`

// settings come from the command line.
type settings struct {
	image, bare, amd64 string
	out, mohrctl       string
	cycles, renewals   int
	only               string
}

func main() {
	var o settings
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.StringVar(&o.image, "image", "out/image/rpi.img", "the Raspberry Pi's image; it is copied, not changed")
	flag.StringVar(&o.bare, "bare", "", "a bare gokrazy image for the same board, to compare with")
	flag.StringVar(&o.amd64, "amd64", "", "the fast instance's image, for the hot plug scenario")
	flag.StringVar(&o.out, "out", "out/e2e", "folder for logs, pictures and receipts; emptied first")
	flag.StringVar(&o.mohrctl, "mohrctl", "bin/mohrctl", "the program that verifies receipts")
	flag.IntVar(&o.cycles, "cycles", 200, "how often a token is plugged in and pulled")
	flag.IntVar(&o.renewals, "renewals", 7, "so many more citizens renew before the memory is told")
	flag.StringVar(&o.only, "only", "", "scenarios, with commas: "+strings.Join(scenarios, " "))
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if ok, err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	} else if !ok {
		os.Exit(1)
	}
}

// scenarios in the order in which they are played.
var scenarios = []string{"bare", "hotplug", "keyboard", "online", "ports", "pulled", "more", "memory", "secrets", "offline", "1970", "wrong", "perm"}

func (o settings) wants(name string) bool {
	return o.only == "" || slices.Contains(strings.Split(o.only, ","), name)
}

// needed are the programs of other people that are used.
var needed = map[string]string{
	"qemu-system-aarch64": "qemu-system-arm", "mkfs.ext4": "e2fsprogs", "mcopy": "mtools", "zbarimg": "zbar-tools", firmware: "qemu-efi-aarch64",
}

func (o settings) check() error {
	var missing []string
	for tool, pkg := range needed {
		if _, err := exec.LookPath(tool); err != nil {
			if _, err := os.Stat(tool); err != nil {
				missing = append(missing, pkg)
			}
		}
	}
	if missing != nil {
		return fmt.Errorf("not installed: Debian packages %s", strings.Join(missing, " "))
	}
	for _, f := range []string{o.image, o.bare, o.amd64, o.mohrctl} {
		if f != "" {
			if _, err := os.Stat(f); err != nil {
				return fmt.Errorf("%w (make image builds images, make build programs)", err)
			}
		}
	}
	for _, name := range strings.Split(o.only, ",") {
		if name != "" && !slices.Contains(scenarios, name) {
			return fmt.Errorf("no scenario %q", name)
		}
	}
	return nil
}

func (o settings) run(ctx context.Context) (ok bool, err error) {
	if err := o.check(); err != nil {
		return false, err
	}
	if o.out, err = filepath.Abs(o.out); err != nil {
		return false, err
	}
	if err := makeOut(o.out); err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "mohr-e2e")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	copied, err := os.Create(filepath.Join(o.out, "report.txt"))
	if err != nil {
		return false, err
	}
	defer copied.Close()
	s := &Suite{settings: o, report: NewReport(io.MultiWriter(os.Stdout, copied)), dir: dir}
	var bare time.Duration
	if o.bare != "" && o.wants("bare") {
		bare = s.bareBoot(ctx)
	}
	// The fast instance runs beside the Pi's, but not while boot times are compared.
	var beside sync.WaitGroup
	hotPlug := sync.OnceFunc(func() {
		if o.wants("hotplug") {
			beside.Go(func() { s.hotPlug(ctx) })
		}
	})
	err = s.kiosk(ctx, bare, hotPlug)
	hotPlug()
	if err != nil && !errors.Is(err, errCounted) {
		s.report.Check("the scenarios on the Raspberry Pi's image", err)
	}
	beside.Wait()
	return s.report.End(), nil
}
