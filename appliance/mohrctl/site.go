package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"mohr.internal/appliance/desk"
	"mohr.internal/kiosk/cmp/cmptest"
)

const siteHelp = `usage: mohrctl site new -out DIR -ca URL [-lang fa|en] [-rsa]
       mohrctl site ca -site DIR -listen ADDRESS

For trying the appliance, not for use: "new" makes a station with a CA of its own.
  DIR/site     what belongs in /perm/mohr: make image SITE=DIR/site
  DIR/tokens   virtual tokens of a citizen, an officer and another citizen, for cardd
  DIR/pki      the CA, the list that mohrctl verify -trust takes, the key to evidence
URL is where the kiosk reaches the CA, http://10.0.2.2:8380/cmp from QEMU. The ports
are 1-1 (citizen), 1-2 (officer) and 1-3 (keypad): change them in DIR/site/*.json.

"ca" serves that CA. It issues to every request that is right.

`

func siteCommand(ctx context.Context, args []string) error {
	f := flags("site", siteHelp)
	if len(args) == 0 {
		f.Usage()
		return errUsage
	}
	switch args[0] {
	case "new":
		return siteNew(ctx, args[1:])
	case "ca":
		return siteCA(ctx, args[1:])
	case "-h", "--help", "help":
		f.Usage()
		return nil
	}
	fmt.Fprintf(os.Stderr, "mohrctl site: no command %q\n", args[0])
	return errUsage
}

func siteNew(ctx context.Context, args []string) error {
	f := flags("site new", siteHelp)
	out := f.String("out", "", "folder to make; must not be there, or be empty")
	ca := f.String("ca", "", "URL of the CA as the kiosk reaches it")
	lang := f.String("lang", "fa", "first language of the screens: fa or en")
	rsa := f.Bool("rsa", false, "RSA-2048 for the CA's own keys, otherwise P-256")
	if done, err := parse(f, args, 0); done || err != nil {
		return err
	}
	if *out == "" || *ca == "" {
		f.Usage()
		return errUsage
	}
	if there, err := os.ReadDir(*out); len(there) > 0 || err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: must be empty or not be there", *out)
	}
	place, err := desk.ProvisionSite(ctx, desk.SiteOptions{Dir: *out, Time: time.Now(), CA: *ca, Language: *lang, RSA: *rsa})
	if err != nil {
		return err
	}
	for _, d := range place.Devices {
		fmt.Printf("token %s: %s, PIN %s, national ID %s\n", d.Kind, d.Card.State, d.Card.PIN, d.Person.NationalID)
	}
	fmt.Printf("site: %s\nreceipt keys: %s\n", place.Site(), place.TrustFile())
	return nil
}

func siteCA(ctx context.Context, args []string) error {
	f := flags("site ca", siteHelp)
	dir := f.String("site", "", "folder that mohrctl site new made")
	listen := f.String("listen", "127.0.0.1:8380", "address to listen on")
	if done, err := parse(f, args, 0); done || err != nil {
		return err
	}
	if *dir == "" {
		f.Usage()
		return errUsage
	}
	pki, err := cmptest.Load(filepath.Join(*dir, "pki"))
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ca, err := cmptest.NewCA(cmptest.CAOptions{PKI: pki, Now: time.Now, Log: logger, SilenceLimit: 30 * time.Second})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	fmt.Printf("the CA answers on http://%s/cmp\n", l.Addr())
	server := &http.Server{Handler: ca, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
