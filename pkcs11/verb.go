package pkcs11

import (
	"fmt"
	"time"
)

// Verb is what a frame asks for.
type Verb uint8

// The verbs. Their numbers are part of the protocol.
const (
	VerbTokens           Verb = 1
	VerbSelect           Verb = 2
	VerbObjects          Verb = 3
	VerbLogin            Verb = 4
	VerbLogout           Verb = 5
	VerbLoginState       Verb = 6
	VerbGenerateKey      Verb = 7
	VerbSign             Verb = 8
	VerbWriteCertificate Verb = 9
	VerbReadCertificates Verb = 10
	VerbChangePIN        Verb = 11
	VerbRetire           Verb = 12
	VerbRandom           Verb = 13
	VerbExit             Verb = 14
)

// verbs has the name and the default deadline of each verb. A deadline covers a
// slow card, not a slow person: nobody is asked for anything while it runs.
var verbs = map[Verb]struct {
	name     string
	deadline time.Duration
}{
	VerbTokens:           {"tokens", 15 * time.Second}, // first verb: C_Initialize may start a reader
	VerbSelect:           {"select", 10 * time.Second},
	VerbObjects:          {"objects", 30 * time.Second},
	VerbLogin:            {"login", 20 * time.Second},
	VerbLogout:           {"logout", 10 * time.Second},
	VerbLoginState:       {"login state", 10 * time.Second},
	VerbGenerateKey:      {"generate key", 120 * time.Second}, // RSA on a card: 6 to 60 s
	VerbSign:             {"sign", 30 * time.Second},
	VerbWriteCertificate: {"write certificate", 30 * time.Second},
	VerbReadCertificates: {"read certificates", 30 * time.Second},
	VerbChangePIN:        {"change PIN", 20 * time.Second},
	VerbRetire:           {"retire", 60 * time.Second},
	VerbRandom:           {"random", 10 * time.Second},
	VerbExit:             {"exit", 5 * time.Second},
}

// String gives the verb's name as errors and logs show it.
func (v Verb) String() string {
	if e, ok := verbs[v]; ok {
		return e.name
	}
	return fmt.Sprintf("verb %d", uint8(v))
}

// Known says whether v is one of the verbs above.
func (v Verb) Known() bool { _, ok := verbs[v]; return ok }

// SpendsTry says whether the verb may cost the token's owner a PIN try, so that
// a missing reply leaves the outcome unknown.
func (v Verb) SpendsTry() bool { return v == VerbLogin || v == VerbChangePIN }

// Deadlines overrides the default time a verb may take.
type Deadlines map[Verb]time.Duration

// For gives the deadline of a verb: the override, else the default.
func (d Deadlines) For(v Verb) time.Duration {
	if t, ok := d[v]; ok {
		return t
	}
	if e, ok := verbs[v]; ok {
		return e.deadline
	}
	return 10 * time.Second
}
