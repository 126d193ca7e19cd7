package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"mohr.internal/appliance/mohrctl/internal/demo"
)

const demoHelp = `usage: mohrctl demo [-out FOLDER] [-lang fa|en] [-bin FOLDER]

Carries a citizen through a first renewal with the real programs, a SoftHSM token
and a CA on this machine; the people are scripted. Then examines the outcome from
outside, with OpenSSL, zbarimg and pkcs11-tool. Screens go to FOLDER as PNG. The
last lines are figures, then how many examinations passed.

`

func demoCommand(ctx context.Context, args []string) error {
	f := flags("demo", demoHelp)
	out := f.String("out", "out/demo", "folder for screens and what was examined")
	lang := f.String("lang", "fa", "language of the screens: fa or en")
	bin := f.String("bin", "", "folder with kioskd, tokend and syncd; empty: the one mohrctl is in")
	if done, err := parse(f, args, 0); done || err != nil {
		return err
	}
	binaries, err := programs(*bin)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	failed, err := demo.Run(ctx, demo.Options{Out: *out, Language: *lang, Programs: binaries, Mohrctl: self, Print: os.Stdout})
	if err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d examinations failed", failed)
	}
	return nil
}
