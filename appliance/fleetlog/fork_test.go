package fleetlog

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"

	"filippo.io/age"

	"mohr.internal/appliance/fleet/entry"
	"mohr.internal/appliance/fleet/fleettest"
	"mohr.internal/kiosk"
)

// An alarm stops the kiosk: it takes an entry that this kiosk's key signed, and that is
// not in its journal.
func TestForked(t *testing.T) {
	centre := must[*age.X25519Identity](t)(age.GenerateX25519Identity())
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	stranger := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	record := must[[]byte](t)(kiosk.Record{Clock: kiosk.ClockTrusted, Event: kiosk.EventStart}.Marshal())
	j := fleettest.NewJournal([8]byte{1})
	for range 3 {
		must[uint64](t)(j.Append(record))
	}
	var forks []entry.Head
	open := func(j *fleettest.Journal, id string, key *ecdsa.PrivateKey) *Log {
		return must[*Log](t)(New(Options{
			Kiosk: id, Journal: j, Changed: j.Changed, Recipients: []string{centre.Recipient().String()}, Key: key, Rand: rand.Reader,
			Forked: func(_, theirs entry.Head) { forks = append(forks, theirs) },
		}))
	}
	last := func(l *Log, seq uint64) []byte { return must1(l.Record(seq, nil))(t).Entry }
	whole := open(j, "desk-7", key)
	back := j.Copy(2) // rolled back, and gone on
	must[uint64](t)(back.Append(must[[]byte](t)(kiosk.Record{Clock: kiosk.ClockTrusted, Event: kiosk.EventHealed}.Marshal())))
	replaced := fleettest.NewJournal([8]byte{2})
	must[uint64](t)(replaced.Append(record))
	changed := bytes.Clone(last(whole, 3))
	changed[len(changed)-1] ^= 1
	for name, tt := range map[string]struct {
		ours *fleettest.Journal
		last []byte
		fork bool
	}{
		"rolled back":        {j.Copy(2), last(whole, 3), true},
		"and gone on":        {back, last(whole, 3), true},
		"replaced":           {replaced, last(whole, 3), true},
		"by a clone":         {j, last(open(back, "desk-7", key), 3), true},
		"our own":            {j, last(whole, 2), false},
		"by another key":     {replaced, last(open(j, "desk-7", stranger), 3), false},
		"by another kiosk":   {replaced, last(open(j, "desk-8", key), 3), false},
		"changed on the way": {replaced, changed, false},
		"junk":               {replaced, []byte("junk"), false},
	} {
		forks = nil
		l := open(tt.ours, "desk-7", key)
		ours, _ := l.Head()
		l.Forked(ours, tt.last)
		if (len(forks) == 1) != tt.fork || (l.Status().Fork != nil) != tt.fork {
			t.Errorf("%s: forks %v, status %+v", name, forks, l.Status())
		}
		if !tt.fork && l.Status().Trouble == "syncd has not said anything yet" {
			t.Errorf("%s: passed over in silence", name)
		}
	}
}
