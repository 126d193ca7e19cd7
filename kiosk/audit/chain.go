package audit

import (
	"crypto/sha256"
	"fmt"

	"mohr.internal/kiosk/receipt"
)

// Rules by which a receipt and a journal do not belong together. A journal that was
// put back from an image, or whose card forgot what it had acknowledged, is whole in
// itself: only what left the kiosk tells.
const (
	RuleHead = "AUDIT-HEAD" // a receipt's checkpoint is not on the journal's chain
	RuleLost = "AUDIT-LOST" // a receipt that was given is not in the journal
)

// Chain is what is kept of a journal to hold receipts against.
type Chain struct {
	first    uint64 // number of the first record
	heads    [][16]byte
	receipts map[[32]byte]uint64 // records, by the receipt's text
	kiosk    uint32              // as the receipts say; 0 while there is none
}

// Mismatch says why a receipt and a journal do not belong together.
type Mismatch struct {
	Rule   string
	Detail string
	Lost   uint64 // so many records are missing at least; 0 where that cannot be known
}

// Error names the rule.
func (m *Mismatch) Error() string { return m.Rule + ": " + m.Detail }

// Add takes the journal's next record: its number, its hash and, if it has one, its receipt.
func (c *Chain) Add(seq uint64, hash [32]byte, text string) {
	if len(c.heads) == 0 {
		c.first, c.receipts = seq, map[[32]byte]uint64{}
	}
	c.heads = append(c.heads, [16]byte(hash[:16]))
	if text == "" {
		return
	}
	c.receipts[sha256.Sum256([]byte(text))] = seq
	if b, err := receipt.Decode(text); err == nil {
		if r, _, err := receipt.Parse(b); err == nil {
			c.kiosk = r.Kiosk
		}
	}
}

// last is the number of the last record.
func (c *Chain) last() uint64 {
	if len(c.heads) == 0 {
		return 0
	}
	return c.first + uint64(len(c.heads)) - 1
}

// Holds says whether the journal is the one, and all of the one, that this receipt was
// given from; seq is the receipt's own record. given is what text says once it has
// been verified. The error is a *Mismatch.
func (c *Chain) Holds(given receipt.Receipt, text string) (seq uint64, err error) {
	if c.kiosk != 0 && c.kiosk != given.Kiosk {
		return 0, &Mismatch{Rule: RuleLost, Detail: fmt.Sprintf("receipt of kiosk %d, the journal is kiosk %d's", given.Kiosk, c.kiosk)}
	}
	if m := c.head(given); m != nil {
		return 0, m
	}
	seq, ok := c.receipts[sha256.Sum256([]byte(text))]
	if !ok {
		m := &Mismatch{Rule: RuleLost, Detail: fmt.Sprintf("receipt %d is not in the journal, which ends at record %d", given.Seq, c.last())}
		if given.HeadSeq == c.last() {
			m.Lost = 1
		}
		return 0, m
	}
	return seq, nil
}

// head is RuleHead.
func (c *Chain) head(given receipt.Receipt) *Mismatch {
	switch at, last := given.HeadSeq, c.last(); {
	case at == 0: // from before receipts had checkpoints
	case at > last:
		return &Mismatch{Rule: RuleHead, Lost: at + 1 - last, // and the receipt's own record
			Detail: fmt.Sprintf("the receipt's checkpoint is record %d, the journal ends at record %d", at, last)}
	case at < c.first:
		return &Mismatch{Rule: RuleHead, Detail: fmt.Sprintf("the receipt's checkpoint is record %d, the journal begins at record %d", at, c.first)}
	case c.heads[at-c.first] != given.Head:
		return &Mismatch{Rule: RuleHead, Detail: fmt.Sprintf("record %d is %x, the receipt's checkpoint says %x: another past", at, c.heads[at-c.first][:8], given.Head[:8])}
	}
	return nil
}
