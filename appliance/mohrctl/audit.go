package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"mohr.internal/appliance/journal"
	"mohr.internal/kiosk"
)

const auditHelp = `usage: mohrctl audit FOLDER

Reads the journal in FOLDER without changing it, checks hash chain, records and
changes of state, and prints one line a record. It may run beside the kiosk.

`

func auditCommand(_ context.Context, args []string) error {
	f := flags("audit", auditHelp)
	if done, err := parse(f, args, 1); done || err != nil {
		return err
	}
	if f.NArg() != 1 {
		f.Usage()
		return errUsage
	}
	j, err := journal.Open(f.Arg(0), journal.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer j.Close()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	count := 0
	err = j.Replay(1, func(r journal.Record) error {
		record, err := kiosk.ParseRecord(r.Payload)
		if err != nil {
			return fmt.Errorf("record %d: %w", r.Seq, err)
		}
		count++
		what := record.State + record.Event
		fmt.Fprintf(w, "%d\t%s\t%s\t%.8s\t%s\t%s\n", r.Seq, time.Unix(record.Time, 0).UTC().Format(time.RFC3339), record.Clock,
			record.Renewal, what, record.Rule)
		return nil
	})
	if err := errors.Join(err, w.Flush()); err != nil {
		return err
	}
	for _, h := range j.Healed() {
		fmt.Println("damaged in one copy:", h)
	}
	if _, err := kiosk.OpenLedger(readOnly{j}, nil); err != nil {
		return err
	}
	seq, head := j.Head()
	fmt.Printf("records: %d\nhead: %d %x\n", count, seq, head)
	if len(j.Healed()) > 0 {
		return fmt.Errorf("%d places are damaged in one copy; the kiosk will heal them when it starts", len(j.Healed()))
	}
	return nil
}

// readOnly is a journal that the ledger can replay and nothing else.
type readOnly struct{ *journal.Journal }

func (readOnly) Append([]byte) (uint64, error) { return 0, journal.ErrReadOnly }

func (readOnly) Read(uint64) ([]byte, error) { return nil, journal.ErrReadOnly }

func (r readOnly) Replay(fn func(seq uint64, payload []byte) error) error {
	return r.Journal.Replay(1, func(r journal.Record) error { return fn(r.Seq, r.Payload) })
}
