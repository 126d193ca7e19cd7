package kiosk

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Journal keeps opaque bytes for ever, in order. Append returns only when the
// bytes survive a power cut.
type Journal interface {
	Append(payload []byte) (seq uint64, err error)
	Read(seq uint64) ([]byte, error) // from disk, not from memory
	Replay(fn func(seq uint64, payload []byte) error) error
	Head() (seq uint64, hash [32]byte) // the last record; its hash covers all before
	Free() int64                       // room left, in bytes
	Fill() float64                     // used part of the quota, 0 to 1
}

// How well the time is known, in the words of the receipt.
const (
	ClockUnproven = "unproven" // not compared with anything since the kiosk started
	ClockKept     = "kept"     // compared earlier and kept by a battery since
	ClockTrusted  = "trusted"  // compared with a trusted time since the kiosk started
)

// Clock tells the time and how well it is known, one of the words above.
type Clock interface {
	Now() time.Time
	Quality() string
}

// ProvableClock is a Clock that can be compared with another one: at some time during
// the last so long it was told.
type ProvableClock interface {
	Clock
	Prove(told time.Time, last time.Duration)
}

// Renewal is the state of one renewal as the journal tells it.
type Renewal struct {
	ID          RenewalID
	State       State
	Rule        string
	Trouble     string // rule of the last thing that went wrong in this state, "" for none
	Updated     time.Time
	Since       time.Time // when it came into this state
	Clock       string    // how well Since is known
	Ends        time.Time // the old certificate's validity; zero if not known
	OldCert     []byte
	KeyID       []byte
	NewKey      []byte
	Request     []byte // nil once the renewal has ended
	Receipt     string
	ReceiptSeq  uint64
	Certificate []byte // nil once it is on the token
	Chain       [][]byte
	Answer      []byte // the CA's last good answer, while a certConf is owed
	Confirm     []byte // certConf to deliver
	Confirmed   bool   // no certConf is owed
	Elsewhere   bool   // another kiosk put the certificate on the token
	loading     bool   // it was begun here
	seq         uint64 // journal sequence of Request
	touched     uint64 // and of the newest record
}

// ErrTransition is a change of state that the table does not allow.
var ErrTransition = errors.New("kiosk: change of state not allowed")

// Ledger is the kiosk's memory of all renewals: the journal read into a map, and
// the only writer of the journal. It is safe for concurrent use.
type Ledger struct {
	journal Journal
	clock   Clock

	mu         sync.Mutex
	renewals   map[RenewalID]*Renewal
	open       int64 // renewals that have records to come
	receiptSeq uint64
	proven     int64 // the latest time of a record whose clock was proven
	fork       fork
	failed     error // the journal refused an append; nothing more is promised
	changed    chan struct{}
}

// OpenLedger replays the journal. A record that does not parse or that changes a
// state in a way the table forbids is an error that names its sequence number.
func OpenLedger(j Journal, clock Clock) (*Ledger, error) {
	l := &Ledger{journal: j, clock: clock, renewals: map[RenewalID]*Renewal{}, changed: make(chan struct{})}
	err := j.Replay(func(seq uint64, payload []byte) error {
		r, err := ParseRecord(payload)
		if err != nil {
			return fmt.Errorf("journal record %d: %w", seq, err)
		}
		if err := l.apply(seq, r); err != nil {
			return fmt.Errorf("journal record %d: %w", seq, err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("kiosk: replay: %w", err)
	}
	return l, nil
}

// apply brings one record into the map. It is the only place where a Renewal changes.
func (l *Ledger) apply(seq uint64, r Record) error {
	if r.ReceiptSeq > l.receiptSeq {
		l.receiptSeq = r.ReceiptSeq
	}
	if r.Clock == ClockTrusted {
		l.proven = max(l.proven, r.Time)
	}
	if r.Renewal.Zero() {
		l.fork.apply(r)
		return nil
	}
	n := l.renewals[r.Renewal]
	if n == nil {
		n = &Renewal{ID: r.Renewal}
	}
	was := n.open()
	to, err := follow(n.State, r)
	if err != nil {
		return err
	}
	if r.State != "" {
		n.State, n.Rule, n.Trouble = to, r.Rule, ""
		n.Since, n.Clock = time.Unix(r.Time, 0).UTC(), r.Clock
	}
	if r.Event == EventBadAnswer || r.Event == EventStopped || r.Event == EventConfirmRefused {
		n.Trouble = r.Rule
	}
	n.loading = n.loading || r.Event == EventLoadIntent
	n.Elsewhere = n.Elsewhere || r.Event == EventElsewhere
	n.Updated, n.touched = time.Unix(r.Time, 0).UTC(), seq
	if r.Ends != 0 {
		n.Ends = time.Unix(r.Ends, 0).UTC()
	}
	take(&n.OldCert, r.OldCert)
	take(&n.KeyID, r.KeyID)
	take(&n.NewKey, r.NewKey)
	take(&n.Certificate, r.Certificate)
	take(&n.Confirm, r.Confirm)
	take(&n.Answer, r.Answer)
	if r.Request != nil {
		n.Request, n.seq = r.Request, seq
	}
	if r.Chain != nil {
		n.Chain = r.Chain
	}
	if r.Receipt != "" {
		n.Receipt, n.ReceiptSeq = r.Receipt, r.ReceiptSeq
	}
	if r.Confirmed {
		n.Confirmed, n.Confirm, n.Answer = true, nil, nil
	}
	if (n.State.Ended() || n.Elsewhere) && n.Confirm == nil { // a year of ended renewals stays small
		n.Request, n.Chain, n.Answer, n.Confirm = nil, nil, nil, nil
		if n.State == Loaded {
			n.Certificate = nil // of a refused one it says that there was one
		}
	}
	l.renewals[r.Renewal] = n
	switch is := n.open(); {
	case is && !was:
		l.open++
	case was && !is:
		l.open--
	}
	return nil
}

// follow is the state after a record, or why the record may not follow.
func follow(from State, r Record) (State, error) {
	if r.State == "" {
		if from == None {
			return None, fmt.Errorf("%w: event %s before any state in renewal %v", ErrTransition, r.Event, r.Renewal)
		}
		return from, nil
	}
	to, err := ParseState(r.State)
	if err == nil && !allowed(from, to) {
		err = fmt.Errorf("%w: %v to %v in renewal %v", ErrTransition, from, to, r.Renewal)
	}
	return to, err
}

func take(dst *[]byte, src []byte) {
	if src != nil {
		*dst = src
	}
}

// advance changes the state of a renewal and makes it durable; there is no other
// way to change one. fill may add data to the record.
func (l *Ledger) advance(id RenewalID, to State, fill func(*Record)) error {
	r := Record{Renewal: id, State: to.String()}
	if fill != nil {
		fill(&r)
	}
	return l.append(r)
}

// note journals an event of a renewal, or of the station when id is zero.
func (l *Ledger) note(id RenewalID, event string, fill func(*Record)) error {
	r := Record{Renewal: id, Event: event}
	if fill != nil {
		fill(&r)
	}
	return l.append(r)
}

// append checks, writes, and only then believes. What is written can be replayed:
// a record that could not be read back, or not follow, is refused before. After a
// failed write nothing is written any more: the journal must be reopened and
// replayed.
func (l *Ledger) append(r Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return l.failed
	}
	r.Time, r.Clock = l.clock.Now().Unix(), l.clock.Quality()
	b, err := r.Marshal()
	if err != nil {
		return err
	}
	if r, err = ParseRecord(b); err != nil { // own copy, too: callers may reuse their slices
		return err
	}
	if !r.Renewal.Zero() {
		from := None
		if n := l.renewals[r.Renewal]; n != nil {
			from = n.State
		}
		if _, err := follow(from, r); err != nil {
			return err
		}
	}
	defer l.wake()
	seq, err := l.journal.Append(b)
	if err != nil {
		l.failed = storeFailure(err)
		return l.failed
	}
	return l.apply(seq, r)
}

// wake tells who waits for a change; l.mu is held.
func (l *Ledger) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// storeFailure keeps the reason where the journal gives one in words for people.
func storeFailure(err error) error {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	return &Refusal{Rule: RuleStoreFailed, Err: err}
}

// Failed is the first append that failed, or nil.
func (l *Ledger) Failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// Proven is the latest time that a proven clock has shown: it is not earlier now. It
// is 1970 where no clock was ever proven.
func (l *Ledger) Proven() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Unix(l.proven, 0)
}

// Changed returns a channel that is closed at the next record, or when the journal
// fails.
func (l *Ledger) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// Renewal returns a copy of one renewal.
func (l *Ledger) Renewal(id RenewalID) (Renewal, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.renewals[id]
	if n == nil {
		return Renewal{}, false
	}
	return *n, true
}

// All returns copies of the renewals for which keep is true, oldest change first, in
// the journal's order: the clock may have been set meanwhile.
func (l *Ledger) All(keep func(Renewal) bool) []Renewal {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Renewal
	for _, n := range l.renewals {
		if keep(*n) {
			out = append(out, *n)
		}
	}
	slices.SortFunc(out, func(a, b Renewal) int { return cmp.Compare(a.touched, b.touched) })
	return out
}

// nextReceipt is the number of the next receipt: monotonic for the kiosk's life.
func (l *Ledger) nextReceipt() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.receiptSeq + 1
}

// checkpoint is the journal's last record now, for a receipt. Whoever takes away
// what is in the journal up to it cannot take it out of the receipt, too.
func (l *Ledger) checkpoint() (seq uint64, hash [16]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq, all := l.journal.Head()
	return seq, [16]byte(all[:16])
}

// openFor is the renewal of this certificate, or the one that this certificate came
// from, that has a request and has not ended, if any: there is never a second one
// beside it.
func (l *Ledger) openFor(cert []byte) (Renewal, bool) {
	hash := sha256.Sum256(cert)
	all := l.All(func(n Renewal) bool {
		return n.State.Signed() && !n.Elsewhere && (bytes.Equal(n.OldCert, hash[:]) || bytes.Equal(n.Certificate, cert))
	})
	if len(all) == 0 {
		return Renewal{}, false
	}
	return all[len(all)-1], true
}

// rejected says whether the last renewal of this certificate was refused by the CA.
func (l *Ledger) rejected(oldCert []byte) bool {
	all := l.All(func(n Renewal) bool { return n.State.Ended() && bytes.Equal(n.OldCert, oldCert) })
	return len(all) > 0 && all[len(all)-1].Rule == RuleCARejected
}

// unfinishedKey is the CKA_ID announced by the last renewal of this certificate
// that ended without a certificate. A new attempt takes it up again, so a token
// does not fill with keys nobody uses.
func (l *Ledger) unfinishedKey(oldCert []byte) []byte {
	all := l.All(func(n Renewal) bool {
		return n.State.Ended() && n.State != Loaded && n.Certificate == nil && n.KeyID != nil && bytes.Equal(n.OldCert, oldCert)
	})
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1].KeyID
}

// Request reads a renewal's request from disk, also when the renewal has ended.
func (l *Ledger) Request(id RenewalID) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.renewals[id]
	if n == nil || n.seq == 0 {
		return nil, fmt.Errorf("kiosk: no request of renewal %v in the journal", id)
	}
	b, err := l.journal.Read(n.seq)
	if err != nil {
		return nil, err
	}
	r, err := ParseRecord(b)
	return r.Request, err
}

// readBack reads the stored request from disk and compares it with what should be there.
func (l *Ledger) readBack(id RenewalID, want []byte) error {
	got, err := l.Request(id)
	if err != nil {
		return &Refusal{Rule: RuleStoreFailed, Err: err}
	}
	if !bytes.Equal(got, want) {
		return &Refusal{Rule: RuleStoreFailed, Err: fmt.Errorf("kiosk: request of renewal %v differs on disk", id)}
	}
	return nil
}
