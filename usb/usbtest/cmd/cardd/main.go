// Command cardd serves the virtual token of one state file: to the PC/SC daemon
// of this machine (-vpcd) or to QEMU (-vscard). Commands for the tester come one
// a line on standard input, or on a Unix socket (-control); each is answered by a
// line "ok …" or "error …".
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"mohr.internal/usb/usbtest/card"
	"mohr.internal/usb/usbtest/vpcd"
	"mohr.internal/usb/usbtest/vscard"
)

type options struct {
	state, blank, label, serial string
	vpcd, vscard, control       string
	seed                        uint64
	verbose                     bool
	lines                       []string // control lines to begin with
}

func main() {
	var o options
	flag.StringVar(&o.state, "state", "", "state file; a card is made if it is not there")
	flag.StringVar(&o.label, "label", "Citizen", "label of a card that is made")
	flag.StringVar(&o.serial, "serial", "00000000000000000001", "serial number of a card that is made, 10 bytes in hex")
	blank := flag.Bool("blank", false, "leave a card that is made as from the factory")
	flag.StringVar(&o.vpcd, "vpcd", "", "serve vsmartcard-vpcd at this address, as a rule "+vpcd.Address)
	flag.StringVar(&o.vscard, "vscard", "", "serve QEMU at this Unix socket")
	flag.StringVar(&o.control, "control", "", "listen for control lines on this Unix socket and not on standard input")
	flag.Uint64Var(&o.seed, "seed", 0, "make randomness repeatable; 0 is the system's")
	flag.BoolVar(&o.verbose, "v", false, "log each command before and after it is executed")
	flag.Func("do", "a control line to begin with; may be given more than once", func(line string) error {
		o.lines = append(o.lines, line)
		return nil
	})
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: cardd -state FILE [-vpcd ADDRESS | -vscard SOCKET] [options]\n")
		flag.PrintDefaults()
		fmt.Fprintf(flag.CommandLine.Output(), "control lines:\n%s\n", card.Control)
	}
	flag.Parse()
	if *blank {
		o.blank = "blank"
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "cardd:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	if o.state == "" || flag.NArg() > 0 || o.vpcd != "" && o.vscard != "" {
		flag.Usage()
		return errors.New("want -state and at most one of -vpcd and -vscard")
	}
	unlock, err := lock(o.state)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := open(o, log)
	if err != nil {
		return err
	}
	t := card.NewToken(c, o.state, log)
	for _, line := range o.lines {
		if _, err := t.Do(line); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := listen(ctx, o.control, t); err != nil {
		return err
	}
	switch {
	case o.vpcd != "":
		return vpcd.Serve(ctx, o.vpcd, t, log)
	case o.vscard != "":
		return vscard.Serve(ctx, o.vscard, t, log)
	}
	return nil // the card was made
}

// lock keeps a second cardd from the same card.
func lock(state string) (func(), error) {
	f, err := os.OpenFile(state+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is served by another cardd: %w", state, err)
	}
	return func() { f.Close() }, nil
}

// open loads the card or makes one.
func open(o options, log *slog.Logger) (*card.Card, error) {
	var random io.Reader
	if o.seed != 0 {
		random = rand.NewChaCha8([32]byte{byte(o.seed), byte(o.seed >> 8), byte(o.seed >> 16), byte(o.seed >> 24),
			byte(o.seed >> 32), byte(o.seed >> 40), byte(o.seed >> 48), byte(o.seed >> 56)})
	}
	c, err := card.Load(o.state, random)
	if !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	serial, err := hex.DecodeString(o.serial)
	if err != nil || len(serial) != 10 {
		return nil, fmt.Errorf("serial number %q, want 10 bytes in hex", o.serial)
	}
	c = card.New(card.Options{Serial: [10]byte(serial), Rand: random})
	if o.blank == "" {
		if err := c.Initialise(card.Profile{Label: o.label}); err != nil {
			return nil, err
		}
	}
	log.Info("card made", "state", o.state, "serial", o.serial)
	return c, c.Save(o.state)
}

// listen starts to take control lines.
func listen(ctx context.Context, path string, t *card.Token) error {
	if path == "" {
		go control(t, os.Stdin, os.Stdout)
		return nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				control(t, conn, conn)
			}()
		}
	}()
	return nil
}

func control(t *card.Token, r io.Reader, w io.Writer) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		answer, err := t.Do(lines.Text())
		if err != nil {
			answer = "error " + strings.ReplaceAll(err.Error(), "\n", "; ")
		} else {
			answer = strings.TrimSpace("ok " + answer)
		}
		if _, err := fmt.Fprintln(w, answer); err != nil {
			return
		}
	}
}
