package kiosk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"sync"
	"time"

	"mohr.internal/display"
	"mohr.internal/kiosk/cmp"
	"mohr.internal/kiosk/receipt"
)

// store proves that the request is on disk, then signs and keeps the receipt. It
// is also how a renewal is finished after a power cut.
func (k *Kiosk) store(id RenewalID, message []byte) error {
	n, ok := k.Ledger.Renewal(id)
	if !ok {
		return refuse(RuleStoreFailed, "renewal %v is not in the ledger", id)
	}
	if n.State == RequestSigned {
		if err := k.Ledger.readBack(id, message); err != nil {
			return err
		}
		if err := k.Ledger.advance(id, Stored, nil); err != nil {
			return err
		}
	}
	text, seq, err := k.receipt(n, receipt.Recorded)
	if err != nil {
		return err
	}
	err = k.Ledger.advance(id, Receipted, func(r *Record) { r.Receipt, r.ReceiptSeq = text, seq })
	k.Outbox.Poke()
	return err
}

// receipt signs one statement of this kiosk about a renewal.
func (k *Kiosk) receipt(n Renewal, state receipt.State) (text string, seq uint64, err error) {
	r := receipt.Receipt{
		Time: k.Clock.Now(), Clock: receiptClock(k.Clock.Quality()), State: state, Tracking: trackingNumber(n.ID),
		Request: sha256.Sum256(n.Request), Seq: k.Ledger.nextReceipt(), Kiosk: k.Number,
	}
	copy(r.OldCert[:], n.OldCert)
	r.HeadSeq, r.Head = k.Ledger.checkpoint()
	signed, err := r.Sign(k.Keys.Receipt, k.Rand)
	if err != nil {
		return "", 0, err
	}
	return signed.Text, r.Seq, nil
}

func receiptClock(quality string) receipt.Clock {
	switch quality {
	case ClockTrusted:
		return receipt.ClockTrusted
	case ClockKept:
		return receipt.ClockKept
	}
	return receipt.ClockUnproven
}

// trackingNumber is nine digits that a person can read aloud.
func trackingNumber(id RenewalID) uint64 {
	return 100_000_000 + binary.BigEndian.Uint64(id[:8])%900_000_000
}

// Tracking is the number on the holder's receipt, as people read it.
func (n Renewal) Tracking() string { return receipt.FormatTracking(trackingNumber(n.ID)) }

// deliver shows the receipt and waits for the CA. It returns true when the
// certificate is there and the token still in, false when the holder has seen the
// receipt and goes. The token may be pulled at any time, so ctx is the station's.
func (k *Kiosk) deliver(ctx context.Context, c *citizen, id RenewalID) (issued bool, err error) {
	defer k.Outbox.unpoll(id)
	poll := poller{id: id}
	for {
		ledgerChanged := k.Ledger.Changed()
		d, outboxChanged := k.Outbox.look(id)
		others, presenceChanged := k.presence.look(RoleCitizen)
		n, _ := k.Ledger.Renewal(id)
		here := k.presence.here(c.device.ID)
		idle := time.Duration(0)
		if !here { // nobody can sign a poll any more, and nobody may be there
			k.Outbox.unpoll(id)
			idle = k.Idle
		}
		switch {
		case k.Ledger.Failed() != nil:
			return false, k.Ledger.Failed()
		case n.State == Refused:
			return false, &Refusal{Rule: n.Rule}
		case n.State == Issued && here:
			return true, nil
		case !here && len(others) > 0:
			return false, nil // the next person is there
		}
		if here && c.loggedIn && n.State == Delivered && d.answer.Kind == cmp.Waiting {
			poll.schedule(k.Outbox, d)
		}
		wake, release := anyOf(ledgerChanged, outboxChanged, presenceChanged, poll.due)
		choice, _, err := k.stage.await(ctx, receiptPage(n, n.Tracking(), deliveryStatus(n, d, here), display.TokenFree), wake, idle)
		release()
		if ruleOf(err) == RuleIdle {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if choice != "" {
			return false, nil
		}
		if err := poll.send(ctx, k, c, n); err != nil {
			k.Log.Info("no poll", "renewal", id, "err", err) // the token was pulled: the request itself is sent again
			k.Outbox.unpoll(id)
		}
	}
}

// deliveryStatus is the sentence under the receipt.
func deliveryStatus(n Renewal, d delivery, here bool) string {
	switch {
	case !here:
		return "receipt.free"
	case n.State == Delivered:
		return "receipt.waiting"
	case d.trouble != "":
		return "receipt.offline"
	}
	return "receipt.recorded"
}

// poller asks a waiting CA again, in its own time, while the token is in: a
// pollReq is signed by the old key (RFC 9483, 4.4) and answers the last answer, so
// there is one at a time.
type poller struct {
	id    RenewalID
	nonce []byte // of the answer that the next poll answers
	due   chan struct{}
	count int
}

// schedule starts the CA's waiting time for an answer not yet polled for.
func (p *poller) schedule(o *Outbox, d delivery) {
	if bytes.Equal(p.nonce, d.nonce) {
		return
	}
	p.nonce = d.nonce
	due := make(chan struct{})
	p.due = due
	o.park(p.id)
	time.AfterFunc(max(d.answer.CheckAfter, time.Second), func() { close(due) })
}

// send signs a poll if one is due.
func (p *poller) send(ctx context.Context, k *Kiosk, c *citizen, n Renewal) error {
	select {
	case <-p.due:
		p.due = nil
	default:
		return nil
	}
	old, err := c.session.Signer(ctx, c.spki())
	if err != nil {
		return err
	}
	nonce := make([]byte, 16)
	if _, err := io.ReadFull(k.Rand, nonce); err != nil {
		return err
	}
	der, err := cmp.PollReq{
		Signer: old, SignerCert: c.cert, Chain: c.chain, TransactionID: n.ID[:], SenderNonce: nonce, RecipNonce: p.nonce,
		Time: k.Clock.Now(), Recipient: k.Recipient,
	}.Build(k.Rand)
	if err != nil {
		return err
	}
	p.count++
	k.Outbox.poll(p.id, p.count, der)
	return nil
}

// anyOf is closed when one of the channels is. release ends the waiting.
func anyOf(channels ...<-chan struct{}) (wake <-chan struct{}, release func()) {
	out, stop := make(chan struct{}), make(chan struct{})
	var once sync.Once
	for _, c := range channels {
		if c == nil {
			continue
		}
		go func() {
			select {
			case <-c:
				once.Do(func() { close(out) })
			case <-stop:
			}
		}()
	}
	return out, func() { close(stop) }
}
