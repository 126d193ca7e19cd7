package check

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"

	"mohr.internal/kiosk/nationalid"
	"mohr.internal/kiosk/profile"
)

// Officer checks the certificate on the officer's token against the profile's
// list. office is this kiosk's; holder is the citizen's, the zero value before
// a citizen is there. Possession of the key is proven elsewhere, by a challenge.
func Officer(p *profile.Profile, cert *x509.Certificate, office string, holder Holder, crls []*x509.RevocationList, clock Clock) (profile.Officer, Findings) {
	var f Findings
	var who profile.Officer
	digest := profile.Digest(sha256.Sum256(cert.Raw))
	found := 0
	for _, o := range p.Officers {
		eq := subtle.ConstantTimeCompare(o.Certificate[:], digest[:])
		if eq == 1 {
			who = o
		}
		found |= eq
	}
	clock.mark(&f)
	if found == 0 {
		f.add(OfficerUnknown, Refuse, "certificate %s… is not in the profile", digest.String()[:16])
		return who, f
	}
	if who.Office != office {
		f.add(OfficerOffice, Refuse, "office %s, kiosk at %s", who.Office, office)
	}
	if clock.Proven {
		if clock.Now.After(who.NotAfter) {
			f.add(OfficerEnded, Refuse, "appointment ended %s", stamp(who.NotAfter))
		}
		if clock.Now.After(who.TrainingUntil) {
			f.add(OfficerTraining, Refuse, "training was due %s", stamp(who.TrainingUntil))
		}
		if clock.Now.After(cert.NotAfter) || clock.Now.Before(cert.NotBefore) {
			f.add(OfficerCertificate, Refuse, "certificate valid %s to %s", stamp(cert.NotBefore), stamp(cert.NotAfter))
		}
	}
	if officerRevoked(p, cert, crls) {
		f.add(OfficerRevoked, Refuse, "certificate is in its issuer's CRL")
	}
	if u := cert.KeyUsage; u != 0 && u&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 {
		f.add(OfficerCertificate, Refuse, "key usage does not allow signatures")
	}
	f = append(f, PublicKey(cert.PublicKey)...)
	own, _ := Subject(p, cert)
	if holder.ID != "" && nationalid.Equal(own.ID, holder.ID) {
		f.add(OfficerIsHolder, Refuse, "officer and holder have the same number")
	}
	return who, f
}

// officerRevoked looks into the CRLs of those CA certificates of the profile
// that issued the officer's. The list in the profile is what makes an officer,
// so an issuer outside it is no refusal.
func officerRevoked(p *profile.Profile, cert *x509.Certificate, crls []*x509.RevocationList) bool {
	for _, list := range [][]profile.Certificate{p.Anchors, p.Chain} {
		for _, ca := range list {
			if !bytes.Equal(ca.RawSubject, cert.RawIssuer) || cert.CheckSignatureFrom(ca.Certificate) != nil {
				continue
			}
			if l, _ := newest(crls, ca.Certificate); l != nil && lookUp(l, cert) != nil {
				return true
			}
		}
	}
	return false
}
