package receipt

import (
	"fmt"
	"time"
)

// State is what the kiosk asserts (private claim 1).
type State uint8

const (
	Recorded State = 1 // the signed request is kept; the CA has not answered
	Accepted State = 2 // the kiosk holds the certificate the CA issued
	Refused  State = 3 // there will be no certificate from this request
)

func (s State) String() string {
	switch s {
	case Recorded:
		return "recorded"
	case Accepted:
		return "accepted"
	case Refused:
		return "refused"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Clock is how well the kiosk knew the time (private claim 8). Most kiosks
// have no clock that runs while they are off.
type Clock uint8

const (
	ClockUnproven Clock = 1 // not compared with anything since the kiosk started
	ClockKept     Clock = 2 // compared earlier and kept by a battery since
	ClockTrusted  Clock = 3 // in step with a source the kiosk trusts since it started
)

func (c Clock) String() string {
	switch c {
	case ClockUnproven:
		return "unproven"
	case ClockKept:
		return "kept"
	case ClockTrusted:
		return "trusted"
	}
	return fmt.Sprintf("Clock(%d)", uint8(c))
}

// Receipt is one statement of one kiosk. Times are whole seconds.
type Receipt struct {
	Time     time.Time // claim 6
	Clock    Clock     // 8
	State    State     // 1
	Tracking uint64    // 2: what a person quotes; below 2^32 to stay in QR version 9
	Request  [32]byte  // 3: SHA-256 of the request's DER; zero only when Refused
	OldCert  [16]byte  // 4: of the certificate that is renewed; zero when there is none
	Seq      uint64    // 5: rises with each receipt of a kiosk, from 1
	Kiosk    uint32    // 7
	Head     [16]byte  // 9: checkpoint, the hash of the journal's last record when this was signed; zero for none
	HeadSeq  uint64    // 10: that record's number; zero with Head
}

// lastTime is the end of the year 9999, the last that RFC 3339 can write.
const lastTime = 253402300799

// check is RCPT-FIELD: values no receipt can have, on the way out as on the
// way in.
func (r Receipt) check() error {
	refuse := func(format string, a ...any) error {
		return &Refusal{Rule: "RCPT-FIELD", Why: fmt.Sprintf(format, a...)}
	}
	switch t := r.Time.Unix(); {
	case r.State < Recorded || r.State > Refused:
		return refuse("state %d", uint8(r.State))
	case r.Clock < ClockUnproven || r.Clock > ClockTrusted:
		return refuse("clock quality %d", uint8(r.Clock))
	case t < 0 || t > lastTime:
		return refuse("time %d", t)
	case r.Tracking == 0:
		return refuse("no tracking number")
	case r.Seq == 0:
		return refuse("no sequence number")
	case r.Kiosk == 0:
		return refuse("no kiosk number")
	case r.Request == [32]byte{} && r.State != Refused:
		return refuse("%s without a request", r.State)
	case (r.Head == [16]byte{}) != (r.HeadSeq == 0):
		return refuse("checkpoint %x at record %d", r.Head, r.HeadSeq)
	}
	return nil
}
