package audit

import (
	"errors"
	"testing"

	"mohr.internal/kiosk"
	"mohr.internal/kiosk/receipt"
)

// A receipt with a checkpoint is held against journals that were put back, cut, or
// have another past.
func TestChain(t *testing.T) {
	o := newOffice(t)
	records := o.renewal(t, kiosk.RenewalID{1}, 1)
	request := records[atSigned].Request
	records[atReceipted].Receipt = o.receiptAt(t, receipt.Recorded, request, 1, atReceipted, hashOf(atReceipted)) // record 10
	records[atLoaded].Receipt = o.receiptAt(t, receipt.Accepted, request, 2, atLoaded, hashOf(atLoaded))          // record 13
	if got := audit(o.options, records); len(got.Findings) != 0 {
		t.Fatalf("findings %v", got.Findings)
	}
	journal := func(first, last int) *Chain {
		c := &Chain{}
		for seq := first; seq <= last; seq++ {
			c.Add(uint64(seq), hashOf(seq), records[seq-1].Receipt)
		}
		return c
	}
	other := journal(1, atReceipted)
	for seq := atReceipted + 1; seq <= 20; seq++ {
		other.Add(uint64(seq), hashOf(-seq), "")
	}
	stranger := *journal(1, 13)
	stranger.kiosk = 9
	first, second := records[atReceipted].Receipt, records[atLoaded].Receipt
	old := o.receipt(t, receipt.Recorded, request, 1)
	for _, row := range []struct {
		name  string
		chain *Chain
		text  string
		seq   uint64
		rule  string
		lost  uint64
	}{
		{"whole, first receipt", journal(1, 13), first, 10, "", 0},
		{"whole, second receipt", journal(1, 13), second, 13, "", 0},
		{"put back, first receipt", journal(1, 10), first, 10, "", 0},
		{"put back, second receipt", journal(1, 10), second, 0, RuleHead, 3},
		{"the card forgot one flush", journal(1, 12), second, 0, RuleLost, 1},
		{"the card forgot two", journal(1, 11), second, 0, RuleHead, 2},
		{"empty", journal(1, 0), first, 0, RuleHead, 10},
		{"another past", other, second, 0, RuleHead, 0},
		{"another past behind the checkpoint", other, first, 0, RuleLost, 0},
		{"without its beginning", journal(11, 13), first, 0, RuleHead, 0},
		{"another kiosk", &stranger, first, 0, RuleLost, 0},
		{"without a checkpoint", journal(1, 13), old, 0, RuleLost, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			given, _, err := o.options.Receipts.Verify(row.text)
			check(t, err)
			seq, err := row.chain.Holds(given, row.text)
			if seq != row.seq {
				t.Errorf("record %d, want %d", seq, row.seq)
			}
			var m *Mismatch
			if errors.As(err, &m); (m == nil) != (row.rule == "") || m != nil && (m.Rule != row.rule || m.Lost != row.lost) {
				t.Errorf("%v (%+v), want %q and %d lost", err, m, row.rule, row.lost)
			}
		})
	}
}
