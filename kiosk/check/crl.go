package check

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"time"
)

// MaxCRL bounds a revocation list in bytes of DER.
const MaxCRL = 16 << 20

// ParseCRL reads one DER revocation list within the limit. Its signature is
// checked where it is used, when the issuer is known.
func ParseCRL(der []byte) (*x509.RevocationList, error) {
	if len(der) > MaxCRL {
		return nil, fmt.Errorf("check: CRL of %d bytes, limit %d", len(der), MaxCRL)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("check: parse CRL: %w", err)
	}
	return list, nil
}

// revocation looks up every certificate of the path in its issuer's newest
// usable CRL.
func revocation(in Input, r *Result) {
	for i := 0; i+1 < len(r.Chain); i++ {
		cert, issuer := r.Chain[i], r.Chain[i+1]
		list, unusable := newest(in.CRLs, issuer)
		if unusable != nil && i == 0 {
			r.add(CRLUnusable, Warn, "%v", unusable)
		}
		if list == nil {
			if i == 0 && unusable == nil {
				r.add(CRLMissing, Warn, "no CRL of the issuer is here")
			}
			continue
		}
		if entry := lookUp(list, cert); entry != nil {
			rule := CertRevoked
			if i > 0 {
				rule = ChainRevoked
			}
			r.add(rule, Refuse, "revoked %s, reason %d", stamp(entry.RevocationTime), entry.ReasonCode)
		}
		if i == 0 {
			r.CRLUpdate = list.ThisUpdate
			age(in, list, &r.Findings)
		}
	}
}

// age judges a CRL by the time. A wrong clock makes these at most a wrong
// warning, so they do not depend on its proof.
func age(in Input, list *x509.RevocationList, f *Findings) {
	now := in.Clock.Now
	limit := time.Duration(in.Profile.CA.CRLMaxAgeDays) * 24 * time.Hour
	switch {
	case !list.NextUpdate.IsZero() && now.After(list.NextUpdate):
		f.add(CRLStale, Warn, "next update was due %s", stamp(list.NextUpdate))
	case now.Sub(list.ThisUpdate) > limit:
		f.add(CRLStale, Warn, "made %s", stamp(list.ThisUpdate))
	case list.ThisUpdate.Sub(now) > time.Duration(in.Profile.Clock.MaxDriftSecs)*time.Second:
		f.add(CRLFuture, Warn, "made %s", stamp(list.ThisUpdate))
	}
}

// newest picks the issuer's latest usable CRL: a hold lifted since must not
// count. The error says why a CRL in the issuer's name was not used.
func newest(lists []*x509.RevocationList, issuer *x509.Certificate) (best *x509.RevocationList, unusable error) {
	for _, l := range lists {
		if !bytes.Equal(l.RawIssuer, issuer.RawSubject) {
			continue
		}
		if err := l.CheckSignatureFrom(issuer); err != nil {
			unusable = fmt.Errorf("signature of a CRL in the issuer's name does not verify")
			continue
		}
		if err := complete(l); err != nil {
			unusable = err
			continue
		}
		if best == nil || l.ThisUpdate.After(best.ThisUpdate) {
			best = l
		}
	}
	return best, unusable
}

var oidDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 28}

// complete refuses delta, indirect and partial CRLs and any critical extension
// not understood (RFC 5280, 5.2).
func complete(l *x509.RevocationList) error {
	for _, e := range l.Extensions {
		switch {
		case !e.Critical:
		case !e.Id.Equal(oidDistributionPoint):
			return fmt.Errorf("CRL has the critical extension %v", e.Id)
		case !coversHolders(e.Value):
			return fmt.Errorf("CRL does not cover all holders")
		}
	}
	return nil
}

// coversHolders reads an IssuingDistributionPoint (RFC 5280, 5.2.5) and
// accepts a name [0] and onlyContainsUserCerts [1].
func coversHolders(value []byte) bool {
	var fields []asn1.RawValue
	if rest, err := asn1.Unmarshal(value, &fields); err != nil || len(rest) > 0 {
		return false
	}
	for _, f := range fields {
		if f.Class != asn1.ClassContextSpecific || f.Tag > 1 {
			return false
		}
	}
	return true
}

// removeFromCRL is the reason that takes an entry back (RFC 5280, 5.3.1).
const removeFromCRL = 8

func lookUp(l *x509.RevocationList, cert *x509.Certificate) *x509.RevocationListEntry {
	for i := range l.RevokedCertificateEntries {
		e := &l.RevokedCertificateEntries[i]
		if e.SerialNumber.Cmp(cert.SerialNumber) == 0 && e.ReasonCode != removeFromCRL {
			return e
		}
	}
	return nil
}
