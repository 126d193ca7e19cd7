package check

import "mohr.internal/kiosk/profile"

// PINState is what the token says about its user PIN before anything is sent.
// It has the fields of the token layer's state, in its order, so that one
// converts to the other. The flags are hints (PKCS #11, CKF_USER_PIN_*).
type PINState struct {
	Low, Final, Locked, ToBeChanged bool
	TriesLeft                       int // -1 if not known
}

// Consent is given anew for each entry of a PIN.
type Consent struct {
	Holder, Officer bool
}

// PIN says whether one PIN may be sent to the token. Where counter and flags
// disagree the stricter counts.
func PIN(p *profile.Profile, s PINState, c Consent) Findings {
	var f Findings
	if s.ToBeChanged {
		f.add(PINChange, Warn, "the token asks for a change")
	}
	tries := s.TriesLeft
	if s.Final && (tries < 0 || tries > 1) {
		tries = 1
	}
	few := s.Low || tries >= 0 && tries <= p.PIN.ConsentAt
	switch {
	case s.Locked || tries == 0:
		f.add(PINLocked, Refuse, "no tries left")
	case tries > 0 && tries <= max(1, p.PIN.StopAt):
		f.add(PINFinal, Refuse, "%d tries left", tries)
	case few && !(c.Holder && c.Officer):
		f.add(PINLow, Refuse, "%d tries left (-1: not known)", tries)
	case few:
		f.add(PINConsented, Warn, "%d tries left (-1: not known), both consented", tries)
	case tries < 0:
		f.add(PINUncounted, Info, "the token does not count aloud")
	}
	return f
}
