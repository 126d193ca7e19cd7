package cmptest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Kind of behaviour.
type Kind int

// What the CA does with the next message. "Issues" means that the certificate
// is made, recorded in [CA.Issued], and given to whoever sends the same bytes
// again later; a lying answer is never repeated once the CA behaves again.
const (
	Issue            Kind = iota // check and issue
	WaitPolls                    // status waiting, until asked N more times (pollReq, or the same bytes again)
	WaitReleased                 // status waiting, until Release is called
	Reject                       // a good request is refused with Text, for good
	Garbage                      // status 200, random-looking bytes
	Silence                      // nothing, until the client gives up or SilenceLimit is over
	OtherKey                     // a certificate for a key made up on the spot
	OtherSubject                 // a certificate for the new key, in another person's name
	OtherTransaction             // issues; the answer carries another transactionID
	WrongNonce                   // issues; the answer carries another recipNonce
	ForeignSigner                // issues; the answer is protected by the impostor's responder
	Truncated                    // issues; the last third of the answer is missing
	Huge                         // status 200, the type of CMP, 10 MB
	HTML200                      // status 200, a captive portal's page
	UnprotectedError             // a CMP error message without protection
	HTTP500                      // status 500
	HTTP503                      // status 503 with Retry-After: N seconds
	DropAfterIssue               // issues; the connection breaks before the answer
)

var kindNames = []string{
	"issue", "wait-polls", "wait-released", "reject", "garbage", "silence", "other-key", "other-subject",
	"other-transaction", "wrong-nonce", "foreign-signer", "truncated", "huge", "html-200", "unprotected-error",
	"http-500", "http-503", "drop-after-issue",
}

func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("Kind(%d)", int(k))
	}
	return kindNames[k]
}

// Kinds lists every kind, in the order of the constants.
func Kinds() []Kind {
	kinds := make([]Kind, len(kindNames))
	for i := range kinds {
		kinds[i] = Kind(i)
	}
	return kinds
}

// Behaviour is how the CA answers. The zero value issues.
type Behaviour struct {
	Kind Kind
	N    int    // WaitPolls: times to ask; HTTP503: seconds
	Text string // Reject: the words for the status string
}

const maxBehaviourN = 1_000_000

// ParseBehaviour reads the form that String writes: a kind's name, and for
// wait-polls, http-503 and reject a value after "=", as in "wait-polls=2".
func ParseBehaviour(s string) (Behaviour, error) {
	name, value, has := strings.Cut(s, "=")
	i := slices.Index(kindNames, name)
	if i < 0 {
		return Behaviour{}, fmt.Errorf("cmptest: no behaviour %q", name)
	}
	b := Behaviour{Kind: Kind(i)}
	switch {
	case !has:
	case b.Kind == Reject:
		b.Text = value
	case b.Kind == WaitPolls || b.Kind == HTTP503:
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 || n > maxBehaviourN {
			return Behaviour{}, fmt.Errorf("cmptest: behaviour %s: %q is no number from 0 to %d", name, value, maxBehaviourN)
		}
		b.N = n
	default:
		return Behaviour{}, fmt.Errorf("cmptest: behaviour %s takes no value, got %q", name, value)
	}
	return b, nil
}

func (b Behaviour) String() string {
	switch b.Kind {
	case WaitPolls, HTTP503:
		return b.Kind.String() + "=" + strconv.Itoa(b.N)
	case Reject:
		if b.Text != "" {
			return b.Kind.String() + "=" + b.Text
		}
	}
	return b.Kind.String()
}

// atTheDoor reports whether the message is answered without being looked at.
func (k Kind) atTheDoor() bool {
	switch k {
	case Garbage, Silence, Huge, HTML200, UnprotectedError, HTTP500, HTTP503:
		return true
	}
	return false
}

// lies reports whether an answer so given must not be kept for the next time.
func (k Kind) lies() bool {
	switch k {
	case OtherKey, OtherSubject, OtherTransaction, WrongNonce, ForeignSigner:
		return true
	}
	return false
}
