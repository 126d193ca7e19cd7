package kiosk

import (
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"mohr.internal/kiosk/cmp"
)

// Parcel is one CMP message on its way to the CA. One parcel keeps its ID and its
// bytes for ever: a second delivery is the same message.
type Parcel struct {
	ID  string
	DER []byte
}

// Verdict is what became of an answer.
type Verdict struct {
	Done  bool          // the parcel need not be sent again
	After time.Duration // if not Done: not before this has passed
}

// The kinds of parcel, the ends of their IDs.
const (
	parcelRequest = "request"
	parcelConfirm = "confirm"
	parcelPoll    = "poll"
)

// Outbox turns the ledger into parcels and the CA's answers into records. It
// decides alone what an answer means: whoever carries the bytes is not trusted.
type Outbox struct {
	ledger        *Ledger
	anchors       *x509.CertPool
	intermediates []*x509.Certificate
	clock         Clock
	log           *slog.Logger

	mu      sync.Mutex
	polls   map[RenewalID]Parcel // signed while the token is in; not kept over a restart
	status  map[RenewalID]delivery
	begun   map[string]time.Time // by parcel: when its nonce was made, if since the start
	noted   map[badAnswer]bool   // journaled since the start
	changed chan struct{}

	refusals map[RenewalID]int // of certConfs, since the start
}

// badAnswer is journaled once: whoever answers with another lie each time must not
// fill the journal.
type badAnswer struct {
	id   RenewalID
	rule cmp.Rule // "" where the error has none
}

// delivery is what is known about a renewal's way to the CA.
type delivery struct {
	trouble string     // why the last attempt failed, "" if none did
	vain    int        // answers in a row that settled nothing
	answer  cmp.Answer // the last good answer
	nonce   []byte     // senderNonce of that answer
}

// NewOutbox is an outbox over a ledger. anchors and intermediates are the CA
// certificates that an answer must chain to.
func NewOutbox(l *Ledger, anchors *x509.CertPool, intermediates []*x509.Certificate, clock Clock, log *slog.Logger) *Outbox {
	return &Outbox{
		ledger: l, anchors: anchors, intermediates: intermediates, clock: clock, log: log,
		polls: map[RenewalID]Parcel{}, begun: map[string]time.Time{}, status: map[RenewalID]delivery{}, noted: map[badAnswer]bool{},
		changed: make(chan struct{}), refusals: map[RenewalID]int{},
	}
}

// Pending are the parcels that have to reach the CA, oldest first.
func (o *Outbox) Pending() []Parcel {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []Parcel
	for _, n := range o.ledger.All(func(n Renewal) bool { return !n.State.Ended() || n.Confirm != nil }) {
		poll, polling := o.polls[n.ID]
		switch {
		case n.State != Receipted && n.State != Delivered:
		case polling && poll.ID == "": // parked until a poll is due
		case polling:
			out = append(out, poll) // the CA has the request; asking is enough
		default:
			out = append(out, Parcel{ID: n.ID.String() + "." + parcelRequest, DER: n.Request})
		}
		if n.Confirm != nil && o.refusals[n.ID] < maxRefusals {
			out = append(out, Parcel{ID: n.ID.String() + "." + parcelConfirm, DER: n.Confirm})
		}
	}
	return out
}

// Changed returns a channel that is closed when Pending or a status may differ.
func (o *Outbox) Changed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed
}

func (o *Outbox) wake() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// Poke tells waiting goroutines that the ledger has a new record.
func (o *Outbox) Poke() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wake()
}

// Failed notes that an attempt did not reach the CA, or got no CMP message back.
func (o *Outbox) Failed(parcelID, why string) {
	o.log.Debug("delivery failed", "parcel", parcelID, "why", why)
	id, _, err := parseParcelID(parcelID)
	if err != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	d := o.status[id]
	d.trouble = why
	o.status[id] = d
	o.wake()
}

// Answer checks what the CA sent for a parcel and journals what it means.
func (o *Outbox) Answer(parcelID string, der []byte) Verdict {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.wake()
	id, kind, err := parseParcelID(parcelID)
	if err != nil {
		return Verdict{Done: true}
	}
	n, ok := o.ledger.Renewal(id)
	switch {
	case !ok, kind == parcelConfirm && n.Confirm == nil, kind == parcelPoll && o.polls[id].ID != parcelID,
		kind != parcelConfirm && n.State != Receipted && n.State != Delivered:
		return Verdict{Done: true} // settled meanwhile
	}
	expect, err := o.expect(n, kind)
	if err != nil {
		o.log.Error("cannot judge an answer", "parcel", parcelID, "err", err)
		return Verdict{After: o.inVain(id, err.Error())}
	}
	answer, err := expect.Check(der)
	if err != nil {
		return o.bad(n, err)
	}
	o.prove(parcelID, answer)
	if hinders(answer, kind) { // says nothing about the request, and replaces no earlier answer
		if answer.FailInfo&known != 0 && answer.Kind == cmp.Rejected && kind == parcelRequest && n.State == Receipted {
			if err := o.ledger.advance(id, Delivered, func(r *Record) { r.Answer = der }); err != nil {
				o.log.Error("cannot journal the CA's answer", "parcel", parcelID, "err", err)
			}
		}
		return Verdict{After: o.inVain(id, answer.StatusInfo.String())}
	}
	o.status[id] = delivery{answer: answer, nonce: answer.SenderNonce}
	v, err := o.record(n, kind, answer, der)
	if err != nil {
		o.log.Error("cannot journal the CA's answer", "parcel", parcelID, "err", err)
		return Verdict{After: retryBad}
	}
	return v
}

// expect is what an answer to this parcel must fit.
func (o *Outbox) expect(n Renewal, kind string) (cmp.Expect, error) {
	m, err := cmp.Parse(n.Request)
	if err != nil {
		return cmp.Expect{}, err
	}
	e, err := m.Expect()
	if err != nil {
		return cmp.Expect{}, err
	}
	o.believe(&e)
	var later []byte
	switch kind {
	case parcelPoll:
		e.Sent, later = cmp.SentPollReq, o.polls[n.ID].DER
	case parcelConfirm:
		e.Sent, later = cmp.SentCertConf, n.Confirm
	default:
		return e, nil
	}
	if m, err = cmp.Parse(later); err != nil {
		return cmp.Expect{}, err
	}
	e.Nonce = m.SenderNonce()
	return e, nil
}

// believe adds whom and what to believe, and now. On an unproven clock the CA's own
// signed time counts, but nothing before the last time that this kiosk has proven.
func (o *Outbox) believe(e *cmp.Expect) {
	e.Anchors, e.Intermediates, e.Time, e.Skew = o.anchors, o.intermediates, o.clock.Now(), 5*time.Minute
	e.TimeUnproven, e.Earliest = o.clock.Quality() != ClockTrusted, o.ledger.Proven()
}

// bad keeps an answer away from everything; it is journaled once per rule.
func (o *Outbox) bad(n Renewal, err error) Verdict {
	o.log.Warn("answer refused", "renewal", n.ID, "err", err)
	after := o.inVain(n.ID, RuleCAAnswer)
	one := badAnswer{id: n.ID}
	var broken *cmp.CheckError
	if errors.As(err, &broken) {
		one.rule = broken.Rule
	}
	if o.noted[one] {
		return Verdict{After: after}
	}
	o.noted[one] = true
	jerr := o.ledger.remark(n.ID, EventBadAnswer, func(r *Record) { r.Rule, r.Notes = RuleCAAnswer, []string{clip(err.Error())} })
	if jerr != nil {
		o.log.Error("cannot journal a bad answer", "err", jerr)
	}
	return Verdict{After: after}
}

// begin notes that the nonce of a renewal's request is being made.
func (o *Outbox) begin(id RenewalID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.begun[id.String()+"."+parcelRequest] = o.clock.Now()
}

// prove compares the clock with the CA's, where the answer proves when it was made:
// after our nonce, which is younger than this program, and before now.
func (o *Outbox) prove(parcelID string, a cmp.Answer) {
	clock, can := o.clock.(ProvableClock)
	begun, ours := o.begun[parcelID]
	if can && ours && a.Kind != cmp.Hint && !a.Time.IsZero() {
		delete(o.begun, parcelID)
		clock.Prove(a.Time, o.clock.Now().Sub(begun))
	}
}

// inVain notes an answer that settled nothing, and says how long to wait.
func (o *Outbox) inVain(id RenewalID, why string) time.Duration {
	d := o.status[id]
	d.trouble, d.vain = why, d.vain+1
	o.status[id] = d
	return waitAfter(d.vain)
}

// record journals a good answer and says what to do with the parcel.
func (o *Outbox) record(n Renewal, kind string, a cmp.Answer, der []byte) (Verdict, error) {
	if kind == parcelConfirm {
		// A CA that has the confirmation already may say so by an error (RFC 9810, 5.2.3).
		if a.Kind != cmp.Confirmed && a.FailInfo&cmp.FailCertConfirmed == 0 {
			return o.refused(n, a)
		}
		return Verdict{Done: true}, o.ledger.note(n.ID, EventConfirmed, func(r *Record) { r.Confirmed = true })
	}
	if n.State == Receipted {
		if err := o.ledger.advance(n.ID, Delivered, func(r *Record) { r.Answer = der }); err != nil {
			return Verdict{}, err
		}
	}
	switch a.Kind {
	case cmp.Issued:
		delete(o.polls, n.ID)
		return Verdict{Done: true}, o.ledger.advance(n.ID, Issued, func(r *Record) {
			r.Certificate, r.Confirmed, r.Answer = a.Cert.Raw, a.ImplicitConfirmed, der
			for _, c := range a.Chain {
				r.Chain = append(r.Chain, c.Raw)
			}
		})
	case cmp.Rejected:
		delete(o.polls, n.ID)
		return Verdict{Done: true}, o.ledger.advance(n.ID, Refused, func(r *Record) {
			r.Rule, r.Notes = RuleCARejected, []string{clip(a.StatusInfo.String())}
		})
	case cmp.Waiting:
		if kind == parcelPoll {
			o.polls[n.ID] = Parcel{} // the next poll is a new message
			return Verdict{Done: true}, nil
		}
		return Verdict{After: max(a.CheckAfter, retryWaiting)}, nil
	}
	return Verdict{}, fmt.Errorf("kiosk: answer of kind %v to a %s", a.Kind, kind)
}

// hinders says whether an answer only tells that there is none: an unprotected error
// anybody may have made, or a refusal that says nothing about what was sent.
func hinders(a cmp.Answer, kind string) bool {
	says := passing
	if kind == parcelConfirm {
		says &^= known // to a certConf that is an answer: no
	}
	return a.Kind == cmp.Hint || a.Kind == cmp.Rejected && a.FailInfo&says != 0
}

// passing are refusals that say nothing about the request: the CA knows it
// already or is unwell, and is asked again.
const passing = known | cmp.FailSystemUnavail | cmp.FailSystemFailure

// known are refusals by which the CA says, under its signature, that it has the
// request: it is delivered, and its answer was lost. Asking again fetches it.
const known = cmp.FailTransactionIDInUse | cmp.FailDuplicateCertReq

// poll hands over a pollReq that was signed while the token is in.
func (o *Outbox) poll(id RenewalID, n int, der []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.polls[id] = Parcel{ID: fmt.Sprintf("%v.%s.%d", id, parcelPoll, n), DER: der}
	o.begun[o.polls[id].ID] = o.clock.Now()
	o.wake()
}

// park holds the request back while the token is in and the CA waits.
func (o *Outbox) park(id RenewalID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.polls[id] = Parcel{}
	o.wake()
}

// unpoll goes back to the request itself: the token is out.
func (o *Outbox) unpoll(id RenewalID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, polling := o.polls[id]; polling {
		delete(o.polls, id)
		o.wake()
	}
}

// look returns what is known about a delivery and a channel for the next change.
func (o *Outbox) look(id RenewalID) (delivery, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.status[id], o.changed
}

// parseParcelID reads what Pending and poll write, and nothing else.
func parseParcelID(s string) (id RenewalID, kind string, err error) {
	name, rest, _ := strings.Cut(s, ".")
	kind, number, numbered := strings.Cut(rest, ".")
	known := kind == parcelRequest || kind == parcelConfirm || kind == parcelPoll && number != ""
	b, err := hex.DecodeString(name)
	if err != nil || len(b) != len(id) || !known || numbered != (kind == parcelPoll) || name != RenewalID(b).String() {
		return id, "", fmt.Errorf("kiosk: no parcel %.80q", s)
	}
	return RenewalID(b), kind, nil
}

func clip(s string) string {
	const limit = 300
	if len(s) > limit {
		return s[:limit]
	}
	return s
}
