package trial

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"mohr.internal/appliance/journal"
	"mohr.internal/appliance/vault"
	"mohr.internal/kiosk"
	"mohr.internal/kiosk/audit"
	"mohr.internal/kiosk/receipt"
)

// Outcome of one power cut.
type Outcome uint8

const (
	Good     Outcome = iota // everything that was promised holds
	Bad                     // something does not
	Detected                // records are gone, and a checkpoint shows it
	Refused                 // the journal will not open, and says why
	NoMount                 // the kernel will not mount the file system
)

// Result is what became of one power cut.
type Result struct {
	Outcome Outcome
	Why     string   // unless Good
	Healed  int      // places that the journal healed
	Sync    bool     // Detected: the fleet's log shows it at the next sync
	Scan    bool     // Detected: a receipt that somebody has shows it
	States  []string // of the renewals under way when the power was cut
	Deep    bool     // the citizen came back and was served to the end
}

func bad(format string, a ...any) Result { return Result{Outcome: Bad, Why: fmt.Sprintf(format, a...)} }

// found is what a journal says.
type found struct {
	payloads [][]byte
	hashes   [][32]byte
	records  []kiosk.Record
}

// read takes everything from the disk, by the way that the ledger goes too.
func read(j *vault.Journal) (f found, err error) {
	err = j.Journal.Replay(1, func(r journal.Record) error {
		f.hashes = append(f.hashes, r.Hash)
		return nil
	})
	if err != nil {
		return f, err
	}
	err = j.Replay(func(seq uint64, payload []byte) error {
		if seq != uint64(len(f.payloads))+1 {
			return fmt.Errorf("record %d after %d", seq, len(f.payloads))
		}
		r, err := kiosk.ParseRecord(payload)
		f.payloads, f.records = append(f.payloads, payload), append(f.records, r)
		return err
	})
	if n := len(f.hashes); err == nil && n > 0 {
		err = j.Verify(uint64(n), f.hashes[n-1])
	}
	return f, err
}

// states is how far each renewal has come: the table of state.go, told anew from
// the records alone.
func (f found) states() map[kiosk.RenewalID]string {
	out := map[kiosk.RenewalID]string{}
	for _, r := range f.records {
		if r.State != "" {
			out[r.Renewal] = r.State
		}
	}
	return out
}

func (f found) count(event string) (n int) {
	for _, r := range f.records {
		if r.Event == event {
			n++
		}
	}
	return n
}

// examine opens the journal as a kiosk does that gets its power back, and holds
// what it does then against what the world knows.
func examine(c *counter, w *world, lying, deep bool) Result {
	err := c.open()
	if errors.Is(err, journal.ErrMissing) && !w.created { // then it is made anew
		if err = c.create(); err == nil {
			err = c.open()
		}
	}
	if err != nil {
		return Result{Outcome: Refused, Why: err.Error()}
	}
	defer c.close()
	healed := len(c.journal.Healed())
	res := wake(c, w, lying, deep)
	res.Healed = healed
	return res
}

func wake(c *counter, w *world, lying, deep bool) Result {
	f, err := read(c.journal)
	if err != nil {
		return bad("read: %v", err)
	}
	if why := w.compare(f); why != "" {
		return bad("%s", why)
	}
	lost := len(w.records) - len(f.records)
	if lost > 0 && !lying {
		return bad("%d acknowledged records are lost, from %d on: %s", lost, len(f.records)+1, title(w.records[len(f.records)]))
	}
	if err := c.replay(); err != nil {
		return bad("%v", err)
	}
	if lost > 0 {
		sync, scan, why := c.outside(w, f)
		if why != "" {
			return bad("%s", why)
		}
		return c.detect(w, sync, scan)
	}
	if lost < 0 {
		n := len(f.records) // was written and not acknowledged; from here on the kiosk counts on it
		if err := c.note(note{What: acked, Seq: uint64(n), Hash: f.hashes[n-1], Payload: f.payloads[n-1]}); err != nil {
			return bad("%v", err)
		}
	}
	if why := c.promises(w, f); why != "" {
		return bad("before the start: %s", why)
	}
	if _, _, why := c.outside(w, f); why != "" {
		return bad("%s", why)
	}
	res := Result{}
	for _, state := range f.states() {
		if state != "Loaded" && state != "Refused" && state != "Abandoned" {
			res.States = append(res.States, state)
		}
	}
	after, why := c.resume(w, f)
	if why != "" {
		return bad("%s", why)
	}
	if deep {
		if res.Deep, why = c.comeBack(w, after); why != "" {
			return bad("the citizen comes back: %s", why)
		}
	}
	if why := c.again(); why != "" {
		return bad("%s", why)
	}
	if c.busy {
		if why := c.beside(); why != "" {
			return bad("with files written beside it: %s", why)
		}
	}
	return res
}

// compare says what the journal tells otherwise than it was acknowledged.
func (w *world) compare(f found) string {
	for i := range min(len(f.records), len(w.records)) {
		if f.hashes[i] != w.hashes[i] || !bytes.Equal(f.payloads[i], w.records[i]) {
			return fmt.Sprintf("record %d is another: %s, acknowledged was %s", i+1, title(f.payloads[i]), title(w.records[i]))
		}
	}
	switch n := len(f.records) - len(w.records); {
	case n > 1:
		return fmt.Sprintf("%d records that nobody acknowledged", n)
	case n == 1 && !bytes.Equal(f.payloads[len(f.payloads)-1], w.next):
		return fmt.Sprintf("record %d is one that nobody wrote", len(f.payloads))
	}
	return ""
}

func title(payload []byte) string {
	r, err := kiosk.ParseRecord(payload)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s%s of %v", r.State, r.Event, r.Renewal)
}

// detect has a kiosk run that has lost records. It cannot know, but it must not fall
// over what is left; others know, see outside.
func (c *counter) detect(w *world, sync, scan bool) Result {
	c.insert(w)
	if err := c.start(); err != nil {
		return bad("on a journal that has lost records: %v", err)
	}
	if err := c.halt(); err != nil {
		return bad("on a journal that has lost records: %v", err)
	}
	return Result{Outcome: Detected, Why: "records are lost", Sync: sync, Scan: scan}
}

// outside is what others make of a journal: the fleet, whose log has what was
// published of it, and whoever scans a receipt that was shown and holds it against the
// journal. Each must raise the alarm if a record that it knows of is lost, and only then.
func (c *counter) outside(w *world, f found) (sync, scan bool, why string) {
	if n := w.synced; n > 0 {
		err := c.journal.Verify(uint64(n), w.hashes[n-1])
		if sync = errors.Is(err, journal.ErrDiverged); sync != (n > len(f.records)) || err != nil && !sync {
			return sync, scan, fmt.Sprintf("the fleet has %d records, the journal %d: %v", n, len(f.records), err)
		}
	}
	var chain audit.Chain
	for i, r := range f.records {
		chain.Add(uint64(i+1), f.hashes[i], r.Receipt)
	}
	at := map[string]int{} // records, by their receipts
	for i, b := range w.records {
		if r, err := kiosk.ParseRecord(b); err == nil && r.Receipt != "" {
			at[r.Receipt] = i + 1
		}
	}
	for _, text := range w.shown {
		given, _, err := c.trust.Verify(text)
		if err != nil {
			return sync, scan, fmt.Sprintf("receipt: %v", err)
		}
		if given.HeadSeq == 0 {
			return sync, scan, "a receipt without a checkpoint"
		}
		lost := at[text] > len(f.records)
		if _, err := chain.Holds(given, text); (err != nil) != lost {
			return sync, scan, fmt.Sprintf("receipt of record %d, the journal has %d: %v", at[text], len(f.records), err)
		}
		scan = scan || lost
	}
	return sync, scan, ""
}

// insert puts the token in that was in when the power went.
func (c *counter) insert(w *world) {
	if w.citizen >= 0 && c.sticks[w.citizen].device == "" {
		c.ports.insert(c.sticks[w.citizen], kiosk.RoleCitizen)
	}
}

// promises says what of that which was shown, sent or done has no ground in the
// records.
func (c *counter) promises(w *world, f found) string {
	if tries, noted := w.tries(), f.count(kiosk.EventPINTry); tries > noted {
		return fmt.Sprintf("tokens have compared %d PINs, the journal knows of %d", tries, noted)
	}
	signed, receipts := map[kiosk.RenewalID]int{}, map[string]bool{}
	for i, r := range f.records {
		if r.State == "RequestSigned" {
			signed[r.Renewal]++
		}
		if signed[r.Renewal] > 1 {
			return fmt.Sprintf("record %d: a second request of renewal %v", i+1, r.Renewal)
		}
		if r.Receipt == "" {
			continue
		}
		receipts[r.Receipt] = true
		if why := c.receipt(w, r, signed[r.Renewal] == 1); why != "" {
			return fmt.Sprintf("record %d: %s", i+1, why)
		}
	}
	for _, text := range w.shown {
		if !receipts[text] {
			return "a receipt was shown that is not in the journal"
		}
	}
	return c.parcels(w, signed)
}

// receipt says what is wrong with one receipt.
func (c *counter) receipt(w *world, r kiosk.Record, signed bool) string {
	if !signed {
		return "a receipt without a stored request"
	}
	said, _, err := c.trust.Verify(r.Receipt)
	if err != nil {
		return fmt.Sprintf("receipt: %v", err)
	}
	if want := map[receipt.State]string{receipt.Recorded: "Receipted", receipt.Accepted: "Loaded"}[said.State]; r.State != want {
		return fmt.Sprintf("receipt says %v in state %s", said.State, r.State)
	}
	request := w.posted[r.Renewal.String()+".request"]
	if n, ok := c.ledger.Renewal(r.Renewal); ok && n.Request != nil {
		request = n.Request
	}
	if request != nil && said.Request != sha256.Sum256(request) {
		return "receipt is for another request"
	}
	return ""
}

// parcels says where what is handed out is not what was stored, or sent before.
func (c *counter) parcels(w *world, signed map[kiosk.RenewalID]int) string {
	box := c.newOutbox()
	pending := map[string][]byte{}
	for _, p := range box.Pending() {
		pending[p.ID] = p.DER
		if sent, ok := w.posted[p.ID]; ok && !bytes.Equal(sent, p.DER) {
			return fmt.Sprintf("parcel %s has other bytes than when it was sent", p.ID)
		}
	}
	for _, n := range c.ledger.All(func(n kiosk.Renewal) bool { return n.State.Signed() }) {
		id := n.ID.String() + ".request"
		if signed[n.ID] != 1 || n.Request == nil {
			return fmt.Sprintf("renewal %v is %v without a request", n.ID, n.State)
		}
		waits := n.State == kiosk.Receipted || n.State == kiosk.Delivered
		if waits != (pending[id] != nil) || waits && !bytes.Equal(pending[id], n.Request) {
			return fmt.Sprintf("renewal %v is %v, parcel of %d bytes for a request of %d", n.ID, n.State, len(pending[id]), len(n.Request))
		}
		if sent := w.posted[id]; sent != nil && !bytes.Equal(sent, n.Request) {
			return fmt.Sprintf("renewal %v: another request than the one that was sent", n.ID)
		}
	}
	return ""
}

// salvage says which acknowledged record the raw scan does not find on a disk
// whose file system is not asked.
func (w *world) salvage(r io.ReaderAt, size int64) error {
	there := map[[32]byte]bool{}
	if _, err := journal.Scan(r, size, func(f journal.Found) error { there[f.Hash] = true; return nil }); err != nil {
		return err
	}
	for i, hash := range w.hashes {
		if !there[hash] {
			return fmt.Errorf("raw scan: record %d is nowhere on the disk", i+1)
		}
	}
	return nil
}
