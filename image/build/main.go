// Command build makes an image of the appliance. See package image for what is in it;
// `make image` builds all of them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"mohr.internal/image"
)

const usage = `usage: go run ./image/build -instance rpi|amd64 [flags]
       go run ./image/build -update-lock

Builds OUT/NAME.img: boot, two roots, and /perm formatted. Run it in the repository's
top folder, on Debian 12; it needs the network for what is not in the cache yet, and
no root.

`

type options struct {
	instance string
	site     string
	modules  string
	out      string
	cache    string
	repo     string
}

func main() {
	if err := run(); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "image:", err)
		}
		os.Exit(1)
	}
}

func run() error {
	var o options
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.StringVar(&o.instance, "instance", "", "`NAME`: rpi (the product) or amd64 (for tests)")
	flag.StringVar(&o.site, "site", "", "`DIR` whose content lies in /perm/mohr: one station's configuration and keys (default: /perm is empty)")
	flag.StringVar(&o.modules, "modules", "image/modules", "`DIR` with a folder per architecture of vendors' PKCS#11 modules")
	flag.StringVar(&o.out, "out", "out/image", "`DIR` for the results")
	flag.StringVar(&o.cache, "cache", "", "`DIR` for downloaded packages (default: mohr/image in the user's cache folder)")
	update := flag.Bool("update-lock", false, "write image/debian.lock anew, with the newest version of each package, and end")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		return fmt.Errorf("%q is of no use", flag.Arg(0))
	}
	if err := o.resolve(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *update {
		return updateLock(ctx, o)
	}
	if o.instance == "" {
		flag.Usage()
		return errors.New("want -instance")
	}
	inst, err := image.ByName(o.instance)
	if err != nil {
		return err
	}
	return (&builder{options: o, inst: inst, log: newSteps(os.Stdout)}).build(ctx)
}

// resolve makes all paths absolute: gok changes its folder.
func (o *options) resolve() error {
	wd, err := os.Getwd()
	if err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(wd, "go.mod"))
	if err != nil || !strings.HasPrefix(string(mod), "module "+image.Module+"\n") {
		return fmt.Errorf("%s is not the top folder of the repository", wd)
	}
	o.repo = wd
	if o.cache == "" {
		o.cache = filepath.Join(o.out, "cache")
		if dir, err := os.UserCacheDir(); err == nil {
			o.cache = filepath.Join(dir, "mohr", "image")
		}
	}
	for _, p := range []*string{&o.site, &o.modules, &o.out, &o.cache} {
		if *p == "" {
			continue
		}
		if *p, err = filepath.Abs(*p); err != nil {
			return err
		}
	}
	return nil
}
