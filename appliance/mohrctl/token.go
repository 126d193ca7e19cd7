package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"

	"mohr.internal/usb"
)

const tokenHelp = `usage: mohrctl token list [-catalogue FILE] [-arch ARCH]
       mohrctl token describe TEXT

list prints the token models of the catalogue and what a terminal with a
processor of ARCH (default: this one's) makes of them:

  works               Debian's own module drives it; not tried on the physical token
  needs vendor module the maker has a module, which has to be installed
  x86 only            the only modules known are for another processor than ARCH
  no module known     recognised, but nothing is known that drives it
  unknown ID          known by name only: cannot be recognised until its
                      descriptors have been read ("describe") and are in the catalogue
  card                no id of its own: goes by the office's reader
  software            for tests

describe reads the text of the QR code that a terminal shows for a device that
it cannot use (MT1:...).

`

func tokenCommand(_ context.Context, args []string) error {
	f := flags("token", tokenHelp)
	file := f.String("catalogue", "", "catalogue in place of the one that is built in")
	arch := f.String("arch", runtime.GOARCH, "arm64 or amd64")
	if len(args) > 0 && args[0] == "describe" {
		if done, err := parse(f, args[1:], 1); done || err != nil {
			return err
		}
		return describeToken(f.Arg(0))
	}
	if len(args) == 0 || args[0] != "list" {
		if done, err := parse(f, args, 1); done || err != nil { // help
			return err
		}
		f.Usage()
		return errUsage
	}
	if done, err := parse(f, args[1:], 0); done || err != nil {
		return err
	}
	catalogue, err := readCatalogue(*file)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "MODEL\tSTATE ON %s\tUSB ID\tMODULES\tPC/SC\tSURE\n", strings.ToUpper(*arch))
	for _, m := range catalogue.Models() {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", m.Name, m.State(*arch), usbIDs(m), strings.Join(m.Modules, " "), m.PCSC, m.Confidence)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Printf("\nCatalogue version %d. No row was tried on a physical token. To fill an unknown ID: plug one in at a\nterminal, photograph the code it shows, and read that with \"mohrctl token describe\".\n", catalogue.Version())
	return nil
}

func readCatalogue(file string) (*usb.Catalogue, error) {
	if file == "" {
		return usb.BuiltIn()
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return usb.LoadCatalogue(f)
}

func usbIDs(m usb.Model) string {
	if m.VID == 0 || len(m.PIDs) == 0 {
		return "unknown"
	}
	ids := make([]string, len(m.PIDs))
	for i, pid := range m.PIDs {
		ids[i] = fmt.Sprintf("%04x:%04x", m.VID, pid)
	}
	return strings.Join(ids, " ")
}

// describeToken prints what a terminal saw, and what the catalogue makes of it.
func describeToken(text string) error {
	d, err := usb.ParseDescription(strings.TrimSpace(text))
	if err != nil {
		return err
	}
	fmt.Printf("USB id        %04x:%04x, release %04x, class %02x\n", d.VID, d.PID, d.Release, d.Class)
	fmt.Printf("manufacturer  %s\nproduct       %s\n", cmp.Or(d.Manufacturer, "-"), cmp.Or(d.Product, "-"))
	for _, i := range d.Interfaces {
		fmt.Printf("interface     configuration %d, number %d, setting %d: class %02x %02x %02x\n", i.Configuration, i.Number, i.Alternate, i.Class, i.SubClass, i.Protocol)
	}
	if d.More {
		fmt.Println("interface     and more")
	}
	if d.Malformed {
		fmt.Println("descriptors   make no sense")
	}
	catalogue, err := usb.BuiltIn()
	if err != nil {
		return err
	}
	models := catalogue.Lookup(usb.Device{VID: d.VID, PID: d.PID, Class: d.Class, Interfaces: d.Interfaces})
	for _, m := range models {
		fmt.Printf("catalogue     %s: %s\n", m.Name, m.State(runtime.GOARCH))
	}
	if models == nil {
		fmt.Println("catalogue     no row fits")
	}
	return nil
}
