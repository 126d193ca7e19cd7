package check

import (
	"mohr.internal/kiosk/nationalid"
	"mohr.internal/kiosk/persian"
	"mohr.internal/kiosk/profile"
)

// TypedID compares the number the officer typed from the document in hand with
// the certificate's. A number that cannot be right is told apart from a wrong
// one, so that a slip of the finger can be typed again without learning
// anything about the certificate. padZeros is the officer's consent to complete
// a national ID with leading zeros.
func TypedID(p *profile.Profile, holder Holder, typed string, padZeros bool) Findings {
	var f Findings
	n := nationalid.Clean(typed)
	if padded, ok := nationalid.Pad(n); ok && padZeros && holder.Kind == National {
		n = padded
	}
	kind, length := nationalid.KindNone, 0
	switch holder.Kind {
	case National:
		kind = p.Subject.Checksum
	case Legal:
		kind = p.Subject.LegalChecksum
	}
	switch kind {
	case nationalid.KindNational:
		length = nationalLength
	case nationalid.KindLegal:
		length = legalLength
	}
	switch {
	case n == "", length > 0 && (len(n) != length || !isDigits(n)):
		f.add(TypedFormat, Refuse, "%d characters", len(n))
	case !nationalid.Valid(kind, n):
		f.add(TypedChecksum, Refuse, "check digit of the typed number")
	case !nationalid.Equal(n, holder.ID):
		f.add(TypedMismatch, Refuse, "typed number is another one")
	}
	return f
}

// Tracking normalises the tracking code given after payment and checks it.
func Tracking(p *profile.Profile, typed string) (string, Findings) {
	var f Findings
	code := nationalid.Clean(persian.ASCII(typed))
	rule := p.Tracking
	switch {
	case typed == "" && rule.Required:
		f.add(TrackingMissing, Refuse, "the profile asks for a tracking code")
	case typed == "":
	case !isDigits(code) || len(code) < rule.MinDigits || len(code) > rule.MaxDigits:
		f.add(TrackingFormat, Refuse, "%d characters, want %d to %d digits", len(code), rule.MinDigits, rule.MaxDigits)
		code = ""
	}
	return code, f
}
