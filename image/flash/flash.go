package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
)

// flash looks, asks, writes and compares.
func (a *app) flash(ctx context.Context, o options) error {
	img, size, err := a.openImage(o.image)
	if err != nil {
		return err
	}
	defer img.Close()
	d, err := a.examine(o, size)
	if err != nil {
		return err
	}
	c, err := a.open(o.dev)
	if err != nil {
		return err
	}
	defer c.Close()
	// The node may lead to another disk than a moment ago.
	if dev, err := c.Dev(); err != nil || dev != d.Dev {
		return errors.Join(fmt.Errorf("%s is no longer the disk that was examined", o.dev), err)
	}
	p := &progress{out: a.out, terminal: a.terminal, now: a.now}
	found, err := search(ctx, c, a.places(d, c, size), p)
	if err != nil {
		return err
	}
	if err := found.refuse(d, a.layout.perm, o.loseJournal); err != nil {
		return err
	}
	if err := a.show(ctx, img, size, d, c, found); err != nil {
		return err
	}
	if err := a.ask(ctx, d, o.yes); err != nil {
		return err
	}
	// Another card may have been put into the reader while we waited.
	now, _, err := a.host.find(o.dev)
	if err != nil || now.Seq != d.Seq || now.Bytes != d.Bytes {
		return errors.Join(fmt.Errorf("%s is no longer the card that was shown; nothing was written", o.dev), err)
	}
	sum, err := (&burner{ctx: ctx, card: c, img: img, size: size, p: p}).burn()
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "written, read back and compared: SHA-256 %x\ntake the card out; do not mount it here first\n", sum)
	return nil
}

// examine finds the disk and refuses it if there is any reason to.
func (a *app) examine(o options, size int64) (disk, error) {
	d, of, err := a.host.find(o.dev)
	if err != nil {
		return disk{}, err
	}
	if of != "" {
		return disk{}, refusal{"FLASH-PARTITION", o.dev + " is a partition", "name the whole disk: /dev/" + of}
	}
	u, err := a.host.uses(d)
	if err != nil {
		return disk{}, err
	}
	var all []error
	for _, r := range refusals(d, u, size, o.large) {
		all = append(all, r)
	}
	return d, errors.Join(all...)
}

// openImage opens an image and looks whether it is one.
func (a *app) openImage(name string) (*os.File, int64, error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, refusal{"FLASH-IMAGE", name + " is not there", "make image INSTANCES=rpi"}
	}
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err == nil {
		err = a.checkImage(f, st)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, st.Size(), nil
}

func (a *app) checkImage(f io.ReaderAt, st os.FileInfo) error {
	var table [2]byte
	root, perm := make([]byte, 4), make([]byte, 2048)
	_, err1 := f.ReadAt(table[:], 510)
	_, err2 := f.ReadAt(root, a.layout.root)
	_, err3 := f.ReadAt(perm, a.layout.perm)
	if errors.Join(err1, err2, err3) != nil || !st.Mode().IsRegular() || st.Size()%512 != 0 ||
		binary.LittleEndian.Uint16(table[:]) != 0xaa55 || string(root) != "hsqs" || !isExt(perm) {
		return refusal{"FLASH-IMAGE", st.Name() + " is no whole image: it wants a partition table, a root and a formatted /perm", "make image INSTANCES=rpi"}
	}
	return nil
}

// show tells people what will be written where, and what is lost.
func (a *app) show(ctx context.Context, img *os.File, size int64, d disk, c io.ReaderAt, lost remains) error {
	st, err := img.Stat()
	if err != nil {
		return err
	}
	quiet := &progress{out: io.Discard, now: a.now}
	station, err := search(ctx, img, []span{{a.layout.perm, size}}, quiet)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "image  %s, %s, of %s\n", img.Name(), bytesText(size), st.ModTime().Format("2006-01-02 15:04"))
	if s := station.text(); s != "" {
		fmt.Fprintf(a.out, "       with a station's %s\n", s)
	} else {
		fmt.Fprintf(a.out, "       without a station: the kiosk will say PERM-SITE (make flash SITE=DIR puts one in)\n")
	}
	fmt.Fprintf(a.out, "disk   %s\n", d.describe())
	w := tabwriter.NewWriter(a.out, 7, 0, 2, ' ', 0)
	for _, p := range d.Parts {
		kind, label := contentAt(c, p.Start)
		fmt.Fprintf(w, "       %s\t%s\t%s\t%s\n", p.Name, bytesText(p.Bytes), kind, label)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if s := lost.text(); s != "" {
		fmt.Fprintf(a.out, "       and is lost for ever: %s\n", s)
	}
	return nil
}

func (d disk) describe() string {
	s := []string{d.Node()}
	for _, t := range []string{strings.TrimSpace(d.Vendor + " " + d.Model), d.Bus, bytesText(d.Bytes)} {
		if t != "" {
			s = append(s, t)
		}
	}
	if d.Serial != "" {
		s = append(s, "serial "+d.Serial)
	}
	return strings.Join(s, ", ")
}

// ask wants the disk's name typed.
func (a *app) ask(ctx context.Context, d disk, yes bool) error {
	if yes {
		return nil
	}
	if !a.terminal {
		return refusal{"FLASH-ASK", "there is no terminal to ask at; nothing was written", "if it is the right disk, add -yes"}
	}
	fmt.Fprintf(a.out, "Everything on this disk is lost. Type its name to go on (%s): ", d.Name)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(io.LimitReader(a.in, 256)).ReadString('\n') // none is a wrong one
		answer <- line
	}()
	var line string
	select {
	case line = <-answer:
	case <-ctx.Done(): // a Ctrl-C that waits for a line is none
		fmt.Fprintln(a.out)
	}
	if strings.TrimSpace(line) != d.Name {
		return refusal{"FLASH-ASK", "that is not " + d.Name + "; nothing was written", "try again, and type " + d.Name}
	}
	return nil
}

// list shows the cards of this machine, with what keeps one from being written.
func (a *app) list() error {
	all, err := a.host.disks()
	if err != nil {
		return err
	}
	good := 0
	for _, d := range all {
		if !d.Removable {
			continue
		}
		u, err := a.host.uses(d)
		if err != nil {
			return err
		}
		fmt.Fprintln(a.out, d.describe())
		no := refusals(d, u, 0, false)
		for _, r := range no {
			fmt.Fprintf(a.out, "  not to be written: %s\n", r)
		}
		if len(no) == 0 {
			good++
			fmt.Fprintf(a.out, "  to write it: make flash DEV=%s\n", d.Node())
		}
	}
	if good == 0 {
		fmt.Fprintln(a.out, "No card to write. Put one into a USB reader or a card slot, and try again.")
	}
	fmt.Fprintln(a.out, "Disks that cannot be taken out of this machine are not listed.")
	return nil
}
