package check

import (
	"crypto/sha256"
	"crypto/x509"
	"time"

	"mohr.internal/kiosk/profile"
)

// Decision says whether this is a first renewal, and how that is known.
type Decision struct {
	First   bool   // identity has to be checked in person
	Signal  string // the profile's signal that decided; "unknown" if none knew
	Remote  int    // renewals without presence so far, -1 if not known
	Present bool   // a later renewal that needs presence again all the same
}

// Kind is "first" or "later", as it stands in the attestation.
func (d Decision) Kind() string {
	if d.First {
		return "first"
	}
	return "later"
}

// Unknown is the signal's name when no signal knew.
const Unknown = "unknown"

// Register is the CA's list of issued certificates as cached on the kiosk.
type Register struct {
	Date    time.Time // when the CA made it
	Entries map[[32]byte]Entry
}

// Entry is what the register says about one certificate, by CertificateID.
type Entry struct {
	Renewals int       // how many renewals led to this certificate; 0: it is a first one
	Remote   int       // of these without presence, since the last presence
	Presence time.Time // when the holder was last seen; zero if not known
}

// CertificateID is SHA-256 over the issuer's DER name and the serial number's
// big-endian bytes: the key of the register and of the profile's list.
func CertificateID(cert *x509.Certificate) [32]byte {
	h := sha256.New()
	h.Write(cert.RawIssuer)
	h.Write(cert.SerialNumber.Bytes())
	return [32]byte(h.Sum(nil))
}

// Renewal asks the profile's signals in their order; the first that knows
// decides. Not known counts as a first renewal.
func Renewal(in Input, holder Holder) (Decision, Findings) {
	var f Findings
	d := Decision{First: true, Signal: Unknown, Remote: -1}
	var presence time.Time
	for _, signal := range in.Profile.Renewal.Signals {
		later, known := ask(in, holder, signal)
		if !known {
			continue
		}
		d.First, d.Signal = !later, signal
		if signal == profile.SignalRegister {
			entry := in.Register.Entries[CertificateID(in.Leaf)]
			d.Remote, presence = entry.Remote, entry.Presence
		}
		break
	}
	switch {
	case d.Signal == Unknown:
		f.add(RenewalUnknown, Info, "no signal knows; counts as first")
	case !d.First && tooLong(in, d, presence):
		d.Present = true
		f.add(RenewalPresence, Info, "presence is due again")
	case !d.First:
		f.add(RenewalLater, Info, "by signal %s", d.Signal)
	}
	return d, f
}

// ask returns whether a signal says later, and whether it knows at all.
func ask(in Input, holder Holder, signal string) (later, known bool) {
	rule := in.Profile.Renewal
	switch signal {
	case profile.SignalRegister:
		if in.Register == nil {
			return false, false
		}
		entry, ok := in.Register.Entries[CertificateID(in.Leaf)]
		return entry.Renewals > 0, ok
	case profile.SignalPolicy:
		isLater, isFirst := hasPolicy(in.Leaf, rule.LaterPolicies), hasPolicy(in.Leaf, rule.FirstPolicies)
		return isLater && !isFirst, isLater || isFirst
	case profile.SignalRenewed:
		id := profile.Digest(CertificateID(in.Leaf))
		for _, r := range rule.Renewed {
			if r == id {
				return true, true
			}
		}
	case profile.SignalOlder:
		for _, c := range in.Holders {
			other, f := Subject(in.Profile, c)
			if f.Err() == nil && other.ID == holder.ID && holder.ID != "" && c.NotBefore.Before(in.Leaf.NotBefore) &&
				issued(in, c) {
				return true, true
			}
		}
	case profile.SignalNotBefore:
		return false, in.Leaf.NotBefore.Before(rule.Began)
	}
	return false, false
}

// issued tells whether another certificate of the token comes from a pinned
// CA; one anybody can make says nothing.
func issued(in Input, cert *x509.Certificate) bool {
	in.Leaf = cert
	chain, err := chainAt(in, cert.NotBefore)
	return err == nil && len(chain) > 1
}

func hasPolicy(cert *x509.Certificate, list []profile.OID) bool {
	for _, have := range cert.PolicyIdentifiers {
		for _, want := range list {
			if want.Is(have) {
				return true
			}
		}
	}
	return false
}

// tooLong applies the profile's limits on renewals without presence. What the
// register does not know cannot exceed a limit; the CA has the last word.
func tooLong(in Input, d Decision, presence time.Time) bool {
	rule := in.Profile.Renewal
	if rule.MaxRemoteRenewals != nil && d.Remote >= *rule.MaxRemoteRenewals {
		return true
	}
	return rule.MaxInPersonDays != nil && !presence.IsZero() &&
		in.Clock.Now.After(presence.AddDate(0, 0, *rule.MaxInPersonDays))
}

// window says whether the day is right for a renewal.
func window(in Input, r *Result) {
	days := in.Profile.Renewal.WindowDays
	if days == nil {
		r.add(WindowUnknown, Info, "no window is published")
	} else if opens := in.Leaf.NotAfter.AddDate(0, 0, -*days); in.Clock.Now.Before(opens) {
		r.add(WindowEarly, in.Clock.against(), "opens %s", stamp(opens))
	}
	if in.Clock.Now.After(r.LatestSync) && !in.Clock.Now.After(in.Leaf.NotAfter) {
		r.add(SyncLate, Warn, "latest time for syncing was %s", stamp(r.LatestSync))
	}
}
