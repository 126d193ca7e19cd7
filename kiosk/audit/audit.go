// Package audit re-verifies a journal from its records alone, long after and far
// from the kiosk: every request and signature, every attestation and the evidence
// it names, every receipt, every issued certificate, and the order of it all.
//
// It believes nothing that it cannot check: CA certificates, the list of officers
// and the kiosk's receipt keys are given from outside. What a record says of time
// is the kiosk's claim and is taken for the moment of signing. The hash chain is
// the journal's (appliance/journal) and the allowed changes of state are the
// ledger's (package kiosk); both refuse to replay otherwise.
//
// It cannot see what was never recorded, and cannot open evidence.
package audit

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"mohr.internal/kiosk"
	"mohr.internal/kiosk/cmp"
	"mohr.internal/kiosk/receipt"
)

// Rules of the audit. Notes do not fail it.
const (
	RuleRequest     = "AUDIT-REQUEST"     // a stored request does not verify
	RuleTwice       = "AUDIT-TWICE"       // two different requests for one renewal
	RuleAttestation = "AUDIT-ATTESTATION" // the attestation does not verify, or is about another request
	RuleEvidence    = "AUDIT-EVIDENCE"    // the sealed evidence is not the attested one
	RuleReceipt     = "AUDIT-RECEIPT"     // a receipt does not verify, or says more than the journal holds; see RuleHead, too
	RuleGap         = "AUDIT-GAP"         // receipt numbers do not rise by one
	RuleCertificate = "AUDIT-CERT"        // an issued certificate is not for the request, or does not chain
	RulePIN         = "AUDIT-PIN"         // two PIN tries without a result between them
	RuleFork        = "AUDIT-FORK"        // served in spite of the alarm, or cleared what was no alarm, or by nobody
	NoteFork        = "NOTE-FORK"         // the centre had another log of this kiosk
	NoteOutcome     = "NOTE-PIN-OUTCOME"  // a PIN try without a result: nobody knows whether it counted
	NoteClock       = "NOTE-CLOCK"        // the clock went backwards
)

// Options are what the auditor believes.
type Options struct {
	Anchors       *x509.CertPool
	Intermediates []*x509.Certificate
	Officer       func(*x509.Certificate) error // on the list?
	Receipts      receipt.TrustList
}

// Finding is one thing that is not as it should be, or worth a note.
type Finding struct {
	Seq     uint64
	Renewal kiosk.RenewalID
	Rule    string
	Detail  string
}

// Note says whether the finding does not fail the audit.
func (f Finding) Note() bool {
	return f.Rule == NoteOutcome || f.Rule == NoteClock || f.Rule == NoteFork
}

// String is one line for a report.
func (f Finding) String() string {
	return fmt.Sprintf("record %d, renewal %.8s: %s: %s", f.Seq, f.Renewal, f.Rule, f.Detail)
}

// Report is the outcome.
type Report struct {
	Records, Renewals, Requests, Attestations, Receipts, Certificates int
	Findings                                                          []Finding
}

// Failed is how many findings are more than notes.
func (r Report) Failed() int {
	n := 0
	for _, f := range r.Findings {
		if !f.Note() {
			n++
		}
	}
	return n
}

// Auditor takes a journal's records in order.
type Auditor struct {
	options  Options
	report   Report
	held     Chain
	renewals map[kiosk.RenewalID]*renewal
	receipts uint64        // number of the last receipt
	time     int64         // of the last record
	fork     *kiosk.LogEnd // the centre's other log, while that is an alarm
	begun    int           // renewals since the alarm: one may have been under way
}

// renewal is what is kept of one renewal between its records.
type renewal struct {
	evidence  [32]byte // of the last sealed evidence
	request   *[32]byte
	stored    uint64 // record of the request
	ends      int64  // of the old certificate, as journaled; 0 where it was not
	publicKey []byte
	trying    bool // a PIN try has no result yet
	elsewhere bool // another kiosk made the request and has the evidence
}

// New returns an auditor for one journal.
func New(o Options) *Auditor {
	return &Auditor{options: o, renewals: map[kiosk.RenewalID]*renewal{}}
}

// Record examines the next record; hash is the journal's, over it and all before.
func (a *Auditor) Record(seq uint64, hash [32]byte, r kiosk.Record) {
	a.report.Records++
	a.held.Add(seq, hash, r.Receipt)
	find := func(rule, format string, args ...any) {
		a.report.Findings = append(a.report.Findings, Finding{seq, r.Renewal, rule, fmt.Sprintf(format, args...)})
	}
	if r.Time < a.time {
		find(NoteClock, "%d seconds back", a.time-r.Time)
	}
	a.time = r.Time
	a.alarm(r, find)
	n := a.renewals[r.Renewal]
	if n == nil {
		n = &renewal{elsewhere: r.State == kiosk.Issued.String()}
		a.renewals[r.Renewal] = n
		if !r.Renewal.Zero() { // that is the station, where officers enter PINs
			a.report.Renewals++
			a.begin(find)
		}
	}
	if r.Ends != 0 {
		n.ends = r.Ends
	}
	if r.Sealed != nil {
		n.evidence = sha256.Sum256(r.Sealed)
	}
	if r.Request != nil {
		n.stored = seq
		a.request(n, r, find)
	}
	if r.Certificate != nil {
		a.report.Certificates++
		if err := a.certificate(n, r); err != nil {
			find(RuleCertificate, "%v", err)
		}
	}
	if r.Receipt != "" {
		a.report.Receipts++
		a.receipt(seq, n, r, find)
		if r.ReceiptSeq != a.receipts+1 {
			find(RuleGap, "receipt %d follows %d", r.ReceiptSeq, a.receipts)
		}
		a.receipts = r.ReceiptSeq
	}
	switch r.Event {
	case kiosk.EventPINTry:
		if n.trying {
			find(RulePIN, "a second PIN try without a result of the first")
		}
		n.trying = true
	case kiosk.EventPINResult:
		n.trying = false
	default:
		if n.trying {
			find(NoteOutcome, "the PIN try before has no result")
			n.trying = false
		}
	}
}

// alarm follows the alarm of a centre that has another log of this kiosk.
func (a *Auditor) alarm(r kiosk.Record, find func(rule, format string, args ...any)) {
	switch r.Event {
	case kiosk.EventFork:
		find(NoteFork, "it ended at %v", r.Foreign)
		a.fork, a.begun = r.Foreign, 0
	case kiosk.EventForkCleared:
		switch {
		case a.fork == nil || r.Foreign == nil || *a.fork != *r.Foreign:
			find(RuleFork, "cleared %v, the alarm was about %v", r.Foreign, a.fork)
		case len(r.Officer) != sha256.Size:
			find(RuleFork, "cleared by nobody")
		}
		a.fork = nil
	case kiosk.EventStart:
		if a.fork != nil {
			a.begun = 1 // nobody is at the counter
		}
	}
}

// begin counts a renewal under the alarm: whoever was there is served to the end.
func (a *Auditor) begin(find func(rule, format string, args ...any)) {
	if a.fork == nil {
		return
	}
	if a.begun++; a.begun > 1 {
		find(RuleFork, "begun with while the alarm was on")
	}
}

// Report is the outcome of all records so far.
func (a *Auditor) Report() Report { return a.report }

// request verifies the three signatures of a stored request and what ties them
// to each other and to the renewal.
func (a *Auditor) request(n *renewal, r kiosk.Record, find func(rule, format string, args ...any)) {
	a.report.Requests++
	officers := cmp.Officers{Anchors: a.options.Anchors, Intermediates: a.options.Intermediates, Allow: a.options.Officer}
	at := stampOf(r)
	if m, err := cmp.Parse(r.Request); n.elsewhere && err == nil { // it was stored elsewhere, and weeks ago
		there := officers
		there.AnyTime = true
		s, _, err := cmp.VerifyAttestation(m.Attestation(), there, m.Time())
		at = stamp{m.Time(), err != nil || s.ClockQuality != kiosk.ClockUnproven}
	}
	sum := sha256.Sum256(r.Request)
	if n.request != nil && *n.request != sum {
		find(RuleTwice, "request %x after %x", sum[:4], n.request[:4])
	}
	n.request = &sum
	nested, inner, err := a.open(r, at)
	if err != nil {
		find(RuleRequest, "%v", err)
		return
	}
	old, req, err := inner.CheckRequest()
	if err != nil {
		find(RuleRequest, "%v", err)
		return
	}
	n.publicKey = req.PublicKey
	if n.ends != 0 && n.ends != old.NotAfter.Unix() { // the latest time for syncing goes by it
		find(RuleRequest, "old certificate ends %s, journaled %s", utc(old.NotAfter), utc(time.Unix(n.ends, 0)))
	}
	if err := a.chain(old, at); err != nil {
		find(RuleRequest, "old certificate: %v", err)
	}
	a.report.Attestations++
	officers.AnyTime = !at.known
	s, _, err := cmp.VerifyAttestation(nested.Attestation(), officers, at.time)
	if err == nil {
		err = s.CheckRequest(inner)
	}
	if err != nil {
		find(RuleAttestation, "%v", err)
		return
	}
	if s.EvidenceHash != n.evidence && !n.elsewhere {
		find(RuleEvidence, "attested %x, journaled %x", s.EvidenceHash[:4], n.evidence[:4])
	}
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// open takes the layers of a stored request apart and verifies the kiosk's.
func (a *Auditor) open(r kiosk.Record, at stamp) (nested, inner *cmp.Message, err error) {
	if nested, err = cmp.Parse(r.Request); err != nil {
		return nil, nil, err
	}
	if !bytes.Equal(nested.TransactionID(), r.Renewal[:]) {
		return nil, nil, fmt.Errorf("transaction %x", nested.TransactionID())
	}
	ra, err := nested.ProtectionCert()
	if err != nil {
		return nil, nil, err
	}
	err = errors.Join(nested.VerifyProtection(ra), cmp.RASigner(ra), a.chain(ra, at))
	if err != nil {
		return nil, nil, err
	}
	inner, err = nested.Inner()
	return nested, inner, err
}

// stamp is a time and whether it is known well enough to judge dates by it.
type stamp struct {
	time  time.Time
	known bool
}

func stampOf(r kiosk.Record) stamp {
	return stamp{time.Unix(r.Time, 0), r.Clock != kiosk.ClockUnproven}
}

// chain verifies a certificate up to the anchors, at the time of a record, or
// on its own first day where that time is not known.
func (a *Auditor) chain(cert *x509.Certificate, at stamp) error {
	between := x509.NewCertPool()
	for _, c := range a.options.Intermediates {
		between.AddCert(c)
	}
	if !at.known {
		at.time = cert.NotBefore
	}
	_, err := cert.Verify(x509.VerifyOptions{
		Roots: a.options.Anchors, Intermediates: between, CurrentTime: at.time, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err
}

// certificate holds an issued certificate against the request.
func (a *Auditor) certificate(n *renewal, r kiosk.Record) error {
	cert, err := x509.ParseCertificate(r.Certificate)
	if err != nil {
		return err
	}
	if !bytes.Equal(cert.RawSubjectPublicKeyInfo, n.publicKey) {
		return errors.New("certificate is for another key than was requested")
	}
	return a.chain(cert, stampOf(r))
}

// receipt holds a receipt, and the checkpoint in it, against what the journal held
// when it was given.
func (a *Auditor) receipt(seq uint64, n *renewal, r kiosk.Record, find func(rule, format string, args ...any)) {
	given, _, err := a.options.Receipts.Verify(r.Receipt)
	if err != nil {
		find(RuleReceipt, "%v", err)
		return
	}
	want := map[receipt.State]string{receipt.Recorded: kiosk.Receipted.String(), receipt.Accepted: kiosk.Loaded.String()}
	switch {
	case n.request == nil:
		find(RuleReceipt, "receipt without a stored request")
	case given.Request != *n.request:
		find(RuleReceipt, "receipt for another request")
	case given.Seq != r.ReceiptSeq:
		find(RuleReceipt, "receipt says number %d, journal %d", given.Seq, r.ReceiptSeq)
	case want[given.State] != r.State:
		find(RuleReceipt, "receipt says %v, journal %s", given.State, r.State)
	case given.HeadSeq != 0 && (given.HeadSeq >= seq || given.HeadSeq < n.stored):
		find(RuleHead, "the checkpoint is record %d, not between the request (%d) and the receipt (%d)", given.HeadSeq, n.stored, seq)
	}
	if m := a.held.head(given); m != nil && given.HeadSeq < seq {
		find(RuleHead, "%s", m.Detail)
	}
}
