package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"mohr.internal/usb"
)

const tokenHelp = `usage: mohrctl token list

Lists the token models in the catalogue: USB ids, PKCS#11 modules, and how sure
that is. A model without an id is known by name only and cannot be recognised.

`

func tokenCommand(_ context.Context, args []string) error {
	f := flags("token", tokenHelp)
	if done, err := parse(f, args, 1); done || err != nil {
		return err
	}
	if f.Arg(0) != "list" {
		f.Usage()
		return errUsage
	}
	catalogue, err := usb.BuiltIn()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MODEL\tUSB ID\tMODULES\tPC/SC\tARM64\tSURE")
	for _, m := range catalogue.Models() {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", m.Name, usbIDs(m), strings.Join(m.Modules, " "), m.PCSC, m.ARM64, m.Confidence)
	}
	return w.Flush()
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
