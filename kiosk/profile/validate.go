package profile

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"mohr.internal/kiosk/nationalid"
)

// Validate checks every value's range. The error names the key.
func (p *Profile) Validate() error {
	v := &validator{languages: p.Languages}
	v.slug("id", p.ID)
	v.between("version", p.Version, 1, 1<<30)
	v.date("validUntil", p.ValidUntil)
	v.check("country", len(p.Country) == 2 && strings.ToUpper(p.Country) == p.Country, "want two capitals")
	v.count("languages", len(p.Languages), 1, 8)
	for i, l := range p.Languages {
		v.check(at("languages", i), len(l) == 2 && strings.ToLower(l) == l && slices.Index(p.Languages, l) == i, "want a language of two small letters, once")
	}
	v.text("names", p.Names, 80)
	v.certificates("anchors", p.Anchors)
	v.certificates("chain", p.Chain)
	v.officers(p.Officers)
	v.count("recipients", len(p.Recipients), 0, 8)
	for i, r := range p.Recipients {
		v.check(at("recipients", i), isRecipient(r), "want an age recipient, age1…")
		// age seals to one kind at a time; found here, not when a citizen's evidence is sealed.
		v.check(at("recipients", i), isHybrid(r) == isHybrid(p.Recipients[0]), "want hybrid recipients (age1pq1…) only, or none")
	}
	v.ca(p.CA)
	v.subject(p.Subject)
	v.renewal(p.Renewal)
	v.between("pin.stopAt", p.PIN.StopAt, 1, 10)
	v.between("pin.consentAt", p.PIN.ConsentAt, max(2, p.PIN.StopAt), 10)
	v.oneOf("pin.unblock", p.PIN.Unblock, "never", "officer")
	v.identity(p.Identity)
	v.check("terms.version", p.Terms.Version != "" && len(p.Terms.Version) <= 32, "want 1 to 32 characters")
	v.text("terms.text", p.Terms.Text, 4000)
	v.between("tracking.minDigits", p.Tracking.MinDigits, 1, 32)
	v.between("tracking.maxDigits", p.Tracking.MaxDigits, p.Tracking.MinDigits, 32)
	v.check("clock.zone", p.Clock.Zone != "" && len(p.Clock.Zone) <= 40, "want 1 to 40 characters")
	v.between("clock.offsetMins", p.Clock.OffsetMins, -12*60, 14*60)
	v.oneOf("clock.calendar", p.Clock.Calendar, "jalali", "gregorian")
	v.between("clock.provenHours", p.Clock.ProvenHours, 1, 24*30)
	v.between("clock.maxDriftSecs", p.Clock.MaxDriftSecs, 1, 3600)
	return v.err
}

// validator keeps the first error.
type validator struct {
	languages []string
	err       error
}

func (v *validator) check(key string, ok bool, want string, args ...any) {
	if v.err == nil && !ok {
		v.err = fmt.Errorf("profile: %s: "+want, append([]any{key}, args...)...)
	}
}

func (v *validator) between(key string, n, low, high int) {
	v.check(key, low <= n && n <= high, "%d is not in %d..%d", n, low, high)
}

func (v *validator) count(key string, n, low, high int) {
	v.check(key, low <= n && n <= high, "%d items, want %d to %d", n, low, high)
}

func (v *validator) oneOf(key, s string, allowed ...string) {
	v.check(key, slices.Contains(allowed, s), "%q is not one of %s", s, strings.Join(allowed, ", "))
}

func (v *validator) slug(key, s string) {
	ok := s != "" && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
	v.check(key, ok, "%q: want 1 to 40 of a-z, 0-9, -", s)
}

// date accepts what fits a certificate and cannot be a zero value.
func (v *validator) date(key string, t time.Time) {
	_, offset := t.Zone()
	v.check(key, offset == 0 && t.Year() >= 2000 && t.Year() < 2100, "want a time in UTC, 2000 to 2099")
}

// text must be there in every language of the profile and in no other, and
// must not hold control or direction characters: it is shown as it is.
func (v *validator) text(key string, t Text, limit int) {
	v.check(key, len(t) == len(v.languages), "want exactly the languages %s", strings.Join(v.languages, ", "))
	for _, l := range v.languages {
		s, ok := t[l]
		v.check(key+"."+l, ok, "language is missing")
		v.check(key+"."+l, strings.TrimSpace(s) != "" && len([]rune(s)) <= limit, "want 1 to %d characters", limit)
		v.check(key+"."+l, !strings.ContainsFunc(s, hidden), "control or direction character in text")
	}
}

func hidden(r rune) bool {
	return r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\ufeff' || r == '\u200b'
}

func (v *validator) certificates(key string, list []Certificate) {
	v.count(key, len(list), 0, 16)
	for i, c := range list {
		v.check(at(key, i), c.Certificate != nil && c.IsCA && c.BasicConstraintsValid, "not a CA certificate")
		v.check(at(key, i), !slices.ContainsFunc(list[:i], func(o Certificate) bool { return o.Equal(c.Certificate) }), "certificate appears twice")
	}
}

func (v *validator) officers(list []Officer) {
	v.count("officers", len(list), 0, 1000)
	seen := make(map[Digest]bool)
	for i, o := range list {
		key := at("officers", i)
		v.text(key+".name", o.Name, 80)
		v.slug(key+".office", o.Office)
		v.check(key+".certificate", o.Certificate != Digest{} && !seen[o.Certificate], "digest is zero or appears twice")
		v.date(key+".trainingUntil", o.TrainingUntil)
		v.date(key+".notAfter", o.NotAfter)
		seen[o.Certificate] = true
	}
}

// keyAlgorithms are the kinds of new key the token layer can make.
var keyAlgorithms = []string{"P-256", "RSA-2048", "RSA-3072", "RSA-4096"}

func (v *validator) ca(c CA) {
	v.count("ca.newKeys", len(c.NewKeys), 1, len(keyAlgorithms))
	for i, k := range c.NewKeys {
		v.oneOf(at("ca.newKeys", i), k, keyAlgorithms...)
		v.check(at("ca.newKeys", i), slices.Index(c.NewKeys, k) == i, "appears twice")
	}
	v.check("ca.confirm", c.Confirm == "token", "%q: want \"token\", the holder's old key; no RA confirms in a kiosk's place yet", c.Confirm)
	v.count("ca.responders", len(c.Responders), 1, 8)
	v.between("ca.syncMarginDays", c.SyncMarginDays, 0, 60)
	v.between("ca.crlMaxAgeDays", c.CRLMaxAgeDays, 1, 90)
}

func (v *validator) subject(s Subject) {
	v.check("subject.nationalID", len(s.NationalID) > 0, "want an object identifier")
	v.count("subject.prefixes", len(s.Prefixes), 0, 8)
	for i, p := range s.Prefixes {
		v.check(at("subject.prefixes", i), p != "" && len(p) <= 16, "want 1 to 16 characters")
	}
	v.oneOf("subject.checksum", s.Checksum, nationalid.KindNational, nationalid.KindNone)
	v.between("subject.foreign.minLength", s.Foreign.MinLength, 4, nationalid.MaxLength)
	v.between("subject.foreign.maxLength", s.Foreign.MaxLength, s.Foreign.MinLength, nationalid.MaxLength)
	v.count("subject.legalID", len(s.LegalID), 0, 4)
	v.oneOf("subject.legalChecksum", s.LegalChecksum, nationalid.KindLegal, nationalid.KindNone)
	v.check("subject.signSuffix", len(s.SignSuffix) <= 16, "want at most 16 characters")
	v.check("subject.stampSuffix", len(s.StampSuffix) <= 16, "want at most 16 characters")
	v.check("subject.stampSuffix", s.StampSuffix == "" || s.StampSuffix != s.SignSuffix, "same as signSuffix")
	v.strings("subject.organizations", s.Organizations)
	v.strings("subject.title.organizations", s.Title.Organizations)
	v.strings("subject.title.standard", s.Title.Standard)
}

func (v *validator) strings(key string, list []string) {
	v.count(key, len(list), 0, 200)
	for i, s := range list {
		v.check(at(key, i), s != "" && len(s) <= 100 && slices.Index(list, s) == i, "want 1 to 100 bytes, once")
	}
}

func (v *validator) renewal(r Renewal) {
	v.optional("renewal.windowDays", r.WindowDays, 1, 3660)
	v.optional("renewal.maxRemoteRenewals", r.MaxRemoteRenewals, 0, 100)
	v.optional("renewal.maxInPersonDays", r.MaxInPersonDays, 1, 3660)
	v.count("renewal.signals", len(r.Signals), 0, 5)
	for i, s := range r.Signals {
		v.oneOf(at("renewal.signals", i), s, SignalRegister, SignalPolicy, SignalRenewed, SignalOlder, SignalNotBefore)
		v.check(at("renewal.signals", i), slices.Index(r.Signals, s) == i, "appears twice")
	}
	v.oneOf("renewal.unknown", r.Unknown, "first")
	v.count("renewal.renewed", len(r.Renewed), 0, 10000)
	v.count("renewal.laterPolicies", len(r.LaterPolicies), 0, 16)
	v.count("renewal.firstPolicies", len(r.FirstPolicies), 0, 16)
	for i, o := range r.LaterPolicies {
		same := slices.ContainsFunc(r.FirstPolicies, func(f OID) bool { return slices.Equal(f, o) })
		v.check(at("renewal.laterPolicies", i), !same, "also in firstPolicies")
	}
	v.date("renewal.began", r.Began)
	v.oneOf("renewal.retire", r.Retire, "keep", "delete")
}

func (v *validator) optional(key string, n *int, low, high int) {
	if n != nil {
		v.between(key, *n, low, high)
	}
}

// Bounds that hold for every country.
const (
	minFeatures = 5 // security features per document, so that a draw of three varies
	minDrawn    = 3
)

func (v *validator) identity(id Identity) {
	v.count("identity.documents", len(id.Documents), 1, 16)
	primary := false
	for i, d := range id.Documents {
		key := at("identity.documents", i)
		v.slug(key+".id", d.ID)
		v.check(key+".id", slices.IndexFunc(id.Documents, func(o Document) bool { return o.ID == d.ID }) == i, "%q appears twice", d.ID)
		v.text(key+".name", d.Name, 60)
		v.features(key+".features", d.Features, minFeatures)
		v.between("identity.featuresDrawn", id.FeaturesDrawn, minDrawn, max(minFeatures, len(d.Features)))
		primary = primary || d.Primary && d.HasID
	}
	v.check("identity.documents", primary, "no primary document with the holder's number")
	v.between("identity.featuresDrawn", id.FeaturesDrawn, minDrawn, minFeatures)
	v.features("identity.face", id.Face, 3)
	v.between("identity.faceSeconds", id.FaceSeconds, 0, 120)
	v.between("identity.typingTries", id.TypingTries, 1, 10)
}

func (v *validator) features(key string, list []Feature, least int) {
	v.count(key, len(list), least, 30)
	for i, f := range list {
		v.slug(at(key, i)+".id", f.ID)
		v.check(at(key, i)+".id", slices.IndexFunc(list, func(o Feature) bool { return o.ID == f.ID }) == i, "%q appears twice", f.ID)
		v.text(at(key, i)+".text", f.Text, 160)
	}
}

// isRecipient looks at the form only; the sealing package parses it. Hybrid
// recipients (age1pq1…) run to about 2000 characters.
func isRecipient(s string) bool {
	return strings.HasPrefix(s, "age1") && len(s) >= 62 && len(s) <= 4096 &&
		strings.Trim(s[4:], "023456789acdefghjklmnpqrstuvwxyz1") == ""
}

func isHybrid(recipient string) bool { return strings.HasPrefix(recipient, "age1pq1") }

func at(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }
