package check

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"time"

	"mohr.internal/kiosk/persian"
	"mohr.internal/kiosk/profile"
)

// Limits on what a token or a file may bring.
const (
	MaxCertificate = profile.MaxCertificate // bytes of DER
	MaxExtra       = 32                     // CA certificates from the token used to build a path
)

// Input is what Certificate looks at.
type Input struct {
	Profile  *profile.Profile
	Leaf     *x509.Certificate
	Extra    []*x509.Certificate    // CA certificates found on the token; help to build a path, trusted for nothing
	Holders  []*x509.Certificate    // other holders' certificates on the token, for SignalOlder
	CRLs     []*x509.RevocationList // from ParseCRL
	Register *Register              // the CA's register as cached; nil if there is none
	Clock    Clock
}

// Result is what is known after the checks.
type Result struct {
	Findings
	Holder     Holder
	Chain      []*x509.Certificate // leaf to anchor; empty if there is no path
	DaysLeft   int                 // calendar days in the profile's zone; 0 on the last day, negative afterwards
	Decision   Decision            // first or later
	LatestSync time.Time           // the request has to reach the CA by then
	TimeProven bool
	CRLUpdate  time.Time // thisUpdate of the CRL used for the leaf; zero if none
}

// Certificate makes all checks on the holder's certificate.
func Certificate(in Input) Result {
	var r Result
	p, leaf := in.Profile, in.Leaf
	r.TimeProven = in.Clock.Proven
	r.DaysLeft = persian.DaysIn(p.Clock.Location(), in.Clock.Now, leaf.NotAfter)
	r.LatestSync = leaf.NotAfter.AddDate(0, 0, -p.CA.SyncMarginDays)
	if leaf.IsCA {
		r.add(CertIsCA, Refuse, "basicConstraints says CA")
	}
	in.Clock.mark(&r.Findings)
	validity(in, &r)
	path(in, &r)
	usage(leaf, &r.Findings)
	r.Findings = append(r.Findings, PublicKey(leaf.PublicKey)...)
	holder, found := Subject(p, leaf)
	r.Holder = holder
	r.Findings = append(r.Findings, found...)
	window(in, &r)
	decision, found := Renewal(in, holder)
	r.Decision = decision
	r.Findings = append(r.Findings, found...)
	return r
}

// ParseCertificate reads one DER certificate within the limits. The error is a
// *Refusal by CERT-UNREADABLE.
func ParseCertificate(der []byte) (*x509.Certificate, error) {
	if len(der) > MaxCertificate {
		return nil, &Refusal{CertUnreadable, "over 16 KiB"}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, &Refusal{CertUnreadable, err.Error()}
	}
	if bits(cert.PublicKey) > maxParsedBits {
		return nil, &Refusal{CertUnreadable, "key too large"}
	}
	return cert, nil
}

// validity compares the leaf's validity with the time; both ends are included
// (RFC 5280, 4.1.2.5).
func validity(in Input, r *Result) {
	if !in.Clock.Proven {
		return
	}
	if in.Clock.Now.After(in.Leaf.NotAfter) {
		r.add(CertExpired, Refuse, "ended %s", stamp(in.Leaf.NotAfter))
	}
	if in.Clock.Now.Before(in.Leaf.NotBefore) {
		r.add(CertNotYetValid, Refuse, "begins %s", stamp(in.Leaf.NotBefore))
	}
}

// path builds the chain to a pinned anchor and looks at revocation.
//
// The leaf's own dates are judged by validity, so the path is built at a time
// within them: now, or the nearer end. If there is none, the time of issue is
// tried: a path then says that a CA certificate has run out since.
func path(in Input, r *Result) {
	leaf := in.Leaf
	if weakSignature(leaf.SignatureAlgorithm) {
		r.add(CertSignature, Refuse, "signed with %v", leaf.SignatureAlgorithm)
		return
	}
	if len(leaf.UnhandledCriticalExtensions) > 0 {
		r.add(CertCritical, Refuse, "critical extension %v", leaf.UnhandledCriticalExtensions[0])
		return
	}
	if leaf.IsCA {
		return
	}
	chain, err := chainAt(in, clamp(in.Clock.Now, leaf.NotBefore, leaf.NotAfter))
	if err != nil {
		if chain, _ = chainAt(in, leaf.NotBefore); chain == nil {
			r.add(CertForeign, Refuse, "%v", brief(err))
			return
		}
		r.add(ChainTime, in.Clock.against(), "a CA certificate of the path is outside its validity")
	}
	r.Chain = chain
	revocation(in, r)
}

// chainAt verifies the leaf as it would have been at a time.
func chainAt(in Input, at time.Time) ([]*x509.Certificate, error) {
	roots, between := in.Profile.Pool(), x509.NewCertPool()
	for _, c := range in.Profile.Intermediates() {
		between.AddCert(c)
	}
	for _, c := range in.Extra[:min(len(in.Extra), MaxExtra)] {
		if c.IsCA && bits(c.PublicKey) <= maxParsedBits {
			between.AddCert(c)
		}
	}
	if at.IsZero() { // the zero time would make Verify look at the system's clock
		at = at.Add(time.Second)
	}
	chains, err := in.Leaf.Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: between,
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, err
	}
	return chains[0], nil
}

// brief drops the certificate's names from an error of x509: findings hold
// nothing about the holder.
func brief(err error) string {
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "signed by an authority that is not pinned"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "no path within validity"
	}
	return "no valid path to a pinned CA certificate"
}

func clamp(t, low, high time.Time) time.Time {
	if t.Before(low) {
		return low
	}
	if t.After(high) {
		return high
	}
	return t
}

func weakSignature(a x509.SignatureAlgorithm) bool {
	return slices.Contains([]x509.SignatureAlgorithm{x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1}, a)
}

var oidKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 15}

// usage asks for digitalSignature, which protects the CMP message. Without the
// extension every usage is allowed (RFC 5280, 4.2.1.3).
func usage(leaf *x509.Certificate, f *Findings) {
	present := false
	for _, e := range leaf.Extensions {
		present = present || e.Id.Equal(oidKeyUsage)
	}
	switch u := leaf.KeyUsage; {
	case !present, u&x509.KeyUsageDigitalSignature != 0:
	case u&x509.KeyUsageContentCommitment != 0:
		f.add(CertNonRepudiation, Refuse, "key usage is nonRepudiation without digitalSignature")
	default:
		f.add(CertKeyUsage, Refuse, "key usage lacks digitalSignature")
	}
}
