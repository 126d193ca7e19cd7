package kiosk

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"mohr.internal/kiosk/cmp"
)

func ids(parcels []Parcel) (out []string) {
	for _, p := range parcels {
		out = append(out, p.ID)
	}
	return out
}

// What is pending follows from the ledger alone; polls are beside it.
func TestPending(t *testing.T) {
	for state, path := range paths {
		l := openLedger(t, newJournal())
		o := NewOutbox(l, nil, nil, still{}, slog.New(slog.DiscardHandler))
		id := RenewalID{5}
		for _, s := range path {
			if err := l.advance(id, s, func(r *Record) {
				if s == RequestSigned {
					r.Request = []byte{1}
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
		var want []string
		if state == Receipted || state == Delivered {
			want = []string{id.String() + ".request"}
		}
		if got := ids(o.Pending()); !slices.Equal(got, want) {
			t.Errorf("%v: pending %v, want %v", state, got, want)
		}
		if state == None {
			continue
		}
		if err := l.note(id, EventConfirm, func(r *Record) { r.Confirm = []byte{2} }); err != nil {
			t.Fatal(err)
		}
		want = append(want, id.String()+".confirm")
		if got := ids(o.Pending()); !slices.Equal(got, want) {
			t.Errorf("%v with certConf: pending %v, want %v", state, got, want)
		}
		if err := l.note(id, EventConfirmed, func(r *Record) { r.Confirmed = true }); err != nil {
			t.Fatal(err)
		}
		if got := ids(o.Pending()); slices.Contains(got, id.String()+".confirm") {
			t.Errorf("%v confirmed: pending %v", state, got)
		}
	}
}

// A parked renewal sends nothing, a poll goes in place of the request, and without
// either the request is there again.
func TestPolls(t *testing.T) {
	l := openLedger(t, newJournal())
	o := NewOutbox(l, nil, nil, still{}, slog.New(slog.DiscardHandler))
	id, other := RenewalID{5}, RenewalID{6}
	for _, s := range paths[Delivered] {
		for _, id := range []RenewalID{id, other} {
			if err := l.advance(id, s, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	step := func(what string, do func(), want ...string) {
		changed := o.Changed()
		do()
		select {
		case <-changed:
		default:
			t.Errorf("%s: nobody is told", what)
		}
		if got := ids(o.Pending()); !slices.Equal(got, append(want, other.String()+".request")) {
			t.Errorf("%s: pending %v", what, got)
		}
	}
	step("park", func() { o.park(id) })
	step("poll", func() { o.poll(id, 1, []byte{1}) }, id.String()+".poll.1")
	step("next poll", func() { o.poll(id, 2, []byte{2}) }, id.String()+".poll.2")
	if v := o.Answer(id.String()+".poll.1", []byte("late")); !v.Done {
		t.Errorf("an answer to a poll that was replaced: %+v", v)
	}
	step("unpoll", func() { o.unpoll(id) }, id.String()+".request")
	changed := o.Changed()
	o.unpoll(id)
	select {
	case <-changed:
		t.Error("unpoll of nothing wakes everybody")
	default:
	}
}

// Parcels that are not ours, or settled, are not asked about again.
func TestUnknownParcels(t *testing.T) {
	l := openLedger(t, newJournal())
	o := NewOutbox(l, nil, nil, still{}, slog.New(slog.DiscardHandler))
	known := RenewalID{5}
	for _, s := range paths[Receipted] {
		if err := l.advance(known, s, nil); err != nil {
			t.Fatal(err)
		}
	}
	hex := known.String()
	records := len(l.All(func(Renewal) bool { return true }))
	for _, id := range []string{
		"", ".", "x.request", hex, hex + ".", hex + ".letter", hex + ".request.1", hex + ".confirm.2", hex + ".poll", hex + ".poll.",
		hex + ".poll.1", hex + ".confirm", RenewalID{6}.String() + ".request", hex[:30] + ".request", hex + "00.request", strings.Repeat("a", 1<<16),
	} {
		if v := o.Answer(id, []byte("anything")); !v.Done {
			t.Errorf("%.50q: %+v", id, v)
		}
		o.Failed(id, "no route")
	}
	if got := len(l.All(func(Renewal) bool { return true })); got != records {
		t.Errorf("%d renewals", got)
	}
}

// Whoever answers with nonsense, again and again and each time another one, does not
// fill the journal.
func TestLiesDoNotFillTheJournal(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.walk("receipt")
		p := c.kiosk.Outbox.Pending()[0]
		before := len(c.journal.bytes())
		for i := range 200 {
			want := min(retryMost, retryBad<<min(i, 9)) // and it is asked less and less often
			if v := c.kiosk.Outbox.Answer(p.ID, fmt.Appendf(nil, "nonsense %d", i)); v.Done || v.After != want {
				t.Errorf("answer %d: %+v", i, v)
			}
		}
		if n := len(c.journal.bytes()) - before; n != 1 {
			t.Errorf("%d records of 200 bad answers", n)
		}
	})
}

// What a CA says about a certConf is kept in the journal, where it can be read with
// the key only. The log has the reason in CMP's words.
func TestRefusedConfirmInTheLog(t *testing.T) {
	l := openLedger(t, newJournal())
	var log bytes.Buffer
	o := NewOutbox(l, nil, nil, still{}, slog.New(slog.NewTextHandler(&log, nil)))
	id := RenewalID{5}
	for _, s := range paths[Loaded] {
		if err := l.advance(id, s, nil); err != nil {
			t.Fatal(err)
		}
	}
	n, _ := l.Renewal(id)
	said := cmp.Answer{StatusInfo: cmp.StatusInfo{Status: cmp.StatusRejection, Text: []string{"Maryam Rezaei is unknown"}, FailInfo: cmp.FailBadPOP}}
	if _, err := o.refused(n, said); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); strings.Contains(got, "Rezaei") || !strings.Contains(got, "badPOP") || !strings.Contains(got, id.String()) {
		t.Errorf("the log says %s", got)
	}
}
