package check

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mohr.internal/kiosk/profile"
)

// boundary is one edge of one rule: on the good side the rule is silent, on
// the bad side it is the only one to speak. Findings listed in besides are
// those that lie on the good side of this edge.
type boundary struct {
	rule     string
	severity Severity
	good     func(w *world) Findings
	bad      func(w *world) Findings
	besides  []string
}

// cert runs the certificate's checks after a change.
func cert(change func(w *world)) func(w *world) Findings {
	return func(w *world) Findings {
		change(w)
		return w.certificate().Findings
	}
}

func asIs(*world) {}

func revoked(reason int) []x509.RevocationListEntry {
	return []x509.RevocationListEntry{{SerialNumber: leafSerial, RevocationTime: now.Add(-day), ReasonCode: reason}}
}

var certificateBoundaries = []boundary{
	{CertIsCA, Refuse, cert(asIs), cert(func(w *world) { w.leaf.IsCA = true; w.leaf.KeyUsage |= x509.KeyUsageCertSign }), nil},
	{CertCritical, Refuse,
		cert(func(w *world) {
			w.leaf.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 999, 1}, Value: []byte{5, 0}}}
		}),
		cert(func(w *world) {
			w.leaf.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 999, 1}, Critical: true, Value: []byte{5, 0}}}
		}), nil},
	{CertSignature, Refuse, cert(func(w *world) { w.weak = x509.ECDSAWithSHA256 }), cert(func(w *world) { w.weak = x509.ECDSAWithSHA1 }), nil},
	{CertSignature, Refuse, cert(asIs), cert(func(w *world) { w.weak = x509.SHA1WithRSA }), nil},
	{CertForeign, Refuse, cert(asIs), cert(func(w *world) { w.issuer = otherKey }), nil},
	{CertForeign, Refuse, cert(pinIssuing), cert(pinOther), nil},
	{CertForeign, Refuse, cert(asIs), cert(func(w *world) { w.build(); w.profile.Chain = nil }), nil},
	{ChainTime, Refuse, cert(func(w *world) { w.issuing.NotAfter = now }), cert(func(w *world) { w.issuing.NotAfter = now.Add(-time.Second) }), nil},
	{ChainTime, Refuse, cert(func(w *world) { w.root.NotAfter = now }), cert(func(w *world) { w.root.NotAfter = now.Add(-time.Second) }), nil},
	{CertExpired, Refuse, cert(endsIn(0)), cert(endsIn(-time.Second)), nil},
	{CertNotYetValid, Refuse, cert(func(w *world) { w.leaf.NotBefore = now }), cert(func(w *world) { w.leaf.NotBefore = now.Add(time.Second) }), nil},
	{TimeUnproven, Warn, cert(asIs), cert(func(w *world) { w.clock.Proven = false }), nil},
	{TimeUnproven, Warn, cert(endsIn(0)), cert(func(w *world) { endsIn(-time.Second)(w); w.clock.Proven = false }), nil},
	{TimeUnproven, Warn, cert(asIs), cert(func(w *world) { w.leaf.NotBefore = now.Add(day); w.clock.Proven = false }), nil},
	{CertRevoked, Refuse,
		cert(func(w *world) { w.crls[0].revoked = revoked(1); w.leaf.SerialNumber = issuingSerial }),
		cert(func(w *world) { w.crls[0].revoked = revoked(1) }), nil},
	{CertRevoked, Refuse, cert(func(w *world) { w.crls[0].revoked = revoked(removeFromCRL) }), cert(func(w *world) { w.crls[0].revoked = revoked(6) }), nil},
	{CertRevoked, Refuse, // the newest list counts: a hold that was lifted
		cert(func(w *world) {
			w.crls = []crl{{at: now.Add(-2 * day), next: now.Add(day), revoked: revoked(6)}, w.crls[0]}
		}),
		cert(func(w *world) {
			w.crls = []crl{{at: now.Add(-2 * day), next: now.Add(day)}, {at: now.Add(-day), next: now.Add(day), revoked: revoked(6)}}
		}), nil},
	{ChainRevoked, Refuse,
		cert(func(w *world) { w.crls = append(w.crls, crl{byRoot: true, at: now, next: now, revoked: revoked(1)}) }),
		cert(func(w *world) {
			w.crls = append(w.crls, crl{byRoot: true, at: now, next: now, revoked: []x509.RevocationListEntry{{SerialNumber: issuingSerial, RevocationTime: now}}})
		}), nil},
	{CRLMissing, Warn, cert(asIs), cert(func(w *world) { w.crls = nil }), nil},
	{CRLMissing, Warn, cert(asIs), cert(func(w *world) { w.crls[0].byRoot = true }), nil},
	{CRLStale, Warn, cert(func(w *world) { w.crls[0].next = now }), cert(func(w *world) { w.crls[0].next = now.Add(-time.Second) }), nil},
	{CRLStale, Warn, cert(crlOf(-7*day, 30*day)), cert(crlOf(-7*day-time.Second, 30*day)), nil},
	{CRLFuture, Warn, cert(crlOf(120*time.Second, day)), cert(crlOf(121*time.Second, day)), nil},
	{CRLUnusable, Warn, cert(asIs), cert(func(w *world) { w.crls[0].forged = true }), nil},
	{CRLUnusable, Warn, cert(extended(asn1.ObjectIdentifier{2, 999}, false, []byte{5, 0})), cert(extended(asn1.ObjectIdentifier{2, 999}, true, []byte{5, 0})), nil},
	{CRLUnusable, Warn, // delta CRL indicator
		cert(asIs), cert(extended(asn1.ObjectIdentifier{2, 5, 29, 27}, true, []byte{2, 1, 1})), nil},
	{CRLUnusable, Warn, // onlyContainsUserCerts, onlyContainsCACerts
		cert(extended(oidDistributionPoint, true, []byte{0x30, 3, 0x81, 1, 0xff})), cert(extended(oidDistributionPoint, true, []byte{0x30, 3, 0x82, 1, 0xff})), nil},
	{CRLUnusable, Warn, // indirect; not a sequence
		cert(extended(oidDistributionPoint, true, []byte{0x30, 0})), cert(extended(oidDistributionPoint, true, []byte{0x30, 3, 0x84, 1, 0xff})), nil},
	{CRLUnusable, Warn, cert(asIs), cert(extended(oidDistributionPoint, true, []byte{4, 0})), nil},
	{CertKeyUsage, Refuse, cert(keyUsage(x509.KeyUsageDigitalSignature)), cert(keyUsage(x509.KeyUsageKeyEncipherment)), nil},
	{CertNonRepudiation, Refuse, cert(keyUsage(0)), cert(keyUsage(x509.KeyUsageContentCommitment)), nil},
	{CertNonRepudiation, Refuse, cert(asIs), cert(keyUsage(x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment)), nil},

	{KeyWeak, Refuse, cert(func(w *world) { w.key = rsaModulus(2048) }), cert(func(w *world) { w.key = rsaModulus(2047) }), nil},
	{KeyWeak, Refuse, cert(exponent(65537)), cert(exponent(65535)), nil},
	{KeyKind, Refuse, cert(func(w *world) { w.key = rsaModulus(4096) }), cert(func(w *world) { w.key = rsaModulus(4097) }), nil},
	{KeyKind, Refuse, cert(curve(elliptic.P384())), cert(curve(elliptic.P224())), nil},
	{KeyKind, Refuse, cert(curve(elliptic.P521())), cert(func(w *world) { w.key = make(ed25519.PublicKey, 32) }), nil},
	{KeyROCA, Refuse, cert(func(w *world) { w.key = &rsaKey().PublicKey }), cert(func(w *world) { w.key = rocaModulus() }), nil},

	{WindowEarly, Refuse, cert(endsIn(60 * day)), cert(endsIn(60*day + time.Second)), nil},
	{WindowUnknown, Info, cert(asIs), cert(func(w *world) { w.profile.Renewal.WindowDays = nil }), nil},
	{SyncLate, Warn, cert(syncIn(0)), cert(syncIn(-time.Second)), nil},
	{RenewalUnknown, Info, cert(asIs), cert(func(w *world) { w.register = nil }), nil},
	{RenewalUnknown, Info, cert(asIs), cert(func(w *world) { w.renewals = -1 }), nil},
	{RenewalLater, Info, cert(asIs), cert(func(w *world) { w.renewals = 1 }), nil},
	{RenewalPresence, Info, cert(remote(2, time.Time{})), cert(remote(3, time.Time{})), []string{RenewalLater}},
	{RenewalPresence, Info, cert(remote(0, now.AddDate(0, 0, -1826))), cert(remote(0, now.AddDate(0, 0, -1826).Add(-1))), []string{RenewalLater}},
	{RenewalPresence, Info,
		cert(func(w *world) { w.profile.Renewal.MaxRemoteRenewals = nil; remote(100, time.Time{})(w) }),
		cert(remote(100, time.Time{})), []string{RenewalLater}},
}

func pinIssuing(w *world) {
	_, issuing, _ := w.build()
	w.profile.Anchors, w.profile.Chain = []profile.Certificate{{Certificate: issuing}}, nil
}

// pinOther pins another CA of the same name.
func pinOther(w *world) {
	root, _, _ := w.build()
	w.profile.Anchors = []profile.Certificate{{Certificate: w.impostor(root)}}
}

func endsIn(d time.Duration) func(w *world) {
	return func(w *world) { w.leaf.NotAfter = now.Add(d); w.profile.CA.SyncMarginDays = 0 }
}

func syncIn(d time.Duration) func(w *world) {
	return func(w *world) { w.leaf.NotAfter = now.AddDate(0, 0, 3).Add(d) }
}

func crlOf(made, next time.Duration) func(w *world) {
	return func(w *world) { w.crls[0].at, w.crls[0].next = now.Add(made), now.Add(next) }
}

func extended(id asn1.ObjectIdentifier, critical bool, value []byte) func(w *world) {
	return func(w *world) { w.crls[0].ext = []pkix.Extension{{Id: id, Critical: critical, Value: value}} }
}

func keyUsage(u x509.KeyUsage) func(w *world) { return func(w *world) { w.leaf.KeyUsage = u } }

func exponent(e int) func(w *world) {
	return func(w *world) { k := rsaModulus(2048); k.E = e; w.key = k }
}

func curve(c elliptic.Curve) func(w *world) {
	return func(w *world) {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			w.t.Fatal(err)
		}
		w.key = k.Public()
	}
}

func remote(n int, presence time.Time) func(w *world) {
	return func(w *world) { w.renewals, w.remote, w.presence = n+1, n, presence }
}

// with changes one attribute of the subject.
func with(oid asn1.ObjectIdentifier, values ...string) func(w *world) Findings {
	return cert(func(w *world) { w.set(oid, values...) })
}

// stampOf makes an organisation's certificate with these numbers.
func stampOf(serial []string, orgID ...string) func(w *world) Findings {
	return cert(func(w *world) {
		w.set(oidCommonName, "Pars [Stamp]").set(oidOrganization, "Non-Governmental").set(oidSerial, serial...).set(oidOrgID, orgID...)
	})
}

// titled makes a company's person with a title.
func titled(organization string, titles ...string) func(w *world) Findings {
	return cert(func(w *world) { w.set(oidOrganization, organization).set(oidTitle, titles...) })
}

var subjectBoundaries = []boundary{
	{IDMissing, Refuse, with(oidSerial, "0499370899"), with(oidSerial), nil},
	{IDAmbiguous, Refuse, with(oidSerial, "0499370899", "۰۴۹۹۳۷۰۸۹۹"), with(oidSerial, "0499370899", "0790419904"), nil},
	{IDAmbiguous, Refuse, stampOf([]string{"10380284790"}, "10380284790"), stampOf([]string{"10100302746"}, "10380284790"), nil},
	{IDFormat, Refuse, with(oidSerial, "PNOIR-0499370899"), with(oidSerial, "XXXXX-0499370899"), nil},
	{IDFormat, Refuse, with(oidSerial, "12345678901234567"[:16]), with(oidSerial, "12345678901234567"), []string{IDForeign}},
	{IDFormat, Refuse, with(oidSerial, "12345678"), with(oidSerial, "1234567"), []string{IDForeign}},
	{IDFormat, Refuse, with(oidSerial, "123456789012"), with(oidSerial, "12345678901"), []string{IDForeign}},
	{IDFormat, Refuse, with(oidSerial, "0499370899"), with(oidSerial, "0499 370899"), nil},
	{IDFormat, Refuse, with(oidSerial, "123456789012"), cert(func(w *world) { w.set(oidSerial, "123456789012"); w.profile.Subject.Foreign.Allowed = false }), []string{IDForeign}},
	{IDChecksum, Refuse, with(oidSerial, "0499370899"), with(oidSerial, "0499370898"), nil},
	{IDChecksum, Refuse, with(oidSerial, "۰۰۸۴۵۷۵۹۴۸"), with(oidSerial, "1111111111"), nil},
	{IDChecksum, Refuse, cert(func(w *world) { w.set(oidSerial, "0684159415"); w.profile.Subject.Checksum = "none" }), with(oidSerial, "0684159415"), nil},
	{IDPadded, Warn, with(oidSerial, "0084575948"), with(oidSerial, "84575948"), nil},
	{IDPadded, Warn, with(oidSerial, "0499370899"), with(oidSerial, "499370899"), nil},
	{IDForeign, Warn, with(oidSerial, "0499370899"), with(oidSerial, "900012345678"), nil},
	{IDForeign, Warn, with(oidSerial, "0499370899"), with(oidSerial, "A123456789"), nil},
	{LegalMissing, Refuse, stampOf([]string{"10380284790"}), stampOf(nil), nil},
	{LegalMissing, Refuse, stampOf(nil, "10380284790"), stampOf([]string{"0499370899"}), nil},
	{LegalChecksum, Refuse, stampOf(nil, "10380284790"), stampOf(nil, "10380284791"), nil},
	{LegalChecksum, Refuse, cert(func(w *world) { w.set(oidOrgID, "10380284790") }), cert(func(w *world) { w.set(oidOrgID, "10380284791") }), nil},
	{SubjectCountry, Warn, with(oidCountry, "IR"), with(oidCountry, "AF"), nil},
	{SubjectCountry, Warn, with(oidCountry, "IR"), with(oidCountry), nil},
	{SubjectOrganization, Warn, with(oidOrganization, "Unaffiliated"), with(oidOrganization, "Unafiliated"), nil},
	{SubjectOrganization, Warn, cert(func(w *world) { w.set(oidOrganization, "Other"); w.profile.Subject.Organizations = nil }), with(oidOrganization, "Other"), nil},
	{SubjectSuffix, Warn, with(oidCommonName, "Maryam Rezaei [Sign]"), with(oidCommonName, "Maryam Rezaei"), nil},
	{SubjectSuffix, Warn,
		cert(func(w *world) {
			w.set(oidCommonName, "x")
			w.profile.Subject.SignSuffix, w.profile.Subject.StampSuffix = "", ""
		}),
		with(oidCommonName, "Maryam [Sign] Rezaei"), nil},
	{SubjectText, Warn, with(oidSurname, "رضا\u200cزاده"), with(oidSurname, "رضا\u202eزاده"), nil},
	{SubjectText, Warn, with(oidLocality, "Tehran"), with(oidLocality, "Tehr\u0430n"), nil},
	{TitleMissing, Warn, titled("Governmental", "Buyer"), titled("Governmental"), nil},
	{TitleMissing, Warn, titled("Unaffiliated"), titled("Non-Governmental", " "), nil},
	{TitleAlphabet, Warn, titled("Governmental", "Buyer"), titled("Governmental", "خریدار"), nil},
	{TitleUnknown, Warn, titled("Governmental", "Managing Director"), titled("Governmental", "Managing director"), nil},
	{TitleUnknown, Warn,
		cert(func(w *world) {
			w.set(oidOrganization, "Governmental").set(oidTitle, "King")
			w.profile.Subject.Title.Standard = nil
		}),
		titled("Governmental", "King"), nil},
}

// serve runs Serve on a filled-in profile.
func serve(change func(w *world)) func(w *world) Findings {
	return func(w *world) Findings {
		w.build()
		w.profile.Officers = []profile.Officer{{}}
		w.profile.ValidUntil = now
		change(w)
		return Serve(w.profile, w.clock)
	}
}

// typed compares an entry with the holder of the default subject, or another.
func typed(id, entry string, pad bool) func(w *world) Findings {
	return func(w *world) Findings {
		holder, _ := Subject(w.profile, w.set(oidSerial, id).input().Leaf)
		return TypedID(w.profile, holder, entry, pad)
	}
}

func typedLegal(entry string) func(w *world) Findings {
	return func(w *world) Findings {
		return TypedID(w.profile, Holder{Kind: Legal, ID: "10380284790"}, entry, true)
	}
}

func tracking(required bool, entry string) func(w *world) Findings {
	return func(w *world) Findings {
		w.profile.Tracking.Required = required
		_, f := Tracking(w.profile, entry)
		return f
	}
}

func pin(s PINState, c Consent) func(w *world) Findings {
	return func(w *world) Findings { return PIN(w.profile, s, c) }
}

func tries(n int) PINState { return PINState{TriesLeft: n} }

var (
	none = Consent{}
	both = Consent{true, true}
)

var entryBoundaries = []boundary{
	{ProfileExpired, Refuse, serve(asIs), serve(func(w *world) { w.clock.Now = now.Add(1) }), nil},
	{TimeUnproven, Warn, serve(asIs), serve(func(w *world) { w.clock = Clock{now.Add(1), false} }), nil},
	{ProfileAnchors, Refuse, serve(asIs), serve(func(w *world) { w.profile.Anchors = nil }), nil},
	{ProfileOfficers, Refuse, serve(asIs), serve(func(w *world) { w.profile.Officers = nil }), nil},
	{ProfileRecipients, Refuse, serve(asIs), serve(func(w *world) { w.profile.Recipients = nil }), nil},

	{TypedFormat, Refuse, typed("0499370899", "۰۴۹۹۳۷۰۸۹۹", false), typed("0499370899", "049937089", false), nil},
	{TypedFormat, Refuse, typed("0499370899", "499370899", true), typed("0499370899", "499370899", false), nil},
	{TypedFormat, Refuse, typed("0499370899", "049-937-0899", false), typed("0499370899", "049937089A", false), nil},
	{TypedFormat, Refuse, typed("900012345678", "900012345678", false), typed("900012345678", "", false), nil},
	{TypedFormat, Refuse, typedLegal("10380284790"), typedLegal("0499370899"), nil},
	{TypedChecksum, Refuse, typed("0499370899", "0499370899", false), typed("0499370899", "0499370898", false), nil},
	{TypedChecksum, Refuse, typedLegal("۱۰۳۸۰۲۸۴۷۹۰"), typedLegal("10380284791"), nil},
	{TypedMismatch, Refuse, typed("0499370899", "0499370899", false), typed("0499370899", "0790419904", false), nil},
	{TypedMismatch, Refuse, typed("900012345678", "900012345678", false), typed("900012345678", "900012345679", false), nil},
	{TypedMismatch, Refuse, typed("84575948", "0084575948", false), typed("84575948", "0499370899", false), []string{}},
	{TrackingMissing, Refuse, tracking(false, ""), tracking(true, ""), nil},
	{TrackingFormat, Refuse, tracking(true, "۱۲۳۴"), tracking(true, "123"), nil},
	{TrackingFormat, Refuse, tracking(true, strings.Repeat("1", 24)), tracking(true, strings.Repeat("1", 25)), nil},
	{TrackingFormat, Refuse, tracking(false, "12-34 56"), tracking(false, "12345a"), nil},

	{PINLocked, Refuse, pin(tries(3), none), pin(tries(0), both), nil},
	{PINLocked, Refuse, pin(tries(3), none), pin(PINState{Locked: true, TriesLeft: 3}, both), nil},
	{PINFinal, Refuse, pin(tries(2), both), pin(tries(1), both), []string{PINConsented}},
	{PINFinal, Refuse, pin(tries(3), both), pin(PINState{Final: true, TriesLeft: 3}, both), nil},
	{PINFinal, Refuse, pin(PINState{Low: true, TriesLeft: -1}, both), pin(PINState{Low: true, Final: true, TriesLeft: -1}, both), []string{PINConsented}},
	{PINLow, Refuse, pin(tries(3), none), pin(tries(2), none), nil},
	{PINLow, Refuse, pin(tries(2), both), pin(tries(2), Consent{Holder: true}), []string{PINConsented}},
	{PINLow, Refuse, pin(tries(2), both), pin(tries(2), Consent{Officer: true}), []string{PINConsented}},
	{PINLow, Refuse, pin(tries(-1), none), pin(PINState{Low: true, TriesLeft: -1}, none), []string{PINUncounted}},
	{PINConsented, Warn, pin(tries(3), both), pin(tries(2), both), nil},
	{PINUncounted, Info, pin(tries(3), none), pin(tries(-1), none), nil},
	{PINChange, Warn, pin(tries(3), none), pin(PINState{ToBeChanged: true, TriesLeft: 3}, none), nil},

	{OfficerUnknown, Refuse, officer(asIs, listed), officer(asIs, func(o *profile.Officer) { o.Certificate[31] ^= 1 }), nil},
	{OfficerOffice, Refuse, officer(asIs, listed), officer(asIs, func(o *profile.Officer) { o.Office = "t-2" }), nil},
	{OfficerEnded, Refuse, officer(asIs, func(o *profile.Officer) { o.NotAfter = now }), officer(asIs, func(o *profile.Officer) { o.NotAfter = now.Add(-1) }), nil},
	{OfficerTraining, Refuse, officer(asIs, func(o *profile.Officer) { o.TrainingUntil = now }), officer(asIs, func(o *profile.Officer) { o.TrainingUntil = now.Add(-1) }), nil},
	{TimeUnproven, Warn, officer(asIs, listed), officer(func(w *world) { w.clock.Proven = false }, func(o *profile.Officer) { o.TrainingUntil = now.Add(-1) }), nil},
	{OfficerCertificate, Refuse, officer(endsIn(0), listed), officer(endsIn(-time.Second), listed), nil},
	{OfficerCertificate, Refuse, officer(func(w *world) { w.leaf.NotBefore = now }, listed), officer(func(w *world) { w.leaf.NotBefore = now.Add(time.Second) }, listed), nil},
	{OfficerCertificate, Refuse, officer(keyUsage(x509.KeyUsageContentCommitment), listed), officer(keyUsage(x509.KeyUsageKeyAgreement), listed), nil},
	{OfficerRevoked, Refuse, officer(func(w *world) { w.crls[0].revoked = revoked(removeFromCRL) }, listed), officer(func(w *world) { w.crls[0].revoked = revoked(0) }, listed), nil},
	{OfficerIsHolder, Refuse, officerFor("0790419904"), officerFor("0499370899"), nil},

	{KeyAlgorithm, Refuse, newKey("P-256"), newKey("RSA-2048"), nil},
	{KeySame, Refuse, sameKey(true), sameKey(false), nil},
}

func officer(change func(w *world), list func(o *profile.Officer)) func(w *world) Findings {
	return func(w *world) Findings {
		change(w)
		return w.officer(list, Holder{})
	}
}

func listed(*profile.Officer) {}

func officerFor(id string) func(w *world) Findings {
	return func(w *world) Findings { return w.officer(listed, Holder{Kind: National, ID: id}) }
}

// newKey checks a P-256 key against a profile that allows one algorithm.
func newKey(allowed string) func(w *world) Findings {
	return func(w *world) Findings {
		w.profile.CA.NewKeys = []string{allowed}
		return NewKey(w.profile, otherKey.Public(), w.input().Leaf)
	}
}

func sameKey(allowed bool) func(w *world) Findings {
	return func(w *world) Findings {
		w.profile.CA.SameKeyRenewal = allowed
		return NewKey(w.profile, leafKey.Public(), w.input().Leaf)
	}
}

func boundaries() []boundary {
	return slices.Concat(certificateBoundaries, subjectBoundaries, entryBoundaries, tokenBoundaries)
}

// TestBoundaries asserts that each rule is the only one to speak beyond its
// edge and silent before it.
func TestBoundaries(t *testing.T) {
	for i, b := range boundaries() {
		t.Run(strconv.Itoa(i)+" "+b.rule, func(t *testing.T) {
			if got := rules(b.good(newWorld(t))); !slices.Equal(got, b.besides) && len(got)+len(b.besides) > 0 {
				t.Errorf("good side: %v, want %v", got, b.besides)
			}
			got := b.bad(newWorld(t))
			if len(got) != 1 || got[0].Rule != b.rule || got[0].Severity != b.severity {
				t.Errorf("bad side: %v, want %s %s alone", got, b.severity, b.rule)
			}
			var refusal *Refusal
			if err := got.Err(); (err != nil) != (b.severity == Refuse) || err != nil && (!errors.As(err, &refusal) || refusal.Rule != b.rule) {
				t.Errorf("error %v for a finding that is to %s", err, b.severity)
			}
		})
	}
}

// TestUnreadable is the one rule without findings: what cannot be parsed
// cannot be looked at further.
func TestUnreadable(t *testing.T) {
	w := newWorld(t)
	w.leaf.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 999, 1}, Value: make([]byte, 15000)}}
	base := len(w.input().Leaf.Raw)
	var good, bad []byte
	for bad == nil { // ECDSA signatures differ by a byte or two
		w.leaf.ExtraExtensions[0].Value = make([]byte, 15000+MaxCertificate-base)
		der := w.input().Leaf.Raw
		if len(der) == MaxCertificate {
			good = der
		}
		w.leaf.ExtraExtensions[0].Value = make([]byte, 15001+MaxCertificate-base)
		if der := w.input().Leaf.Raw; good != nil && len(der) == MaxCertificate+1 {
			bad = der
		}
	}
	small := newWorld(t).input().Leaf.Raw
	large := func(bits int) []byte {
		w := newWorld(t)
		w.key = rsaModulus(bits)
		return w.input().Leaf.Raw
	}
	for _, tt := range []struct {
		why string
		der []byte
		ok  bool
	}{
		{"16 KiB", good, true}, {"16 KiB and a byte", bad, false},
		{"small", small, true}, {"cut", small[:len(small)-1], false}, {"with a byte after it", append(slices.Clone(small), 0), false},
		{"empty", nil, false}, {"RSA-8192", large(8192), true}, {"RSA-8193", large(8193), false},
	} {
		cert, err := ParseCertificate(tt.der)
		var refusal *Refusal
		if (err == nil) != tt.ok || (cert != nil) != tt.ok || err != nil && (!errors.As(err, &refusal) || refusal.Rule != CertUnreadable) {
			t.Errorf("%s: %v", tt.why, err)
		}
	}
}

// TestEveryRule reads rules.go: each constant has its sentence, an ID of its
// own, and a boundary.
func TestEveryRule(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "rules.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{CertUnreadable: true} // TestUnreadable
	for _, b := range boundaries() {
		tested[b.rule] = true
	}
	ids := make(map[string]string)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		name := spec.Names[0].Name
		id, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" || ids[id] != "" {
			t.Errorf("%s: ID %q is malformed or that of %s", name, id, ids[id])
		}
		ids[id] = name
		if s := strings.TrimSpace(spec.Doc.Text()); !strings.HasSuffix(s, ".") || strings.Count(s, ". ") > 0 || strings.Contains(s, "\n") {
			t.Errorf("%s: %q is not one sentence", name, s)
		}
		if !tested[id] {
			t.Errorf("%s has no boundary", name)
		}
		return true
	})
	if len(ids) < 60 {
		t.Errorf("found %d rules only", len(ids))
	}
}
