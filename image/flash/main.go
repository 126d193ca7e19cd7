// Command flash writes an image of the appliance to a memory card; `make flash`
// builds and runs it.
//
// A card is refused, by a rule with an ID, if it is not surely a card that nobody
// uses. What is decided and why:
//
//   - Removable is what says so in sysfs, an SD card in a built-in reader, and any USB
//     disk: many card readers and sticks do not say that they are removable. A disk
//     full of backups is kept from harm by the limit of 256 GiB, by the list of what is
//     on it, and by its name having to be typed.
//   - Soldered eMMC, optical drives and everything virtual are not removable.
//   - The disk is opened exclusively (O_EXCL), so the kernel has the last word on
//     whether it is in use, also by what another container has mounted.
//   - Every byte of the image is written, holes too: what an old station left there is
//     gone, and all that is verified was written.
//   - The first 4 MiB, with the partition table, are made blank first and written last,
//     after the rest has been read back. A card that failed or was pulled half-way does
//     not boot.
//   - Where the image has /perm, and each partition with that label, is searched for a
//     station's journal, whatever the partition table and the file system look like.
//
// What it does not do: it grows no partition, leaves the bytes behind the image as they
// were, puts no site on the card (`make image SITE=DIR` does), and does not find a card
// that pretends to be larger than it is, as long as the image fits. Reading back can be
// answered from the card's own memory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mohr.internal/image"
)

const usage = `usage: flash -list
       flash -dev /dev/sdX -image FILE [-yes] [-large] [-lose-journal IDS]

Writes an image to a memory card, reads it back and compares. Needs root.

  flash -list                                             cards of this machine
  flash -dev /dev/sdb -image out/image/rpi.img            asks before it writes
  flash -dev /dev/mmcblk0 -image out/image/rpi.img -yes   does not ask

Everything on the card is lost. What must not be lost is refused, with what to do.

`

// layout is where an image has its parts, in bytes.
type layout struct{ root, perm int64 }

// app is the program with what it needs of the machine.
type app struct {
	host     host
	layout   layout
	open     func(node string) (card, error)
	in       io.Reader
	out      io.Writer
	terminal bool // in and out are people
	now      func() time.Time
}

type options struct {
	dev, image  string
	list        bool
	yes, large  bool
	loseJournal string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := app{
		host:   host{sys: "/sys", proc: "/proc", node: node},
		layout: layout{root: image.RootOffset, perm: image.PermOffset},
		open:   openCard, in: os.Stdin, out: os.Stdout, now: time.Now,
		terminal: isTerminal(os.Stdin) && isTerminal(os.Stdout),
	}
	err := a.run(ctx, os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "flash:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("wrong usage") // what was wrong has been printed

func (a *app) run(ctx context.Context, args []string) error {
	var o options
	f := flag.NewFlagSet("flash", flag.ContinueOnError)
	f.SetOutput(a.out)
	f.Usage = func() {
		fmt.Fprint(a.out, usage)
		f.PrintDefaults()
	}
	f.StringVar(&o.dev, "dev", "", "`DISK` to write to, like /dev/sdb")
	f.StringVar(&o.image, "image", "", "`FILE` that image/build made")
	f.BoolVar(&o.list, "list", false, "list the cards of this machine and end")
	f.BoolVar(&o.yes, "yes", false, "do not ask; for machines without a terminal")
	f.BoolVar(&o.large, "large", false, "take a disk of more than 256 GiB")
	f.StringVar(&o.loseJournal, "lose-journal", "", "the `IDS` of journals that may be lost, as a refusal named them")
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return errUsage
	}
	switch {
	case o.list && f.NArg() == 0:
		return a.list()
	case f.NArg() > 0 || o.dev == "" || o.image == "":
		f.Usage()
		return errUsage
	}
	return a.flash(ctx, o)
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
