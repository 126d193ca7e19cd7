package audit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mohr.internal/kiosk"
	"mohr.internal/kiosk/cmp"
	"mohr.internal/kiosk/cmp/cmptest"
	"mohr.internal/kiosk/receipt"
)

var start = time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)

// office is a PKI, an officer, a kiosk, and one citizen with an old and a new key.
type office struct {
	pki                    *cmptest.PKI
	oldKey, newKey, signer crypto.Signer
	old, officer           *x509.Certificate
	receiptKey             *ecdsa.PrivateKey
	options                Options
}

func newOffice(t *testing.T) *office {
	t.Helper()
	pki, err := cmptest.New(cmptest.Options{Time: start})
	check(t, err)
	o := &office{pki: pki}
	for _, k := range []*crypto.Signer{&o.oldKey, &o.newKey, &o.signer} {
		*k, err = pki.NewKey()
		check(t, err)
	}
	o.old, err = pki.Citizen(o.oldKey.Public(), cmptest.CertOptions{})
	check(t, err)
	o.officer, err = pki.Officer(o.signer.Public(), cmptest.CertOptions{})
	check(t, err)
	o.receiptKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	kid, err := receipt.KeyIDOf(&o.receiptKey.PublicKey)
	check(t, err)
	o.options = Options{
		Anchors: pki.Roots(), Intermediates: []*x509.Certificate{pki.Issuing}, Officer: cmp.OfficerList(o.officer),
		Receipts: receipt.TrustList{kid: {
			Public: &o.receiptKey.PublicKey, Kiosk: 7, Name: "7", NotBefore: start.AddDate(0, 0, -1), NotAfter: start.AddDate(1, 0, 0),
		}},
	}
	return o
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// request makes a stored request for a renewal, whose evidence has this hash.
func (o *office) request(t *testing.T, id kiosk.RenewalID, evidence [32]byte) []byte {
	t.Helper()
	kur, err := cmp.KUR{
		OldCert: o.old, Chain: o.pki.Chain(), OldKey: o.oldKey, NewKey: o.newKey, TransactionID: id[:], SenderNonce: make([]byte, 16),
		Time: start, Recipient: o.pki.Issuing.RawSubject, ImplicitConfirm: true,
	}.Build(rand.Reader)
	check(t, err)
	s, err := cmp.NewStatement(kur)
	check(t, err)
	s.EvidenceHash, s.Profile, s.ProfileVersion, s.Renewal, s.Signal = evidence, "demo", 1, cmp.RenewalFirst, "unknown"
	s.Office, s.Kiosk, s.Time, s.ClockQuality = "office", "kiosk", start, kiosk.ClockTrusted
	attestation, err := cmp.Attest(s, o.signer, o.officer, o.pki.Chain(), rand.Reader)
	check(t, err)
	nested, err := cmp.Nested{
		Inner: kur, Key: o.pki.KioskKey, Cert: o.pki.Kiosk, Chain: o.pki.Chain(), Attestation: attestation, Time: start,
		Recipient: o.pki.Issuing.RawSubject,
	}.Build(rand.Reader)
	check(t, err)
	return nested
}

func (o *office) receipt(t *testing.T, state receipt.State, request []byte, seq uint64) string {
	t.Helper()
	return o.receiptAt(t, state, request, seq, 0, [32]byte{})
}

// receiptAt is a receipt with a checkpoint.
func (o *office) receiptAt(t *testing.T, state receipt.State, request []byte, seq uint64, head int, hash [32]byte) string {
	t.Helper()
	signed, err := receipt.Receipt{
		Time: start, Clock: receipt.ClockTrusted, State: state, Tracking: 123456789, Request: sha256.Sum256(request), Seq: seq, Kiosk: 7,
		HeadSeq: uint64(head), Head: [16]byte(hash[:16]),
	}.Sign(o.receiptKey, rand.Reader)
	check(t, err)
	return signed.Text
}

// renewal is the records of one whole renewal.
func (o *office) renewal(t *testing.T, id kiosk.RenewalID, firstReceipt uint64) []kiosk.Record {
	t.Helper()
	sealed := []byte("sealed evidence")
	request := o.request(t, id, sha256.Sum256(sealed))
	cert, err := o.pki.Twin(o.old, o.newKey.Public(), start)
	check(t, err)
	one := 1
	state := func(s kiosk.State) kiosk.Record {
		return kiosk.Record{Renewal: id, State: s.String(), Time: start.Unix()}
	}
	event := func(e string) kiosk.Record { return kiosk.Record{Renewal: id, Event: e, Time: start.Unix()} }
	try, result := event(kiosk.EventPINTry), event(kiosk.EventPINResult)
	result.Tries = &one
	evidence, signed := event(kiosk.EventEvidence), state(kiosk.RequestSigned)
	evidence.Sealed, signed.Request = sealed, request
	read := state(kiosk.TokenRead)
	read.Ends = o.old.NotAfter.Unix()
	receipted, issued, loaded := state(kiosk.Receipted), state(kiosk.Issued), state(kiosk.Loaded)
	receipted.Receipt, receipted.ReceiptSeq = o.receipt(t, receipt.Recorded, request, firstReceipt), firstReceipt
	issued.Certificate = cert.Raw
	loaded.Receipt, loaded.ReceiptSeq = o.receipt(t, receipt.Accepted, request, firstReceipt+1), firstReceipt+1
	return []kiosk.Record{
		read, state(kiosk.IdentityVerified), state(kiosk.OfficerApproved), try, result, state(kiosk.KeyReady),
		evidence, signed, state(kiosk.Stored), receipted, state(kiosk.Delivered), issued, loaded,
	}
}

// The places of records in a renewal.
const (
	atTry, atResult, atEvidence, atSigned, atReceipted, atIssued, atLoaded = 3, 4, 6, 7, 9, 11, 12
)

// hashOf is the hash of a record in these tests' journal.
func hashOf(seq int) [32]byte { return sha256.Sum256(fmt.Appendf(nil, "record %d", seq)) }

func audit(o Options, records []kiosk.Record) Report {
	a := New(o)
	for i, r := range records {
		a.Record(uint64(i+1), hashOf(i+1), r)
	}
	return a.Report()
}

func TestGoodJournal(t *testing.T) {
	o := newOffice(t)
	records := append(o.renewal(t, kiosk.RenewalID{1}, 1), o.renewal(t, kiosk.RenewalID{2}, 3)...)
	got := audit(o.options, records)
	if len(got.Findings) != 0 {
		t.Errorf("findings %v", got.Findings)
	}
	want := Report{Records: 26, Renewals: 2, Requests: 2, Attestations: 2, Receipts: 4, Certificates: 2}
	got.Findings = nil
	if got.Records != want.Records || got.Renewals != want.Renewals || got.Requests != want.Requests ||
		got.Attestations != want.Attestations || got.Receipts != want.Receipts || got.Certificates != want.Certificates {
		t.Errorf("report %+v, want %+v", got, want)
	}
}

var (
	forked   = kiosk.Record{Event: kiosk.EventFork, Foreign: &kiosk.LogEnd{Journal: [8]byte{1}, Seq: 7, Hash: [32]byte{2}}, Time: start.Unix()}
	clearing = kiosk.Record{Event: kiosk.EventForkCleared, Foreign: forked.Foreign, Officer: make([]byte, sha256.Size), Time: start.Unix()}
)

func begun(n byte) kiosk.Record {
	return kiosk.Record{Renewal: kiosk.RenewalID{n}, State: kiosk.TokenRead.String(), Time: start.Unix()}
}

// Each row breaks one thing, and exactly its rule says so.
func TestFindings(t *testing.T) {
	o := newOffice(t)
	stranger := newOffice(t)
	id := kiosk.RenewalID{1}
	tests := []struct {
		name   string
		breaks func(r []kiosk.Record) []kiosk.Record
		rule   string
	}{
		{"request changed", func(r []kiosk.Record) []kiosk.Record {
			r[atSigned].Request[len(r[atSigned].Request)/2] ^= 1 // the last bytes are certificates nobody needs
			return r[:atReceipted]
		}, RuleRequest},
		{"another end of the old certificate", func(r []kiosk.Record) []kiosk.Record {
			r[0].Ends++
			return r
		}, RuleRequest},
		{"request of another renewal", func(r []kiosk.Record) []kiosk.Record {
			r[atSigned].Request = o.request(t, kiosk.RenewalID{9}, sha256.Sum256(r[atEvidence].Sealed))
			return r[:atReceipted]
		}, RuleRequest},
		{"two requests", func(r []kiosk.Record) []kiosk.Record {
			again := r[atSigned]
			again.Request = o.request(t, id, sha256.Sum256(r[atEvidence].Sealed))
			return append(r[:atReceipted:atReceipted], again)
		}, RuleTwice},
		{"evidence changed", func(r []kiosk.Record) []kiosk.Record {
			r[atEvidence].Sealed = []byte("other evidence")
			return r
		}, RuleEvidence},
		{"receipt changed", func(r []kiosk.Record) []kiosk.Record {
			r[atReceipted].Receipt = "KR1:" + strings.Repeat("0", 20)
			return r
		}, RuleReceipt},
		{"receipt by another kiosk's key", func(r []kiosk.Record) []kiosk.Record {
			r[atReceipted].Receipt = stranger.receipt(t, receipt.Recorded, r[atSigned].Request, 1)
			return r
		}, RuleReceipt},
		{"receipt for another request", func(r []kiosk.Record) []kiosk.Record {
			r[atReceipted].Receipt = o.receipt(t, receipt.Recorded, []byte("other"), 1)
			return r
		}, RuleReceipt},
		{"receipt says accepted too early", func(r []kiosk.Record) []kiosk.Record {
			r[atReceipted].Receipt = o.receipt(t, receipt.Accepted, r[atSigned].Request, 1)
			return r
		}, RuleReceipt},
		{"receipt without a request", func(r []kiosk.Record) []kiosk.Record {
			return append(r[:atSigned:atSigned], r[atReceipted])
		}, RuleReceipt},
		{"a receipt is missing", func(r []kiosk.Record) []kiosk.Record {
			r[atLoaded].Receipt, r[atLoaded].ReceiptSeq = o.receipt(t, receipt.Accepted, r[atSigned].Request, 3), 3
			return r
		}, RuleGap},
		{"checkpoint of another past", func(r []kiosk.Record) []kiosk.Record {
			r[atReceipted].Receipt = o.receiptAt(t, receipt.Recorded, r[atSigned].Request, 1, atReceipted, hashOf(99))
			return r
		}, RuleHead},
		{"checkpoint from before the request", func(r []kiosk.Record) []kiosk.Record {
			r[atReceipted].Receipt = o.receiptAt(t, receipt.Recorded, r[atSigned].Request, 1, atSigned, hashOf(atSigned))
			return r
		}, RuleHead},
		{"checkpoint of the receipt itself", func(r []kiosk.Record) []kiosk.Record {
			r[atReceipted].Receipt = o.receiptAt(t, receipt.Recorded, r[atSigned].Request, 1, atReceipted+1, hashOf(atReceipted+1))
			return r
		}, RuleHead},
		{"certificate for another key", func(r []kiosk.Record) []kiosk.Record {
			cert, err := o.pki.Twin(o.old, o.oldKey.Public(), start)
			check(t, err)
			r[atIssued].Certificate = cert.Raw
			return r
		}, RuleCertificate},
		{"certificate by another CA", func(r []kiosk.Record) []kiosk.Record {
			other, err := o.pki.Impostor()
			check(t, err)
			cert, err := other.Twin(o.old, o.newKey.Public(), start)
			check(t, err)
			r[atIssued].Certificate = cert.Raw
			return r
		}, RuleCertificate},
		{"two PIN tries for one entry", func(r []kiosk.Record) []kiosk.Record {
			r[atResult] = r[atTry]
			return append(r[:atResult+1:atResult+1], kiosk.Record{Renewal: id, Event: kiosk.EventPINResult, Time: start.Unix()})
		}, RulePIN},
		{"PIN try cut off", func(r []kiosk.Record) []kiosk.Record { return append(r[:atResult:atResult], r[atResult+1:]...) }, NoteOutcome},
		{"a certificate that another kiosk got", func(r []kiosk.Record) []kiosk.Record {
			r[atIssued].Request, r[atIssued].Time = r[atSigned].Request, start.AddDate(0, 2, 0).Unix()
			r[atLoaded].Receipt, r[atLoaded].ReceiptSeq = o.receipt(t, receipt.Accepted, r[atSigned].Request, 1), 1
			return append(r[atIssued:], kiosk.Record{Event: kiosk.EventStart, Time: start.Unix()})
		}, NoteClock},
		{"the same without a request", func(r []kiosk.Record) []kiosk.Record { return r[atIssued:atLoaded] }, RuleCertificate},
		{"another log at the centre", func(r []kiosk.Record) []kiosk.Record {
			return slices.Concat(r[:1], []kiosk.Record{forked}, r[1:], []kiosk.Record{clearing})
		}, NoteFork},
		{"PIN of an officer who clears it cut off", func(r []kiosk.Record) []kiosk.Record {
			return append(r, kiosk.Record{Event: kiosk.EventPINTry, Time: start.Unix()}, kiosk.Record{Event: kiosk.EventStart, Time: start.Unix()})
		}, NoteOutcome},
		{"cleared what was no alarm", func(r []kiosk.Record) []kiosk.Record { return append(r, clearing) }, RuleFork},
		{"clock backwards", func(r []kiosk.Record) []kiosk.Record {
			r[0].Time += 60
			return r
		}, NoteClock},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := audit(o.options, tt.breaks(o.renewal(t, id, 1)))
			if len(got.Findings) != 1 || got.Findings[0].Rule != tt.rule {
				t.Fatalf("findings %v, want one %s", got.Findings, tt.rule)
			}
			if note := strings.HasPrefix(tt.rule, "NOTE-"); note != (got.Failed() == 0) {
				t.Errorf("%d failed", got.Failed())
			}
		})
	}
	for name, more := range map[string][]kiosk.Record{
		"cleared by nobody":          {forked, {Event: kiosk.EventForkCleared, Foreign: forked.Foreign, Time: start.Unix()}},
		"cleared another log":        {forked, {Event: kiosk.EventForkCleared, Foreign: &kiosk.LogEnd{Seq: 8}, Officer: clearing.Officer, Time: start.Unix()}},
		"began with two":             {forked, begun(7), begun(8)},
		"began with one after start": {forked, {Event: kiosk.EventStart, Time: start.Unix()}, begun(7)},
	} {
		t.Run(name, func(t *testing.T) {
			got := audit(o.options, append(o.renewal(t, id, 1), more...))
			if len(got.Findings) != 2 || got.Findings[0].Rule != NoteFork || got.Findings[1].Rule != RuleFork || got.Failed() != 1 {
				t.Errorf("findings %v", got.Findings)
			}
		})
	}
	t.Run("officer not on the list", func(t *testing.T) {
		options := o.options
		options.Officer = cmp.OfficerList(stranger.officer)
		got := audit(options, o.renewal(t, id, 1))
		if len(got.Findings) != 1 || got.Findings[0].Rule != RuleAttestation {
			t.Errorf("findings %v", got.Findings)
		}
	})
	t.Run("kiosk of another CA", func(t *testing.T) {
		got := audit(o.options, stranger.renewal(t, id, 1)[:atReceipted])
		if len(got.Findings) != 1 || got.Findings[0].Rule != RuleRequest {
			t.Errorf("findings %v", got.Findings)
		}
	})
}

// What was stored on a clock that nobody had proven is judged by no date; the same on
// a proven one is found.
func TestUnprovenClock(t *testing.T) {
	o := newOffice(t)
	for _, clock := range []string{kiosk.ClockUnproven, kiosk.ClockTrusted} {
		for _, at := range []time.Time{time.Unix(0, 0), start.AddDate(30, 0, 0)} {
			records := o.renewal(t, kiosk.RenewalID{1}, 1)
			for i := range records {
				records[i].Time, records[i].Clock = at.Unix(), clock
			}
			got := audit(o.options, records)
			if bad := len(got.Findings) != 0; bad != (clock == kiosk.ClockTrusted) {
				t.Errorf("%s at %v: %v", clock, at, got.Findings)
			}
		}
	}
}
