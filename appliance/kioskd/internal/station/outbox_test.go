package station

import (
	"testing"
	"time"

	"mohr.internal/appliance/outboxlink"
	"mohr.internal/kiosk"
)

// parcels is an outbox that only has parcels.
type parcels []outboxlink.Parcel

func (p parcels) Pending() []outboxlink.Parcel                { return p }
func (p parcels) Changed() <-chan struct{}                    { return nil }
func (p parcels) Failed(string, outboxlink.Failure)           {}
func (p parcels) Answer(string, []byte) (bool, time.Duration) { return false, time.Minute }

// What the link to syncd knows about parcels is what staff see: the network's trouble
// apart from somebody who answers in the CA's place.
func TestTransport(t *testing.T) {
	now := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	q := outboxlink.NewQueue(parcels{{ID: "a"}, {ID: "b"}, {ID: "c"}}, func() time.Time { now = now.Add(time.Second); return now })
	q.Failed("a", outboxlink.Failure{Why: "courier: dial tcp: no route to host", Tries: 1})
	q.Failed("a", outboxlink.Failure{Why: "courier: dial tcp: no route to host", Tries: 2})
	q.Failed("b", outboxlink.Failure{Why: "courier: " + outboxlink.NoCA + ": 200 OK", Tries: 1})
	q.Failed("c", outboxlink.Failure{Why: "x", Tries: 1})
	q.Answer("c", nil)
	start := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	want := []kiosk.Stuck{
		{Parcel: "a", Tries: 2, Why: "dial tcp: no route to host", LastTry: start.Add(2 * time.Second)},
		{Parcel: "b", Tries: 1, Refused: true, Why: outboxlink.NoCA + ": 200 OK", LastTry: start.Add(3 * time.Second)},
		{Parcel: "c", Tries: 1, LastTry: start.Add(5 * time.Second)},
	}
	got := transport{q}.Stuck()
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
}
