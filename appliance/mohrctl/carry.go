package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"mohr.internal/appliance/courier"
	"mohr.internal/kiosk/bundle"
)

const exportHelp = `usage: mohrctl export -key FILE -to RECIPIENT -kiosk ID -out FILE FOLDER

Writes the requests that the kiosk with the journal in FOLDER has not delivered
into one file, sealed to an age RECIPIENT (age1...; -to may be a file of them), to be
carried to where there is a network. The kiosk keeps them and goes on trying: a
request that arrives twice counts once.

  mohrctl export -key /perm/keys/storage.key -to head-office.txt -kiosk 17 -out /mnt/usb/kiosk-17.bundle /perm/journal

`

const deliverHelp = `usage: mohrctl deliver -identity FILE -ca URL [-answers FOLDER] BUNDLE

Delivers what mohrctl export wrote. FILE holds the age identity that it was sealed
to. The CA's answers are counted, and kept in FOLDER if one is named; the kiosk
gets its own when it is online again, or from the fleet. Delivering a bundle again
is harmless.

`

func exportCommand(_ context.Context, args []string) error {
	f := flags("export", exportHelp)
	to := f.String("to", "", "age recipient, or a file of recipients")
	key := f.String("key", "", "the station's storage key")
	id := f.String("kiosk", "", "the kiosk's id")
	out := f.String("out", "", "file to write; it must not be there")
	if done, err := parse(f, args, 1); done || err != nil {
		return err
	}
	if f.NArg() != 1 || *to == "" || *out == "" || *id == "" || *key == "" {
		f.Usage()
		return errUsage
	}
	recipients, err := readRecipients(*to)
	if err != nil {
		return err
	}
	ledger, closeJournal, err := openLedger(f.Arg(0), *key)
	if err != nil {
		return err
	}
	defer closeJournal()
	var parcels []bundle.Parcel
	for _, p := range pending(ledger) {
		parcels = append(parcels, bundle.Parcel(p))
	}
	b, err := bundle.New(*id, time.Now(), parcels)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(*out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	// A stick is pulled soon after: the file is synced before it is called written.
	err = errors.Join(b.Seal(file, recipients...), file.Sync(), file.Close())
	if err != nil {
		return errors.Join(err, os.Remove(*out))
	}
	fmt.Printf("exported: %d\n", len(parcels))
	return nil
}

func readRecipients(text string) ([]age.Recipient, error) {
	if !strings.HasPrefix(text, "age1") {
		b, err := os.ReadFile(text)
		if err != nil {
			return nil, err
		}
		text = string(b)
	}
	return age.ParseRecipients(strings.NewReader(text))
}

func deliverCommand(ctx context.Context, args []string) error {
	f := flags("deliver", deliverHelp)
	identity := f.String("identity", "", "file with the age identity")
	url := f.String("ca", "", "address of the CA")
	answers := f.String("answers", "", "folder to keep the CA's answers in")
	if done, err := parse(f, args, 1); done || err != nil {
		return err
	}
	if f.NArg() != 1 || *identity == "" || *url == "" {
		f.Usage()
		return errUsage
	}
	b, err := readBundle(f.Arg(0), *identity)
	if err != nil {
		return err
	}
	mail := &courier.Courier{
		URL: *url, Client: courier.NewClient(10*time.Second, 30*time.Second, &http.Transport{}), Min: time.Second, Max: time.Minute,
		Jitter: rand.Float64, InFlight: make(chan struct{}, 1), Now: time.Now,
	}
	for i, p := range b.Parcels {
		answer, err := mail.Deliver(ctx, p.ID, p.DER, func(why string, _ int, next time.Duration) {
			fmt.Fprintf(os.Stderr, "%s: trying again in %v: %s\n", p.ID, next.Round(time.Second), why)
		})
		if err != nil {
			return fmt.Errorf("delivered %d of %d: %w", i, len(b.Parcels), err)
		}
		if *answers != "" {
			if err := os.WriteFile(filepath.Join(*answers, filepath.Base(p.ID)+".answer.der"), answer, 0o600); err != nil {
				return err
			}
		}
		fmt.Printf("%d/%d %s answered\n", i+1, len(b.Parcels), p.ID)
	}
	fmt.Printf("delivered: %d\n", len(b.Parcels))
	return nil
}

func readBundle(file, identityFile string) (*bundle.Bundle, error) {
	text, err := os.ReadFile(identityFile)
	if err != nil {
		return nil, err
	}
	identities, err := age.ParseIdentities(strings.NewReader(string(text)))
	if err != nil {
		return nil, err
	}
	r, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return bundle.Open(r, identities...)
}
