package trial

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"mohr.internal/display"
	"mohr.internal/kiosk"
)

// resume starts the kiosk with the token in and nobody there, and says where it
// does not go on as it should: what was signed is finished, what was not is
// abandoned, and no PIN is tried.
func (c *counter) resume(w *world, before found) (found, string) {
	c.insert(w)
	if err := c.start(); err != nil {
		return found{}, err.Error()
	}
	if w.citizen >= 0 { // up to the first page that asks something
		if _, err := c.await(func(s display.Screen) bool { return len(s.Choices) > 0 && s.ID != "idle" }); err != nil {
			return found{}, err.Error()
		}
	}
	if err := c.halt(); err != nil {
		return found{}, err.Error()
	}
	after, err := read(c.journal)
	if err != nil {
		return found{}, fmt.Sprintf("read after the start: %v", err)
	}
	if n := len(before.records); len(after.records) <= n || after.records[n].Event != kiosk.EventStart {
		return found{}, "no record of the start"
	}
	want := before.states()
	for id, state := range want {
		switch state {
		case "TokenRead", "IdentityVerified", "OfficerApproved", "KeyReady":
			want[id] = "Abandoned"
		case "RequestSigned", "Stored":
			want[id] = "Receipted"
		}
	}
	got := after.states()
	for id := range got {
		if got[id] != want[id] {
			return found{}, fmt.Sprintf("renewal %v: %s before the start, then %q, want %q", id, before.states()[id], got[id], want[id])
		}
		if n, _ := c.ledger.Renewal(id); n.State.String() != got[id] {
			return found{}, fmt.Sprintf("renewal %v is %v in the ledger, %s in the journal", id, n.State, got[id])
		}
	}
	if after.count(kiosk.EventPINTry) != before.count(kiosk.EventPINTry) || c.tries() > 0 {
		return found{}, "a PIN was tried and nobody there"
	}
	if why := c.promises(w, after); why != "" {
		return found{}, "after the start: " + why
	}
	return after, ""
}

// tries is how many PINs the tokens have compared in this life.
func (c *counter) tries() (n int) {
	for _, s := range c.sticks {
		n += s.PINTries()
	}
	return n
}

// comeBack has the citizen who was at the counter return and go through to the
// certificate. served is false if there is nothing left to do.
func (c *counter) comeBack(w *world, before found) (served bool, why string) {
	if w.citizen < 0 {
		return false, ""
	}
	mine := func(f found) (ids []kiosk.RenewalID) {
		for _, r := range f.records {
			if r.State == "TokenRead" && bytes.Equal(r.OldCert, c.fix.Certs[w.citizen]) {
				ids = append(ids, r.Renewal)
			}
		}
		return ids
	}
	open := kiosk.RenewalID{}
	for _, id := range mine(before) {
		switch n, _ := c.ledger.Renewal(id); {
		case n.State == kiosk.Loaded, n.State == kiosk.Refused:
			return false, "" // a new renewal would be another matter
		case n.State.Signed():
			open = id
		}
	}
	c.ports.pull(c.sticks[w.citizen])
	if err := c.start(); err != nil {
		return false, err.Error()
	}
	err := c.attend(visit{citizen: w.citizen})
	if err = errors.Join(err, c.halt()); err != nil {
		return false, err.Error()
	}
	after, err := read(c.journal)
	if err != nil {
		return false, err.Error()
	}
	ids, states := mine(after), after.states()
	if !open.Zero() && (len(ids) != len(mine(before)) || states[open] != "Loaded") {
		return false, fmt.Sprintf("renewal %v had a request and is now %s; %d renewals, then %d", open, states[open], len(mine(before)), len(ids))
	}
	loaded := slices.DeleteFunc(ids, func(id kiosk.RenewalID) bool { return states[id] != "Loaded" })
	if len(loaded) != 1 {
		return false, fmt.Sprintf("%d renewals ended with a certificate", len(loaded))
	}
	if keys := c.sticks[w.citizen].PrivateKeys(); keys > 2 {
		return false, fmt.Sprintf("%d private keys on the token", keys)
	}
	if n := c.tries(); n > 2 {
		return false, fmt.Sprintf("%d PINs compared, two were entered", n)
	}
	return true, c.promises(w, after)
}

// again closes the journal and opens it once more: it must be whole, and say
// the same.
func (c *counter) again() string {
	pending := c.newOutbox().Pending()
	before, err := read(c.journal)
	if err == nil {
		err = c.close()
	}
	if err == nil {
		err = c.open()
	}
	if err != nil {
		return fmt.Sprintf("second start: %v", err)
	}
	if h := c.journal.Healed(); len(h) > 0 {
		return fmt.Sprintf("second start: healed %v", h[0])
	}
	after, err := read(c.journal)
	if err == nil {
		err = c.replay()
	}
	if err != nil {
		return fmt.Sprintf("second start: %v", err)
	}
	if !slices.Equal(before.hashes, after.hashes) {
		return fmt.Sprintf("second start: %d records, %d before", len(after.records), len(before.records))
	}
	same := func(a, b kiosk.Parcel) bool { return a.ID == b.ID && bytes.Equal(a.DER, b.DER) }
	if !slices.EqualFunc(pending, c.newOutbox().Pending(), same) {
		return "second start: other parcels"
	}
	return ""
}

// beside has the neighbour write on: a file system whose tables are spoilt may
// give it what is the journal's.
func (c *counter) beside() string {
	mount := filepath.Dir(c.dir)
	stop := neighbour(mount)
	time.Sleep(15 * time.Millisecond)
	stop()
	if err := settle(mount); err != nil {
		return "" // a broken file system that says so
	}
	return c.again()
}
