package kiosk

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// paths lead to each state, by allowed changes only.
var paths = map[State][]State{
	None:             nil,
	TokenRead:        {TokenRead},
	IdentityVerified: {TokenRead, IdentityVerified},
	OfficerApproved:  {TokenRead, IdentityVerified, OfficerApproved},
	KeyReady:         {TokenRead, IdentityVerified, OfficerApproved, KeyReady},
	RequestSigned:    {TokenRead, IdentityVerified, OfficerApproved, KeyReady, RequestSigned},
	Stored:           {TokenRead, IdentityVerified, OfficerApproved, KeyReady, RequestSigned, Stored},
	Receipted:        {TokenRead, IdentityVerified, OfficerApproved, KeyReady, RequestSigned, Stored, Receipted},
	Delivered:        {TokenRead, IdentityVerified, OfficerApproved, KeyReady, RequestSigned, Stored, Receipted, Delivered},
	Issued:           {TokenRead, IdentityVerified, OfficerApproved, KeyReady, RequestSigned, Stored, Receipted, Delivered, Issued},
	Loaded:           {TokenRead, IdentityVerified, OfficerApproved, KeyReady, RequestSigned, Stored, Receipted, Delivered, Issued, Loaded},
	Refused:          {TokenRead, Refused},
	Abandoned:        {TokenRead, Abandoned},
}

func openLedger(t *testing.T, j *memJournal) *Ledger {
	t.Helper()
	l, err := OpenLedger(j, still{ClockTrusted})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Every pair of states against the table, which is written out here once more. What
// is forbidden is refused before anything is written.
func TestEveryTransition(t *testing.T) {
	may := map[string]bool{
		"None>TokenRead": true, "TokenRead>IdentityVerified": true, "IdentityVerified>OfficerApproved": true,
		"OfficerApproved>KeyReady": true, "KeyReady>RequestSigned": true, "RequestSigned>Stored": true, "Stored>Receipted": true,
		"Receipted>Delivered": true, "Delivered>Issued": true, "Issued>Loaded": true,
		"TokenRead>Refused": true, "IdentityVerified>Refused": true, "OfficerApproved>Refused": true, "KeyReady>Refused": true,
		"TokenRead>Abandoned": true, "IdentityVerified>Abandoned": true, "OfficerApproved>Abandoned": true, "KeyReady>Abandoned": true,
		"Delivered>Refused": true, "Issued>Refused": true, "None>Issued": true,
	}
	for from := None; from <= Abandoned; from++ {
		for to := None; to <= Abandoned+1; to++ {
			j := newJournal()
			l := openLedger(t, j)
			id := RenewalID{1}
			for _, s := range paths[from] {
				if err := l.advance(id, s, nil); err != nil {
					t.Fatalf("to %v: %v", s, err)
				}
			}
			before := len(j.bytes())
			err := l.advance(id, to, nil)
			name := fmt.Sprintf("%v>%v", from, to)
			n, _ := l.Renewal(id)
			switch {
			case may[name]:
				if err != nil || n.State != to || len(j.bytes()) != before+1 {
					t.Errorf("%s: %v, now %v", name, err, n.State)
				}
			case err == nil || len(j.bytes()) != before || n.State != from:
				t.Errorf("%s: %v, now %v, %d records", name, err, n.State, len(j.bytes())-before)
			case to <= Abandoned && !errors.Is(err, ErrTransition):
				t.Errorf("%s: %v", name, err)
			}
			if l.Failed() != nil {
				t.Errorf("%s: the ledger is out of order: %v", name, l.Failed())
			}
			if _, err := OpenLedger(newJournal(j.bytes()...), still{}); err != nil {
				t.Errorf("%s: what was written cannot be replayed: %v", name, err)
			}
		}
	}
}

// What could not be replayed is not written: the journal is for ever.
func TestNothingIsWrittenThatCannotBeRead(t *testing.T) {
	j := newJournal()
	l := openLedger(t, j)
	id := RenewalID{1}
	for name, write := range map[string]func() error{
		"event of an unknown renewal": func() error { return l.note(id, EventStopped, nil) },
		"no event":                    func() error { return l.note(RenewalID{}, "", nil) },
		"state and event": func() error {
			return l.advance(id, TokenRead, func(r *Record) { r.Event = EventStart })
		},
		"state of the station": func() error { return l.advance(RenewalID{}, Loaded, nil) },
		"too many notes": func() error {
			return l.advance(id, TokenRead, func(r *Record) { r.Notes = make([]string, 65) })
		},
	} {
		if err := write(); err == nil || len(j.bytes()) != 0 || l.Failed() != nil {
			t.Errorf("%s: %v, %d records, failed: %v", name, err, len(j.bytes()), l.Failed())
		}
	}
	if err := l.advance(id, TokenRead, nil); err != nil {
		t.Errorf("and now a good one: %v", err)
	}
}

// A journal that holds what cannot be is not guessed at.
func TestOpenLedgerRefuses(t *testing.T) {
	record := func(r Record) []byte {
		b, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	id := RenewalID{1}
	for name, records := range map[string][][]byte{
		"junk":                {[]byte("junk")},
		"jump":                {record(Record{Renewal: id, State: Loaded.String()})},
		"event before states": {record(Record{Renewal: id, Event: EventPINTry})},
		"twice": {
			record(Record{Renewal: id, State: TokenRead.String()}), record(Record{Renewal: id, State: TokenRead.String()}),
		},
	} {
		if l, err := OpenLedger(newJournal(records...), still{}); err == nil || l != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// After a failed append nothing is written or believed, whatever the disk says later.
func TestLedgerFails(t *testing.T) {
	j := newJournal()
	l := openLedger(t, j)
	changed := l.Changed()
	j.fail(1, true)
	id := RenewalID{1}
	err := l.advance(id, TokenRead, nil)
	if ruleOf(err) != RuleStoreFailed || !errors.Is(err, errDisk) {
		t.Errorf("got %v", err)
	}
	select {
	case <-changed:
	default:
		t.Error("nobody is told")
	}
	if _, ok := l.Renewal(id); ok {
		t.Error("a record that was not acknowledged is believed")
	}
	j.failed, j.cause = false, nil
	if err := l.note(RenewalID{}, EventStart, nil); ruleOf(err) != RuleStoreFailed || l.Failed() == nil {
		t.Errorf("goes on after a failure: %v", err)
	}
	full := newJournal()
	full.fail(1, false)
	full.cause = &Refusal{Rule: RuleStoreFull, Err: errDisk}
	if err := openLedger(t, full).note(RenewalID{}, EventStart, nil); ruleOf(err) != RuleStoreFull {
		t.Errorf("a full journal is %v", err)
	}
}

// Callers may reuse what they gave, and what they got is theirs.
func TestLedgerKeepsItsOwn(t *testing.T) {
	l := openLedger(t, newJournal())
	id, cert := RenewalID{1}, []byte{1, 2, 3}
	if err := l.advance(id, TokenRead, func(r *Record) { r.OldCert = cert }); err != nil {
		t.Fatal(err)
	}
	cert[0] = 9
	n, _ := l.Renewal(id)
	n.State = Loaded
	if n, _ := l.Renewal(id); n.State != TokenRead || !bytes.Equal(n.OldCert, []byte{1, 2, 3}) {
		t.Errorf("%v %v", n.State, n.OldCert)
	}
}

// The order is the journal's, whatever the clock did.
func TestOrder(t *testing.T) {
	l := openLedger(t, newJournal())
	var want []RenewalID
	for i := range 9 {
		id := RenewalID{byte(200 - i)}
		want = append(want, id)
		if err := l.advance(id, TokenRead, nil); err != nil {
			t.Fatal(err)
		}
	}
	var got []RenewalID
	for _, n := range l.All(func(Renewal) bool { return true }) {
		got = append(got, n.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("order %v", got)
	}
}

// The key of an attempt that came to nothing is taken up again; one that led to a
// certificate never.
func TestUnfinishedKey(t *testing.T) {
	l := openLedger(t, newJournal())
	old := bytes.Repeat([]byte{7}, 32)
	run := func(n byte, key []byte, certificate []byte, states ...State) {
		id := RenewalID{n}
		for _, s := range states {
			err := l.advance(id, s, func(r *Record) {
				r.OldCert = old
				if s == Issued {
					r.Certificate = certificate
				}
			})
			if err == nil && s == TokenRead && key != nil {
				err = l.note(id, EventKeyIntent, func(r *Record) { r.KeyID = key })
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := l.unfinishedKey(old); got != nil {
		t.Errorf("%v before any", got)
	}
	run(1, nil, nil, TokenRead, Abandoned)
	if got := l.unfinishedKey(old); got != nil {
		t.Errorf("%v after one without a key", got)
	}
	run(9, []byte{1}, nil, TokenRead, Abandoned)
	run(2, []byte{2}, nil, TokenRead, Refused)
	if got := l.unfinishedKey(old); !bytes.Equal(got, []byte{2}) {
		t.Errorf("got %v", got)
	}
	run(3, []byte{3}, []byte{5}, paths[Loaded]...)
	if got := l.unfinishedKey(old); !bytes.Equal(got, []byte{2}) {
		t.Errorf("got %v", got)
	}
	if got := l.unfinishedKey([]byte{8}); got != nil {
		t.Errorf("somebody else's: %v", got)
	}
}

// Of a renewal that is done nothing large is kept in memory: a kiosk has thousands.
func TestLoadedIsSmall(t *testing.T) {
	large := bytes.Repeat([]byte{5}, 1000)
	l := openLedger(t, newJournal())
	id := RenewalID{1}
	for _, s := range paths[Loaded] {
		err := l.advance(id, s, func(r *Record) {
			switch s {
			case RequestSigned:
				r.Request = large
			case Delivered:
				r.Answer = large
			case Issued:
				r.Certificate, r.Chain, r.Confirmed = large, [][]byte{large}, true
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := l.Renewal(id); s == Issued && !bytes.Equal(n.Certificate, large) {
			t.Error("not there when it is needed")
		}
	}
	n, _ := l.Renewal(id)
	for name, b := range map[string][]byte{"request": n.Request, "answer": n.Answer, "certificate": n.Certificate, "chain": bytes.Join(n.Chain, nil)} {
		if len(b) > 0 {
			t.Errorf("keeps %d bytes of %s", len(b), name)
		}
	}
}

func TestStateNames(t *testing.T) {
	for s := None; s <= Abandoned; s++ {
		got, err := ParseState(s.String())
		if err != nil || got != s {
			t.Errorf("%v: %v, %v", s, got, err)
		}
	}
	if _, err := ParseState("State(13)"); err == nil {
		t.Error("State(13) is a state")
	}
	for s, want := range map[State]bool{KeyReady: false, RequestSigned: true, Issued: true, Loaded: false, Refused: false} {
		if s.Signed() != want {
			t.Errorf("%v.Signed() = %v", s, !want)
		}
	}
}
