package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"mohr.internal/appliance/journal"
	"mohr.internal/appliance/vault"
	"mohr.internal/kiosk"
	"mohr.internal/kiosk/audit"
	"mohr.internal/kiosk/profile"
	"mohr.internal/kiosk/receipt"
)

const auditHelp = `usage: mohrctl audit -key FILE [-profile FILE -publisher FILE] [-trust FILE] [-receipt TEXT] [-head "N HASH"] [-q] FOLDER

Reads the journal in FOLDER, sealed by the storage key in FILE, without changing
it, prints one line a record, and checks hash chain, records and changes of state. With the signed profile
(FILE, and its signature in FILE without its extension and with .sig), the
publisher's public key (PEM) and the list of receipt keys (JSON) it verifies every
request, attestation, receipt and certificate too. It may run beside the kiosk.

With the text of a receipt that somebody has brought (- reads it from standard
input) and the list of receipt keys it says whether this journal is the one, and
all of the one, that the receipt was given from. A card that forgot what it had
acknowledged, or was put back from a copy, is found by this and by nothing else
at the kiosk. The same is asked of the head that an earlier audit printed.

  mohrctl audit -q -key keys/storage.key -profile etc/profile.json -publisher etc/publisher.pem -trust receipt-keys.json perm/journal
  zbarimg -q --raw receipt.png | mohrctl audit -q -key keys/storage.key -trust receipt-keys.json -receipt - perm/journal

`

func auditCommand(_ context.Context, args []string) error {
	f := flags("audit", auditHelp)
	key := f.String("key", "", "storage key")
	profileFile := f.String("profile", "", "signed profile")
	publisher := f.String("publisher", "", "publisher's public key")
	trust := f.String("trust", "", "list of receipt keys")
	brought := f.String("receipt", "", "text of a receipt that somebody has brought")
	head := f.String("head", "", "number and hash of the last record, as an earlier audit printed them")
	quiet := f.Bool("q", false, "print only what was found, and the sums")
	if done, err := parse(f, args, 1); done || err != nil {
		return err
	}
	if f.NArg() != 1 || *key == "" || (*profileFile == "") != (*publisher == "") || (*profileFile != "" || *brought != "") != (*trust != "") {
		f.Usage()
		return errUsage
	}
	var auditor *audit.Auditor
	if *profileFile != "" {
		options, err := auditOptions(*profileFile, *publisher, *trust)
		if err != nil {
			return err
		}
		auditor = audit.New(options)
	}
	before, err := parseHead(*head)
	if err != nil {
		return err
	}
	given, text, err := broughtReceipt(*trust, *brought)
	if err != nil {
		return err
	}
	j, err := openJournal(f.Arg(0), *key)
	if err != nil {
		return err
	}
	defer j.Close()
	lines := io.Writer(os.Stdout)
	if *quiet {
		lines = io.Discard
	}
	var chain audit.Chain
	count, err := readRecords(j, lines, auditor, &chain)
	if err != nil {
		return err
	}
	seq, hash := j.Head()
	fmt.Printf("records: %d\nhead: %d %x\n", count, seq, hash)
	err = errors.Join(findings(auditor), damage(j))
	if text != "" {
		err = errors.Join(err, held(&chain, given, text))
	}
	if before.Seq > 0 {
		err = errors.Join(err, j.Verify(before.Seq, before.Hash))
	}
	return err
}

// parseHead reads a head as auditCommand prints it; "" is none.
func parseHead(s string) (head journal.Record, err error) {
	if s == "" {
		return head, nil
	}
	n, hash, _ := strings.Cut(s, " ")
	if head.Seq, err = strconv.ParseUint(n, 10, 64); err != nil || head.Seq == 0 {
		return head, fmt.Errorf("-head %.80q: want a number and a hash", s)
	}
	b, err := hex.DecodeString(hash)
	if err != nil || len(b) != len(head.Hash) {
		return head, fmt.Errorf("-head %.80q: want a hash of %d hex digits", s, 2*len(head.Hash))
	}
	head.Hash = [32]byte(b)
	return head, nil
}

// readRecords prints and examines every record, and replays them as the kiosk does.
func readRecords(j *vault.Journal, lines io.Writer, auditor *audit.Auditor, chain *audit.Chain) (count int, err error) {
	w := tabwriter.NewWriter(lines, 0, 0, 2, ' ', 0)
	err = j.Records(func(r journal.Record) error {
		record, err := kiosk.ParseRecord(r.Payload)
		if err != nil {
			return fmt.Errorf("record %d: %w", r.Seq, err)
		}
		count++
		chain.Add(r.Seq, r.Hash, record.Receipt)
		if auditor != nil {
			auditor.Record(r.Seq, r.Hash, record)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%.8s\t%s\t%s\n", r.Seq, time.Unix(record.Time, 0).UTC().Format(time.RFC3339), record.Clock,
			record.Renewal, record.State+record.Event, record.Rule)
		return nil
	})
	if err := errors.Join(err, w.Flush()); err != nil {
		return count, err
	}
	_, err = kiosk.OpenLedger(j, nil)
	return count, err
}

// broughtReceipt verifies the text of a receipt; "" is none, "-" standard input.
func broughtReceipt(trustFile, text string) (receipt.Receipt, string, error) {
	if text == "" {
		return receipt.Receipt{}, "", nil
	}
	if text == "-" {
		b, err := io.ReadAll(io.LimitReader(os.Stdin, maxReceipt+1))
		if err != nil {
			return receipt.Receipt{}, "", err
		}
		text = string(b)
	}
	given, _, text, err := verifyReceipt(trustFile, text)
	return given, text, err
}

// held says whether the journal has the receipt that somebody brought.
func held(chain *audit.Chain, given receipt.Receipt, text string) error {
	fmt.Printf("receipt: %v, tracking number %s, number %d of kiosk %d, checkpoint at record %d\n",
		given.State, receipt.FormatTracking(given.Tracking), given.Seq, given.Kiosk, given.HeadSeq)
	seq, err := chain.Holds(given, text)
	var m *audit.Mismatch
	if errors.As(err, &m) && m.Lost > 0 {
		return fmt.Errorf("NOT ALL OF THIS KIOSK'S JOURNAL: %w: at least %d records are missing; the card forgot what it had acknowledged, "+
			"or an older copy was put back: take no new applicants here, and ask the CA about the tracking number", err, m.Lost)
	}
	if err != nil {
		return fmt.Errorf("NOT THE JOURNAL OF THIS RECEIPT: %w", err)
	}
	fmt.Printf("receipt: record %d of this journal\n", seq)
	return nil
}

// findings prints what the auditor found. Only notes are no error.
func findings(a *audit.Auditor) error {
	if a == nil {
		return nil
	}
	r := a.Report()
	for _, f := range r.Findings {
		fmt.Println(f)
	}
	fmt.Printf("renewals: %d\nrequests verified: %d\nattestations verified: %d\nreceipts verified: %d\ncertificates verified: %d\nfindings: %d\n",
		r.Renewals, r.Requests, r.Attestations, r.Receipts, r.Certificates, r.Failed())
	if n := r.Failed(); n > 0 {
		return fmt.Errorf("%d findings", n)
	}
	return nil
}

func damage(j *vault.Journal) error {
	for _, h := range j.Healed() {
		fmt.Println("damaged in one copy:", h)
	}
	if n := len(j.Healed()); n > 0 {
		return fmt.Errorf("%d places are damaged in one copy; the kiosk will heal them when it starts", n)
	}
	return nil
}

// auditOptions reads what the auditor is to believe.
func auditOptions(profileFile, publisherFile, trustFile string) (audit.Options, error) {
	p, err := openProfile(profileFile, publisherFile)
	if err != nil {
		return audit.Options{}, err
	}
	b, err := os.ReadFile(trustFile)
	if err != nil {
		return audit.Options{}, err
	}
	keys, err := receipt.ParseTrustList(b)
	if err != nil {
		return audit.Options{}, err
	}
	return audit.Options{
		Anchors: p.Pool(), Intermediates: p.Intermediates(), Receipts: keys,
		Officer: func(cert *x509.Certificate) error {
			digest := profile.Digest(sha256.Sum256(cert.Raw))
			for _, o := range p.Officers {
				if o.Certificate == digest {
					return nil
				}
			}
			return fmt.Errorf("certificate %.16v… is not on the profile's list of officers", digest)
		},
	}, nil
}

// openProfile verifies a profile whatever its age: what it allowed is the past.
func openProfile(file, publisherFile string) (*profile.Profile, error) {
	text, err := os.ReadFile(publisherFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM", publisherFile)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", publisherFile, err)
	}
	publisher, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%s: %T, want Ed25519", publisherFile, key)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	sig, err := os.ReadFile(strings.TrimSuffix(file, ".json") + ".sig")
	if err != nil {
		return nil, err
	}
	return profile.Open(b, sig, publisher, 0, time.Time{})
}
