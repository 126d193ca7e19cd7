package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"text/tabwriter"
	"time"

	"mohr.internal/appliance/journal"
	"mohr.internal/appliance/vault"
	"mohr.internal/kiosk"
	"mohr.internal/kiosk/words"
)

const queueHelp = `usage: mohrctl queue -key FILE [-lang en|fa] FOLDER

Lists what the kiosk with the journal in FOLDER still has to deliver or to hand
out: since when, how far it is, why it is stuck, and what to do. No names: people
are told apart by the tracking number on their receipt. FILE is the station's storage key.
It may run beside the kiosk.

`

func queueCommand(_ context.Context, args []string) error {
	f := flags("queue", queueHelp)
	key := f.String("key", "", "storage key")
	lang := f.String("lang", "en", "language: en or fa")
	if done, err := parse(f, args, 1); done || err != nil {
		return err
	}
	if f.NArg() != 1 || *key == "" {
		f.Usage()
		return errUsage
	}
	ledger, closeJournal, err := openLedger(f.Arg(0), *key)
	if err != nil {
		return err
	}
	defer closeJournal()
	book := words.In(*lang)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	open := ledger.All(func(n kiosk.Renewal) bool { way, _ := n.Waits(); return way != "" })
	for _, n := range open {
		fmt.Fprintf(w, "%s\t%s\tsince %s\t%s\t%s\t%s\n", n.Tracking(), n.State, n.Since.Format(time.RFC3339), ends(n), n.Trouble, nextStep(book, n))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Printf("open: %d\n", len(open))
	if theirs, forked := ledger.Fork(); forked {
		fmt.Printf("alarm: %s: %v\n%s\n", kiosk.RuleFleetFork, theirs, book.Say("next."+kiosk.RuleFleetFork))
	}
	return nil
}

// ends is when the old certificate ends; the request has to be at the CA before.
func ends(n kiosk.Renewal) string {
	if n.Ends.IsZero() {
		return ""
	}
	return "certificate ends " + n.Ends.Format(time.DateOnly)
}

// nextStep says what to do about a stuck renewal, or what it waits for.
func nextStep(book *words.Book, n kiosk.Renewal) string {
	way, rule := n.Waits()
	if rule != "" {
		return book.Say("next." + rule)
	}
	return book.Say("queue." + way)
}

// openJournal opens a station's journal for reading, beside the kiosk or without it.
func openJournal(dir, keyFile string) (*vault.Journal, error) {
	v, err := vault.Load(keyFile, rand.Reader)
	if err != nil {
		return nil, err
	}
	j, err := journal.Open(dir, journal.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	return vault.Over(j, v), nil
}

// openLedger replays a journal without changing it.
func openLedger(dir, keyFile string) (*kiosk.Ledger, func() error, error) {
	j, err := openJournal(dir, keyFile)
	if err != nil {
		return nil, nil, err
	}
	ledger, err := kiosk.OpenLedger(j, nil)
	if err != nil {
		j.Close()
		return nil, nil, err
	}
	return ledger, j.Close, nil
}

// pending are the parcels of a journal that have not reached the CA.
func pending(ledger *kiosk.Ledger) []kiosk.Parcel {
	return kiosk.NewOutbox(ledger, nil, nil, nil, slog.New(slog.DiscardHandler)).Pending()
}
