package main

import (
	"context"
	"fmt"
	"image"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"mohr.internal/appliance/desk"
)

const runHelp = `usage: mohrctl run [-port N] [-size WxH] [-lang fa|en] [-dir FOLDER] [-bin FOLDER]

Serves a desk in the browser, on 127.0.0.1 only: the kiosk's screen and keypad,
tokens to insert, a CA that answers as you like, and a switch for the power. The
kiosk, the token program and the sync program are the real ones; tokens and CA are
made new in a throw-away folder. Ctrl-C ends it.

`

func runCommand(ctx context.Context, args []string) error {
	f := flags("run", runHelp)
	port := f.Int("port", 8380, "port on 127.0.0.1; 0 picks a free one")
	size := f.String("size", "800x480", "the panel, in pixels")
	lang := f.String("lang", "fa", "first language: fa or en")
	dir := f.String("dir", "", "folder for tokens and journal; empty: a new one that is deleted at the end")
	bin := f.String("bin", "", "folder with kioskd, tokend and syncd; empty: the one mohrctl is in")
	if done, err := parse(f, args, 0); done || err != nil {
		return err
	}
	var panel image.Point
	if _, err := fmt.Sscanf(*size, "%dx%d", &panel.X, &panel.Y); err != nil {
		return fmt.Errorf("-size %q: want WIDTHxHEIGHT", *size)
	}
	binaries, err := programs(*bin)
	if err != nil {
		return err
	}
	if *dir == "" {
		if *dir, err = os.MkdirTemp("", "mohr-run"); err != nil {
			return err
		}
		defer os.RemoveAll(*dir)
	}
	fmt.Println("making tokens and a CA in", *dir)
	place, err := desk.Provision(ctx, desk.Options{Dir: *dir, Time: time.Now(), Kinds: desk.EveryKind(), Size: panel, Language: *lang})
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	world, err := desk.NewWorld(place, binaries, logger)
	if err != nil {
		return err
	}
	defer world.Close()
	if err := world.On(ctx); err != nil {
		return err
	}
	page := desk.NewPage(desk.PageOptions{
		Glass: world.Glass, Bench: world, Log: world.Log, Logger: logger,
		Verify: func(text string) (string, error) {
			given, by, _, err := verifyReceipt(place.TrustFile(), text)
			if err != nil {
				return "", err
			}
			return reportText(given.Report(by), "en"), nil
		},
	})
	return page.Serve(ctx, *port, func(url string) {
		fmt.Printf("logs: %s\nopen this page in a browser on this machine:\n\n  %s\n\n", filepath.Join(place.Dir, "log"), url)
	})
}
