package station

import (
	"strings"
	"time"

	"mohr.internal/appliance/outboxlink"
	"mohr.internal/kiosk"
)

// outbox is the ceremony's outbox in the form the link to syncd takes, which
// links none of the ceremony into syncd.
type outbox struct{ *kiosk.Outbox }

var _ outboxlink.Outbox = outbox{}

func (o outbox) Pending() (out []outboxlink.Parcel) {
	for _, p := range o.Outbox.Pending() {
		out = append(out, outboxlink.Parcel(p))
	}
	return out
}

func (o outbox) Failed(id string, f outboxlink.Failure) { o.Outbox.Failed(id, f.Why) }

// transport is what the officer's view of the outbox knows, in the ceremony's words.
type transport struct{ queue *outboxlink.Queue }

var _ kiosk.Transport = transport{}

func (t transport) Stuck() (out []kiosk.Stuck) {
	for _, s := range t.queue.List() {
		out = append(out, kiosk.Stuck{
			Parcel: s.ID, Tries: s.Tries, Refused: strings.Contains(s.Why, outboxlink.NoCA), Why: strings.TrimPrefix(s.Why, "courier: "), LastTry: s.LastTry,
		})
	}
	return out
}

func (o outbox) Answer(id string, der []byte) (done bool, after time.Duration) {
	v := o.Outbox.Answer(id, der)
	return v.Done, v.After
}
