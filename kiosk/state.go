package kiosk

import "fmt"

// State is how far a renewal has come. Only what must survive a power cut is a
// state; PINs and token sessions never are.
type State uint8

// The states of a renewal, in the order of the ceremony, then the two ends.
const (
	None             State = iota
	TokenRead              // certificate read and checked; nothing asked of anyone yet
	IdentityVerified       // the officer has compared document and face
	OfficerApproved        // the officer and the holder agreed to what will be signed
	KeyReady               // the new key pair is on the token (or is kept, by profile)
	RequestSigned          // request, attestation and nesting are in the journal
	Stored                 // read back from the journal and found equal
	Receipted              // a receipt was signed and may be shown
	Delivered              // the CA has answered
	Issued                 // the CA's certificate was verified and is in the journal
	Loaded                 // certificate on the token, read back, new key proven
	Refused                // a rule or the CA said no
	Abandoned              // stopped before anything was signed
)

var stateNames = [...]string{
	None: "None", TokenRead: "TokenRead", IdentityVerified: "IdentityVerified", OfficerApproved: "OfficerApproved",
	KeyReady: "KeyReady", RequestSigned: "RequestSigned", Stored: "Stored", Receipted: "Receipted",
	Delivered: "Delivered", Issued: "Issued", Loaded: "Loaded", Refused: "Refused", Abandoned: "Abandoned",
}

// String is the state's name as it stands in the journal.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// ParseState is the inverse of String; an unknown name is an error.
func ParseState(name string) (State, error) {
	for s, n := range stateNames {
		if n == name {
			return State(s), nil
		}
	}
	return None, fmt.Errorf("kiosk: unknown state %q", name)
}

// transitions lists every change of state that is allowed; what is not here is
// refused by Ledger.advance.
var transitions = map[State][]State{
	None:             {TokenRead, Issued}, // at once where another kiosk made the request
	TokenRead:        {IdentityVerified, Refused, Abandoned},
	IdentityVerified: {OfficerApproved, Refused, Abandoned},
	OfficerApproved:  {KeyReady, Refused, Abandoned},
	KeyReady:         {RequestSigned, Refused, Abandoned},
	RequestSigned:    {Stored},
	Stored:           {Receipted},
	Receipted:        {Delivered},
	Delivered:        {Issued, Refused},
	Issued:           {Loaded, Refused},
}

func allowed(from, to State) bool {
	for _, s := range transitions[from] {
		if s == to {
			return true
		}
	}
	return false
}

// Ended says whether nothing more can happen to the renewal.
func (s State) Ended() bool { return s == Loaded || s == Refused || s == Abandoned }

// Signed says whether a request exists: such a renewal is finished after a
// restart, an earlier one is abandoned.
func (s State) Signed() bool { return s >= RequestSigned && s <= Issued }
