package station

import (
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

func (o outbox) Answer(id string, der []byte) (done bool, after time.Duration) {
	v := o.Outbox.Answer(id, der)
	return v.Done, v.After
}
