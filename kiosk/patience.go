package kiosk

import (
	"time"

	"mohr.internal/kiosk/cmp"
)

// Waits of the outbox after an answer that settles nothing. syncd adds jitter.
const (
	retryBad     = 30 * time.Second // the first one; each further one in a row twice as long,
	retryMost    = 15 * time.Minute // at most this
	retryWaiting = 5 * time.Minute  // at least, while the CA waits and the token is out
)

// waitAfter is the wait after the n-th answer in a row that settled nothing.
func waitAfter(n int) time.Duration {
	return min(retryBad<<min(max(n-1, 0), 10), retryMost)
}

// maxRefusals is how often a CA may refuse a certConf before it is put aside: with
// waits that double from retryWaiting that is after two and a half hours.
const maxRefusals = 6

// refused is what becomes of a certConf that the CA will not take. The certificate
// is on the token and good; but a CA may revoke what is not confirmed in time, so the
// reason goes into the journal, once, and people are told. After maxRefusals it is put
// aside until the next start, and stays in the journal: somebody has to talk to the CA.
func (o *Outbox) refused(n Renewal, a cmp.Answer) (Verdict, error) {
	o.refusals[n.ID]++
	times := o.refusals[n.ID]
	o.log.Warn("certConf refused", "renewal", n.ID, "times", times, "status", a.Status, "failure", a.FailInfo) // the CA's words may name somebody
	if n.Trouble != RuleCAConfirm {
		err := o.ledger.note(n.ID, EventConfirmRefused, func(r *Record) {
			r.Rule, r.Notes = RuleCAConfirm, []string{clip(a.StatusInfo.String())}
		})
		if err != nil {
			return Verdict{}, err
		}
	}
	if times >= maxRefusals {
		return Verdict{Done: true}, nil
	}
	return Verdict{After: retryWaiting << (times - 1)}, nil
}
