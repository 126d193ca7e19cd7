package check

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"mohr.internal/kiosk/profile"
)

// TestResult is the clean case in full.
func TestResult(t *testing.T) {
	w := newWorld(t)
	r := w.certificate()
	if err := r.Err(); err != nil || len(r.Findings) != 0 {
		t.Fatalf("%v, %v", err, r.Findings)
	}
	want := Holder{Kind: National, ID: "0499370899", CommonName: "Maryam Rezaei [Sign]", Given: "مریم", Family: "رضایی",
		Organization: "Unaffiliated", Province: "تهران", City: "تهران"}
	if h := r.Holder; h.Kind != want.Kind || h.ID != want.ID || h.Name() != "مریم رضایی" || h.CommonName != want.CommonName || h.City != want.City || h.Stamp {
		t.Errorf("holder %+v", h)
	}
	if len(r.Chain) != 3 || r.DaysLeft != 20 || !r.TimeProven || !r.CRLUpdate.Equal(now.Add(-day)) ||
		!r.LatestSync.Equal(now.Add(17*day)) {
		t.Errorf("chain of %d, %d days, %v, CRL %v, sync %v", len(r.Chain), r.DaysLeft, r.TimeProven, r.CRLUpdate, r.LatestSync)
	}
	if d := r.Decision; !d.First || d.Signal != profile.SignalRegister || d.Kind() != "first" || d.Present {
		t.Errorf("decision %+v", d)
	}
}

// TestUnprovenClock: with the worst clock there is no refusal for time alone,
// and revocation still refuses.
func TestUnprovenClock(t *testing.T) {
	for _, at := range []time.Time{{}, now.Add(-10000 * day), now.Add(10000 * day)} {
		w := newWorld(t)
		w.clock = Clock{at, false}
		r := w.certificate()
		if err := r.Err(); err != nil || !r.Has(TimeUnproven) || r.TimeProven || len(r.Chain) != 3 {
			t.Errorf("at %v: %v, %v", at, err, r.Findings)
		}
		w.crls[0].revoked = revoked(1)
		if err := w.certificate().Err(); err == nil {
			t.Errorf("at %v: revoked and not refused", at)
		}
	}
}

// TestZeroTime: certificates dated to the year 1 must not make x509 look at
// the system's clock.
func TestZeroTime(t *testing.T) {
	w := newWorld(t)
	w.leaf.NotBefore, w.leaf.NotAfter = time.Time{}, time.Time{}
	if r := w.certificate(); !r.Has(CertForeign) || !r.Has(CertExpired) {
		t.Errorf("%v", r.Findings)
	}
}

// TestExtra: CA certificates on the token help to build the path and are not
// trusted.
func TestExtra(t *testing.T) {
	w := newWorld(t)
	in := w.input()
	issuing := w.profile.Chain[0].Certificate
	w.profile.Chain = nil
	if r := Certificate(in); !r.Has(CertForeign) {
		t.Errorf("without the issuing CA: %v", r.Findings)
	}
	in.Extra = []*x509.Certificate{issuing}
	if r := Certificate(in); r.Err() != nil || len(r.Chain) != 3 {
		t.Errorf("issuing CA from the token: %v", r.Findings)
	}
	in.Extra = append(slices.Repeat([]*x509.Certificate{in.Leaf}, MaxExtra), issuing)
	if r := Certificate(in); !r.Has(CertForeign) {
		t.Error("more than the limit is looked at")
	}
	other := newWorld(t)
	other.issuer = otherKey
	in = other.input()
	in.Extra = []*x509.Certificate{other.impostor(other.profile.Chain[0].Certificate), other.impostor(other.profile.Anchors[0].Certificate)}
	if r := Certificate(in); !r.Has(CertForeign) {
		t.Errorf("the token's own CA is trusted: %v", r.Findings)
	}
}

func TestDaysLeft(t *testing.T) {
	for _, tt := range []struct {
		end  time.Duration
		want int
	}{
		{0, 0}, {11*time.Hour + 59*time.Minute, 0}, {12 * time.Hour, 1}, {-12 * time.Hour, 0}, {-12*time.Hour - time.Second, -1}, {20 * day, 20},
	} {
		w := newWorld(t)
		w.leaf.NotAfter = now.Add(tt.end)
		if r := w.certificate(); r.DaysLeft != tt.want {
			t.Errorf("ends in %v: %d days left, want %d", tt.end, r.DaysLeft, tt.want)
		}
	}
}

// TestHolders are the subject profiles of the three kinds.
func TestHolders(t *testing.T) {
	for _, tt := range []struct {
		why    string
		change func(w *world)
		kind   IDKind
		id     string
		legal  string
	}{
		{"person", asIs, National, "0499370899", ""},
		{"person with prefix", func(w *world) { w.set(oidSerial, "PNOIR-0499370899") }, National, "0499370899", ""},
		{"person short of zeros", func(w *world) { w.set(oidSerial, "84575948") }, National, "0084575948", ""},
		{"company's person", func(w *world) { w.set(oidOrgID, "10380284790") }, National, "0499370899", "10380284790"},
		{"foreigner", func(w *world) { w.set(oidSerial, "a12345678901") }, Foreign, "A12345678901", ""},
		{"stamp, number in serialNumber", func(w *world) { w.set(oidCommonName, "P [Stamp]").set(oidSerial, "10380284790") }, Legal, "10380284790", "10380284790"},
		{"stamp, number in organizationIdentifier", func(w *world) { w.set(oidCommonName, "P [Stamp]").set(oidSerial).set(oidOrgID, "10380284790") }, Legal, "10380284790", "10380284790"},
		{"no suffix, legal id in serialNumber", func(w *world) { w.set(oidCommonName, "P").set(oidSerial, "10380284790") }, Legal, "10380284790", "10380284790"},
	} {
		w := newWorld(t)
		tt.change(w)
		r := w.certificate()
		if h := r.Holder; r.Err() != nil || h.Kind != tt.kind || h.ID != tt.id || h.LegalID != tt.legal || h.Stamp != strings.Contains(tt.why, "stamp") {
			t.Errorf("%s: %+v, %v", tt.why, h, r.Findings)
		}
	}
	if name := (Holder{CommonName: "Pars [Stamp]", Given: "x", Stamp: true}).Name(); name != "Pars [Stamp]" {
		t.Errorf("stamp is named %q", name)
	}
	if name := (Holder{CommonName: "A B [Sign]"}).Name(); name != "A B [Sign]" {
		t.Errorf("without a Persian name: %q", name)
	}
}

// TestFindingsArePrivate: no finding of any boundary repeats the holder's
// names or numbers, because findings go into the journal.
func TestFindingsArePrivate(t *testing.T) {
	for _, b := range boundaries() {
		for _, f := range b.bad(newWorld(t)) {
			for _, secret := range []string{"0499370899", "499370899", "10380284790", "900012345678", "مریم", "رضایی", "Maryam", "Rezaei", "Pars"} {
				if strings.Contains(f.Detail, secret) {
					t.Errorf("%s tells %q: %s", f.Rule, secret, f.Detail)
				}
			}
		}
	}
}

func TestRefusal(t *testing.T) {
	var f Findings
	f.add(TitleMissing, Warn, "a")
	f.add(CertExpired, Refuse, "b")
	f.add(CertRevoked, Refuse, "c")
	var r *Refusal
	if err := f.Err(); !errors.As(err, &r) || r.Rule != CertExpired || err.Error() != "refused by CERT-EXPIRED: b" {
		t.Errorf("%v", err)
	}
	if got := f.Only(Refuse); len(got) != 2 || f.Has(CRLStale) || !f.Has(TitleMissing) {
		t.Errorf("%v", got)
	}
	if err := f.Only(Warn).Err(); err != nil {
		t.Errorf("a warning refuses: %v", err)
	}
	if s := f[0].String() + ", " + Severity(9).String() + ", " + Info.String(); s != "warn TITLE-MISSING: a, severity 9, info" {
		t.Error(s)
	}
	if s := (&Refusal{Rule: "X"}).Error(); s != "refused by X" {
		t.Error(s)
	}
}

func TestSubjectFields(t *testing.T) {
	w := newWorld(t)
	w.set(oidTitle, "a\u202eb").set(asn1.ObjectIdentifier{2, 999, 7}, "x")
	fields, err := SubjectFields(w.input().Leaf.RawSubject)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range fields {
		dir := "rtl"
		if f.LTR {
			dir = "ltr"
		}
		got = append(got, f.Name+"="+f.Shown+" "+dir)
	}
	want := []string{"C=IR ltr", "O=Unaffiliated ltr", "ST=تهران rtl", "L=تهران rtl", "CN=Maryam Rezaei [Sign] ltr", "serialNumber=0499370899 ltr",
		"SN=رضایی rtl", "GN=مریم rtl", "T=a[U+202E]b ltr", "2.999.7=x ltr"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	raw := w.input().Leaf.RawSubject
	number, err := asn1.Marshal(pkix.RDNSequence{{{Type: oidTitle, Value: 5}}})
	if err != nil {
		t.Fatal(err)
	}
	many := slices.Repeat([]string{"x"}, maxFields-7) // one more than fits
	for why, der := range map[string][]byte{
		"empty": nil, "cut": raw[:len(raw)-1], "trailing": append(slices.Clone(raw), 0), "number": number,
		"long value": newWorld(t).set(oidTitle, strings.Repeat("x", 201)).input().Leaf.RawSubject,
		"many":       newWorld(t).set(oidTitle, many...).input().Leaf.RawSubject,
		"huge":       make([]byte, MaxCertificate+1),
	} {
		if f, err := SubjectFields(der); err == nil || f != nil {
			t.Errorf("%s: %v", why, f)
		}
	}
	if _, err := SubjectFields(newWorld(t).set(oidTitle, many[2:]...).set(oidUnit, strings.Repeat("x", 200)).input().Leaf.RawSubject); err != nil {
		t.Errorf("just within the limits: %v", err)
	}
}

// TestROCA: the fingerprint neither misses nor accuses.
func TestROCA(t *testing.T) {
	if !isROCA(rocaModulus().N) {
		t.Error("the mark is not seen")
	}
	if isROCA(new(big.Int).Add(rocaModulus().N, big.NewInt(2))) || isROCA(rsaKey().N) {
		t.Error("a sound key is accused")
	}
}

func TestTracking(t *testing.T) {
	w := newWorld(t)
	if code, f := Tracking(w.profile, " ۱۲۳-٤٥٦ "); code != "123456" || f != nil {
		t.Errorf("%q, %v", code, f)
	}
	if code, f := Tracking(w.profile, "12x456"); code != "" || f == nil {
		t.Errorf("%q, %v", code, f)
	}
}

func TestParseCRL(t *testing.T) {
	if _, err := ParseCRL(make([]byte, MaxCRL+1)); err == nil {
		t.Error("a CRL over the limit is parsed")
	}
	if _, err := ParseCRL([]byte("x")); err == nil {
		t.Error("junk is a CRL")
	}
}
