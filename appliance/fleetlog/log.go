// Package fleetlog shows kioskd's journal to the fleet: it makes one signed entry
// of each record, with the record itself sealed to the centre, and a sealed pick-up
// of each record that tells of an issued certificate.
//
// It is the only place that decides what of a record is public: identifiers, states,
// rules, times and hashes (see entry.Public), never a name, a national ID, a
// certificate or DER.
//
// Not here: the socket (appliance/fleetlink), and what the kiosk does about a fork.
package fleetlog

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"filippo.io/age"

	"mohr.internal/appliance/fleet/entry"
	"mohr.internal/appliance/fleetlink"
	"mohr.internal/appliance/journal"
	"mohr.internal/kiosk"
)

// Journal is what is shown; *journal.Journal is one.
type Journal interface {
	ID() [8]byte
	Head() (seq uint64, hash [32]byte)
	Read(seq uint64) (journal.Record, error)
}

// Options of a Log. All fields but Open and the functions at the end are needed.
type Options struct {
	Kiosk      string
	Journal    Journal
	Changed    func() <-chan struct{} // closed when the journal has grown or a fork was cleared
	Recipients []string               // age recipients of the centre, as in the profile
	Key        crypto.Signer          // signs the entries: the receipt key
	Rand       io.Reader
	Open       func(seq uint64) ([]byte, error) // one record in clear; nil: that is how the journal keeps them

	Request func(id kiosk.RenewalID) ([]byte, error) // the stored request of a renewal, for its pick-up; nil: pick-ups are without

	Cleared      func() (theirs entry.Head, ok bool) // the end of a foreign log that an officer left behind
	Acknowledged func(h entry.Head)
	Forked       func(ours, theirs entry.Head)
	Trouble      func(why string)
}

// Log implements fleetlink.Log.
type Log struct {
	opts Options
	to   []age.Recipient

	mu   sync.Mutex
	done Status
}

// Status is what is known of the fleet.
type Status struct {
	Acknowledged entry.Head // how far the centre has the journal; Seq 0: not known
	Trouble      string     // why the fleet cannot be reached; "" if it can
	Fork         *entry.Head
}

var _ fleetlink.Log = (*Log)(nil)

// New returns the view on a journal.
func New(o Options) (*Log, error) {
	if err := entry.CheckKiosk(o.Kiosk); err != nil {
		return nil, fmt.Errorf("fleetlog: %w", err)
	}
	if len(o.Recipients) == 0 {
		return nil, errors.New("fleetlog: no recipients: nobody could open what is published")
	}
	l := &Log{opts: o, done: Status{Trouble: "syncd has not said anything yet"}}
	to, err := age.ParseRecipients(strings.NewReader(strings.Join(o.Recipients, "\n") + "\n"))
	if err != nil {
		return nil, fmt.Errorf("fleetlog: recipients: %w", err)
	}
	l.to = to
	return l, nil
}

// Status is what syncd said last.
func (l *Log) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done
}

// Head implements fleetlink.Log.
func (l *Log) Head() (head entry.Head, cleared *entry.Head) {
	head.Journal = l.opts.Journal.ID()
	head.Seq, head.Hash = l.opts.Journal.Head()
	if l.opts.Cleared != nil {
		if h, ok := l.opts.Cleared(); ok {
			cleared = &h
		}
	}
	return head, cleared
}

// Hash implements fleetlink.Log.
func (l *Log) Hash(seq uint64) (entry.Head, error) {
	r, err := l.opts.Journal.Read(seq)
	if err != nil {
		return entry.Head{}, err
	}
	return entry.Head{Journal: l.opts.Journal.ID(), Seq: r.Seq, Hash: r.Hash}, nil
}

// Changed implements fleetlink.Log.
func (l *Log) Changed() <-chan struct{} { return l.opts.Changed() }

// Acknowledged implements fleetlink.Log.
func (l *Log) Acknowledged(h entry.Head) {
	l.mu.Lock()
	l.done.Acknowledged, l.done.Fork = h, nil
	l.mu.Unlock()
	if l.opts.Acknowledged != nil {
		l.opts.Acknowledged(h)
	}
}

// Forked implements fleetlink.Log. An alarm stops the kiosk, so it is not raised on
// the word of the network: the entry must be signed by this kiosk's own key, which
// a copied or rolled-back card has too, and must not be in the journal.
func (l *Log) Forked(ours entry.Head, last []byte) {
	theirs, err := l.foreign(last)
	if err != nil {
		l.Trouble(fmt.Sprintf("the centre's log of this kiosk: %v", err))
		return
	}
	l.mu.Lock()
	l.done.Fork = &theirs
	l.mu.Unlock()
	if l.opts.Forked != nil {
		l.opts.Forked(ours, theirs)
	}
}

// foreign is the place of an entry that this kiosk's key signed elsewhere.
func (l *Log) foreign(last []byte) (entry.Head, error) {
	e, err := entry.Parse(last)
	if err != nil {
		return entry.Head{}, err
	}
	public, ok := l.opts.Key.Public().(*ecdsa.PublicKey)
	if !ok {
		return entry.Head{}, fmt.Errorf("fleetlog: own key is %T", l.opts.Key.Public())
	}
	if e.Kiosk != l.opts.Kiosk {
		return entry.Head{}, fmt.Errorf("fleetlog: entry of kiosk %s", e.Kiosk)
	}
	if err := e.Verify(public); err != nil {
		return entry.Head{}, err
	}
	if seq, _ := l.opts.Journal.Head(); e.Journal == l.opts.Journal.ID() && e.Seq <= seq {
		ours, err := l.Hash(e.Seq)
		if err != nil {
			return entry.Head{}, err
		}
		if ours == e.Head() {
			return entry.Head{}, fmt.Errorf("fleetlog: record %d is our own", e.Seq)
		}
	}
	return e.Head(), nil
}

// Trouble implements fleetlink.Log.
func (l *Log) Trouble(why string) {
	l.mu.Lock()
	l.done.Trouble = why
	l.mu.Unlock()
	if l.opts.Trouble != nil {
		l.opts.Trouble(why)
	}
}

// Record implements fleetlink.Log.
func (l *Log) Record(seq uint64, after *entry.Head) (fleetlink.Record, error) {
	if after != nil {
		if _, cleared := l.Head(); cleared == nil || *cleared != *after || seq != 1 {
			return fleetlink.Record{}, fmt.Errorf("fleetlog: no officer has cleared %v", *after)
		}
	}
	stored, err := l.opts.Journal.Read(seq)
	if err != nil {
		return fleetlink.Record{}, err
	}
	private, clear := entry.Private{Payload: stored.Payload}, stored.Payload
	if l.opts.Open != nil {
		if clear, err = l.opts.Open(seq); err != nil {
			return fleetlink.Record{}, fmt.Errorf("fleetlog: %w", err)
		}
		private.Record = clear
	}
	r, err := kiosk.ParseRecord(clear)
	if err != nil {
		return fleetlink.Record{}, fmt.Errorf("fleetlog: record %d: %w", seq, err)
	}
	e := entry.Entry{
		Kiosk: l.opts.Kiosk, Journal: l.opts.Journal.ID(), Seq: stored.Seq, Prev: stored.Prev, Hash: stored.Hash,
		Public: public(r), After: after,
	}
	if e.Sealed, err = l.seal(private); err != nil {
		return fleetlink.Record{}, fmt.Errorf("fleetlog: record %d: %w", seq, err)
	}
	var out fleetlink.Record
	if out.Entry, err = e.Marshal(l.opts.Key, l.opts.Rand); err != nil {
		return fleetlink.Record{}, err
	}
	if r.State == kiosk.Issued.String() {
		if out.Key, out.Pickup, err = l.pickup(r); err != nil { // the log goes on; this kiosk has the certificate
			l.Trouble(fmt.Sprintf("no pick-up of record %d: %v", seq, err))
		}
	}
	return out, nil
}

// public is what of a record is no secret.
func public(r kiosk.Record) entry.Public {
	p := entry.Public{Renewal: r.Renewal, Time: r.Time, Clock: r.Clock, State: r.State, Event: r.Event, Rule: r.Rule}
	if r.Request != nil {
		sum := sha256.Sum256(r.Request)
		p.Request = sum[:]
	}
	return p
}

func (l *Log) seal(p entry.Private) ([]byte, error) {
	plain, err := p.Marshal()
	if err != nil {
		return nil, err
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, l.to...)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return sealed.Bytes(), nil
}

// pickup seals the certificate that a record brings to the key it is for.
func (l *Log) pickup(r kiosk.Record) (key entry.KeyID, sealed []byte, err error) {
	cert, err := x509.ParseCertificate(r.Certificate)
	if err != nil {
		return key, nil, fmt.Errorf("issued certificate: %w", err)
	}
	spki := cert.RawSubjectPublicKeyInfo
	p := entry.Pickup{Renewal: r.Renewal, Certificate: r.Certificate, Chain: r.Chain, Request: r.Request}
	if p.Request == nil && l.opts.Request != nil { // else it came from the fleet itself
		if p.Request, err = l.opts.Request(r.Renewal); err != nil {
			return key, nil, err
		}
	}
	if !r.Confirmed {
		p.Answer = r.Answer
	}
	sealed, err = p.Seal(spki, cert.NotAfter.Unix())
	return entry.KeyIDOf(spki), sealed, err
}
