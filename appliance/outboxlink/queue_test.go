package outboxlink

import (
	"testing"
	"time"
)

// The officer sees what is stuck, why, and when it is tried again; what has arrived
// or was withdrawn is gone from the list.
func TestQueue(t *testing.T) {
	start := time.Date(2026, 3, 21, 9, 0, 0, 0, time.UTC)
	now := start
	b := newBox(Parcel{"a", nil}, Parcel{"b", nil})
	settled := false
	b.verdict = func(string) (bool, time.Duration) { return settled, 5 * time.Minute }
	q := NewQueue(b, func() time.Time { return now })
	if got := q.List(); len(got) != 0 {
		t.Errorf("at first %+v", got)
	}
	q.Failed("a", Failure{"no route", 1, time.Second})
	now = now.Add(time.Minute)
	q.Failed("b", Failure{"status 500", 1, time.Second})
	q.Failed("a", Failure{"timeout", 2, 10 * time.Second})
	q.Failed("a", Failure{"no route", 1, time.Second}) // syncd has started anew
	got := q.List()
	if len(got) != 2 || got[0] != (Stuck{ID: "a", Since: start, Tries: 3, Why: "no route", LastTry: now, NextTry: now.Add(time.Second), Restarts: 1}) || got[1].ID != "b" {
		t.Errorf("%+v", got)
	}
	q.Answer("a", nil)
	if got := q.List(); got[0].Answers != 1 || got[0].Why != "" || !got[0].NextTry.Equal(now.Add(5*time.Minute)) {
		t.Errorf("after an answer that settled nothing: %+v", got[0])
	}
	settled = true
	q.Answer("a", nil)
	b.set(Parcel{"c", nil})
	if got := q.List(); len(got) != 0 {
		t.Errorf("at the end %+v", got)
	}
	if want := "a=, a=, a: no route (1, 1s), b: status 500 (1, 1s), a: timeout (2, 10s), a: no route (1, 1s)"; b.said() != want {
		t.Errorf("the outbox heard %q, want %q", b.said(), want)
	}
}
