package profile

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func days(n int) *int { return &n }

// TestRanges breaks one value per row, at the edge: "last" is still accepted,
// "first" is the first refused, and the error names key.
func TestRanges(t *testing.T) {
	for _, tt := range []struct {
		key         string
		last, first func(p *Profile)
	}{
		{"id", func(p *Profile) { p.ID = strings.Repeat("a", 40) }, func(p *Profile) { p.ID = strings.Repeat("a", 41) }},
		{"id", nil, func(p *Profile) { p.ID = "" }},
		{"id", nil, func(p *Profile) { p.ID = "IR" }},
		{"version", func(p *Profile) { p.Version = 1 }, func(p *Profile) { p.Version = 0 }},
		{"version", func(p *Profile) { p.Version = 1 << 30 }, func(p *Profile) { p.Version = 1<<30 + 1 }},
		{"validUntil", func(p *Profile) { p.ValidUntil = time.Date(2099, 12, 31, 23, 59, 59, 0, time.UTC) }, func(p *Profile) { p.ValidUntil = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"validUntil", nil, func(p *Profile) { p.ValidUntil = time.Time{} }},
		{"validUntil", nil, func(p *Profile) { p.ValidUntil = p.ValidUntil.In(time.FixedZone("x", 60)) }},
		{"country", func(p *Profile) { p.Country = "AF" }, func(p *Profile) { p.Country = "ir" }},
		{"country", nil, func(p *Profile) { p.Country = "IRN" }},
		{"languages", nil, func(p *Profile) { p.Languages = nil }},
		{"languages[1]", nil, func(p *Profile) { p.Languages = []string{"fa", "fa"} }},
		{"languages[0]", nil, func(p *Profile) { p.Languages = []string{"FA", "en"} }},
		{"names", nil, func(p *Profile) { p.Names = Text{"fa": "x"} }},
		{"names.en", nil, func(p *Profile) { p.Names = Text{"fa": "x", "de": "x"} }},
		{"names.en", nil, func(p *Profile) { p.Names["en"] = " " }},
		{"names.en", func(p *Profile) { p.Names["en"] = strings.Repeat("ب", 80) }, func(p *Profile) { p.Names["en"] = strings.Repeat("ب", 81) }},
		{"names.fa", nil, func(p *Profile) { p.Names["fa"] = "a\u202eb" }},
		{"names.fa", nil, func(p *Profile) { p.Names["fa"] = "a\tb" }},
		{"recipients[0]", func(p *Profile) { p.Recipients = []string{"age1" + strings.Repeat("q", 58)} }, func(p *Profile) { p.Recipients = []string{"age1" + strings.Repeat("q", 57)} }},
		{"recipients[0]", func(p *Profile) { p.Recipients = []string{"age1pq1" + strings.Repeat("q", 1900)} }, func(p *Profile) { p.Recipients = []string{"age1" + strings.Repeat("Q", 58)} }},
		{"recipients[1]", nil, func(p *Profile) {
			p.Recipients = []string{"age1" + strings.Repeat("q", 58), "age1pq1" + strings.Repeat("q", 1900)}
		}},
		{"recipients[0]", nil, func(p *Profile) { p.Recipients = []string{"ssh-ed25519 " + strings.Repeat("q", 58)} }},
		{"officers[0].certificate", nil, func(p *Profile) { p.Officers = []Officer{officer(0)} }},
		{"officers[1].certificate", func(p *Profile) { p.Officers = []Officer{officer(1), officer(2)} }, func(p *Profile) { p.Officers = []Officer{officer(1), officer(1)} }},
		{"officers[0].office", nil, func(p *Profile) { o := officer(1); o.Office = ""; p.Officers = []Officer{o} }},
		{"officers[0].trainingUntil", nil, func(p *Profile) { o := officer(1); o.TrainingUntil = time.Time{}; p.Officers = []Officer{o} }},
		{"officers[0].notAfter", nil, func(p *Profile) { o := officer(1); o.NotAfter = time.Time{}; p.Officers = []Officer{o} }},
		{"officers[0].name", nil, func(p *Profile) { o := officer(1); o.Name = nil; p.Officers = []Officer{o} }},
		{"anchors[0]", nil, func(p *Profile) { p.Anchors = []Certificate{{}} }},
		{"ca.newKeys", nil, func(p *Profile) { p.CA.NewKeys = nil }},
		{"ca.newKeys[0]", nil, func(p *Profile) { p.CA.NewKeys = []string{"RSA-1024"} }},
		{"ca.newKeys[1]", nil, func(p *Profile) { p.CA.NewKeys = []string{"P-256", "P-256"} }},
		{"ca.confirm", func(p *Profile) { p.CA.Confirm = "token" }, func(p *Profile) { p.CA.Confirm = "hub" }},
		{"ca.confirm", nil, func(p *Profile) { p.CA.Confirm = "" }},
		{"ca.responders", nil, func(p *Profile) { p.CA.Responders = nil }},
		{"ca.syncMarginDays", func(p *Profile) { p.CA.SyncMarginDays = 0 }, func(p *Profile) { p.CA.SyncMarginDays = -1 }},
		{"ca.syncMarginDays", func(p *Profile) { p.CA.SyncMarginDays = 60 }, func(p *Profile) { p.CA.SyncMarginDays = 61 }},
		{"ca.crlMaxAgeDays", func(p *Profile) { p.CA.CRLMaxAgeDays = 1 }, func(p *Profile) { p.CA.CRLMaxAgeDays = 0 }},
		{"ca.crlMaxAgeDays", func(p *Profile) { p.CA.CRLMaxAgeDays = 90 }, func(p *Profile) { p.CA.CRLMaxAgeDays = 91 }},
		{"subject.nationalID", nil, func(p *Profile) { p.Subject.NationalID = nil }},
		{"subject.prefixes[0]", nil, func(p *Profile) { p.Subject.Prefixes = []string{""} }},
		{"subject.checksum", func(p *Profile) { p.Subject.Checksum = "none" }, func(p *Profile) { p.Subject.Checksum = "" }},
		{"subject.legalChecksum", func(p *Profile) { p.Subject.LegalChecksum = "none" }, func(p *Profile) { p.Subject.LegalChecksum = "ir-national-10" }},
		{"subject.foreign.minLength", func(p *Profile) { p.Subject.Foreign.MinLength = 4 }, func(p *Profile) { p.Subject.Foreign.MinLength = 3 }},
		{"subject.foreign.maxLength", func(p *Profile) { p.Subject.Foreign.MaxLength = 8 }, func(p *Profile) { p.Subject.Foreign.MaxLength = 7 }},
		{"subject.foreign.maxLength", func(p *Profile) { p.Subject.Foreign.MaxLength = 32 }, func(p *Profile) { p.Subject.Foreign.MaxLength = 33 }},
		{"subject.stampSuffix", func(p *Profile) { p.Subject.StampSuffix, p.Subject.SignSuffix = "", "" }, func(p *Profile) { p.Subject.StampSuffix = p.Subject.SignSuffix }},
		{"subject.organizations[1]", nil, func(p *Profile) { p.Subject.Organizations = []string{"a", "a"} }},
		{"subject.title.standard[0]", nil, func(p *Profile) { p.Subject.Title.Standard = []string{""} }},
		{"renewal.windowDays", func(p *Profile) { p.Renewal.WindowDays = nil }, func(p *Profile) { p.Renewal.WindowDays = days(0) }},
		{"renewal.windowDays", func(p *Profile) { p.Renewal.WindowDays = days(3660) }, func(p *Profile) { p.Renewal.WindowDays = days(3661) }},
		{"renewal.maxRemoteRenewals", func(p *Profile) { p.Renewal.MaxRemoteRenewals = days(0) }, func(p *Profile) { p.Renewal.MaxRemoteRenewals = days(-1) }},
		{"renewal.maxInPersonDays", func(p *Profile) { p.Renewal.MaxInPersonDays = days(1) }, func(p *Profile) { p.Renewal.MaxInPersonDays = days(0) }},
		{"renewal.signals[0]", func(p *Profile) { p.Renewal.Signals = nil }, func(p *Profile) { p.Renewal.Signals = []string{"guess"} }},
		{"renewal.signals[1]", nil, func(p *Profile) { p.Renewal.Signals = []string{"register", "register"} }},
		{"renewal.unknown", nil, func(p *Profile) { p.Renewal.Unknown = "later" }},
		{"renewal.laterPolicies[0]", nil, func(p *Profile) { p.Renewal.LaterPolicies = slices.Clone(p.Renewal.FirstPolicies) }},
		{"renewal.began", nil, func(p *Profile) { p.Renewal.Began = time.Time{} }},
		{"renewal.retire", func(p *Profile) { p.Renewal.Retire = "delete" }, func(p *Profile) { p.Renewal.Retire = "" }},
		{"pin.stopAt", func(p *Profile) { p.PIN.StopAt = 1 }, func(p *Profile) { p.PIN.StopAt = 0 }},
		{"pin.consentAt", func(p *Profile) { p.PIN.ConsentAt = 2 }, func(p *Profile) { p.PIN.ConsentAt = 1 }},
		{"pin.consentAt", func(p *Profile) { p.PIN.StopAt, p.PIN.ConsentAt = 3, 3 }, func(p *Profile) { p.PIN.StopAt, p.PIN.ConsentAt = 3, 2 }},
		{"pin.unblock", func(p *Profile) { p.PIN.Unblock = "never" }, func(p *Profile) { p.PIN.Unblock = "kiosk" }},
		{"identity.featuresDrawn", func(p *Profile) { p.Identity.FeaturesDrawn = 3 }, func(p *Profile) { p.Identity.FeaturesDrawn = 2 }},
		{"identity.featuresDrawn", func(p *Profile) { p.Identity.FeaturesDrawn = 5 }, func(p *Profile) { p.Identity.FeaturesDrawn = 6 }},
		{"identity.documents", nil, func(p *Profile) { p.Identity.Documents = nil }},
		{"identity.documents", nil, func(p *Profile) { p.Identity.Documents = p.Identity.Documents[1:3] }},
		{"identity.documents[1].id", nil, func(p *Profile) { p.Identity.Documents[1].ID = p.Identity.Documents[0].ID }},
		{"identity.documents[0].features", func(p *Profile) { d := &p.Identity.Documents[0]; d.Features = d.Features[:5] }, func(p *Profile) { d := &p.Identity.Documents[0]; d.Features = d.Features[:4] }},
		{"identity.documents[0].features[1].id", nil, func(p *Profile) { f := p.Identity.Documents[0].Features; f[1].ID = f[0].ID }},
		{"identity.face", func(p *Profile) { p.Identity.Face = p.Identity.Face[:3] }, func(p *Profile) { p.Identity.Face = p.Identity.Face[:2] }},
		{"identity.faceSeconds", func(p *Profile) { p.Identity.FaceSeconds = 120 }, func(p *Profile) { p.Identity.FaceSeconds = 121 }},
		{"identity.typingTries", func(p *Profile) { p.Identity.TypingTries = 1 }, func(p *Profile) { p.Identity.TypingTries = 0 }},
		{"terms.version", func(p *Profile) { p.Terms.Version = strings.Repeat("1", 32) }, func(p *Profile) { p.Terms.Version = "" }},
		{"terms.text", nil, func(p *Profile) { p.Terms.Text = Text{} }},
		{"tracking.minDigits", func(p *Profile) { p.Tracking.MinDigits = 1 }, func(p *Profile) { p.Tracking.MinDigits = 0 }},
		{"tracking.maxDigits", func(p *Profile) { p.Tracking.MaxDigits = 4 }, func(p *Profile) { p.Tracking.MaxDigits = 3 }},
		{"clock.zone", nil, func(p *Profile) { p.Clock.Zone = "" }},
		{"clock.offsetMins", func(p *Profile) { p.Clock.OffsetMins = -720 }, func(p *Profile) { p.Clock.OffsetMins = -721 }},
		{"clock.calendar", func(p *Profile) { p.Clock.Calendar = "gregorian" }, func(p *Profile) { p.Clock.Calendar = "hijri" }},
		{"clock.provenHours", func(p *Profile) { p.Clock.ProvenHours = 1 }, func(p *Profile) { p.Clock.ProvenHours = 0 }},
		{"clock.maxDriftSecs", func(p *Profile) { p.Clock.MaxDriftSecs = 3600 }, func(p *Profile) { p.Clock.MaxDriftSecs = 3601 }},
	} {
		if tt.last != nil {
			p := template(t)
			tt.last(p)
			if err := p.Validate(); err != nil {
				t.Errorf("%s, last value: %v", tt.key, err)
			}
		}
		p := template(t)
		tt.first(p)
		if err := p.Validate(); err == nil || !strings.HasPrefix(err.Error(), "profile: "+tt.key+": ") {
			t.Errorf("%s, first wrong value: %v", tt.key, err)
		}
	}
}

func template(t testing.TB) *Profile {
	t.Helper()
	p, err := Template("demo")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func officer(n byte) Officer {
	return Officer{
		Name: Text{"fa": "رضا", "en": "Reza"}, Office: "t-1", Certificate: Digest{n},
		TrainingUntil: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

// TestTexts reads every text of the embedded profiles in every language.
func TestTexts(t *testing.T) {
	for _, name := range Names() {
		p, err := Template(name)
		if err != nil {
			t.Fatal(err)
		}
		if p.Languages[0] != "fa" {
			t.Errorf("%s: first language is %s", name, p.Languages[0])
		}
		for _, d := range p.Identity.Documents {
			if len(d.Features) < minFeatures {
				t.Errorf("%s: document %s has %d features", name, d.ID, len(d.Features))
			}
			for _, f := range d.Features {
				if f.Text.In("fa") == f.Text.In("en") || f.Text.In("de") != "" {
					t.Errorf("%s: %s: texts %v", name, f.ID, f.Text)
				}
			}
		}
	}
	if p, _ := Template("ir-gica"); len(p.Anchors) != 0 || p.Renewal.WindowDays != nil || len(p.Subject.Title.Standard) != 0 {
		t.Error("ir-gica claims what is not published")
	}
}
