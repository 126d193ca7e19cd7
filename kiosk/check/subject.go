package check

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"

	"mohr.internal/kiosk/nationalid"
	"mohr.internal/kiosk/persian"
	"mohr.internal/kiosk/profile"
)

// IDKind says what sort of number identifies the holder.
type IDKind string

// Kinds of holder.
const (
	National IDKind = "national" // a person by national ID
	Foreign  IDKind = "foreign"  // a person by another number
	Legal    IDKind = "legal"    // an organisation by legal id
)

// Holder is what the certificate says about its holder, as written there.
// Screens pass the texts through persian.Show and the numbers through
// nationalid.Mask.
type Holder struct {
	Kind         IDKind
	ID           string // the number by which the holder is identified, ASCII, completed with zeros
	LegalID      string // the organisation's number, if there is one
	CommonName   string
	Given        string
	Family       string
	Organization string
	Units        []string
	Title        string
	Province     string
	City         string
	Stamp        bool // an organisation's stamp, not a person's signature
}

// Name is the holder's name in Persian if the certificate has it, else CN.
func (h Holder) Name() string {
	if name := persian.Normalize(h.Given + " " + h.Family); name != "" && !h.Stamp {
		return name
	}
	return h.CommonName
}

// Attribute types of a subject (RFC 5280, A.1; X.520).
var (
	oidCommonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidSurname      = asn1.ObjectIdentifier{2, 5, 4, 4}
	oidCountry      = asn1.ObjectIdentifier{2, 5, 4, 6}
	oidLocality     = asn1.ObjectIdentifier{2, 5, 4, 7}
	oidProvince     = asn1.ObjectIdentifier{2, 5, 4, 8}
	oidOrganization = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidUnit         = asn1.ObjectIdentifier{2, 5, 4, 11}
	oidTitle        = asn1.ObjectIdentifier{2, 5, 4, 12}
	oidGivenName    = asn1.ObjectIdentifier{2, 5, 4, 42}
)

// Subject reads the holder from the subject and checks it by the profile.
func Subject(p *profile.Profile, cert *x509.Certificate) (Holder, Findings) {
	var f Findings
	h := Holder{
		CommonName:   first(cert, oidCommonName),
		Given:        first(cert, oidGivenName),
		Family:       first(cert, oidSurname),
		Organization: first(cert, oidOrganization),
		Units:        values(cert, oidUnit),
		Title:        first(cert, oidTitle),
		Province:     first(cert, oidProvince),
		City:         first(cert, oidLocality),
	}
	s := p.Subject
	sign := s.SignSuffix != "" && strings.HasSuffix(h.CommonName, s.SignSuffix)
	h.Stamp = s.StampSuffix != "" && strings.HasSuffix(h.CommonName, s.StampSuffix)
	if !sign && !h.Stamp && s.SignSuffix+s.StampSuffix != "" {
		f.add(SubjectSuffix, Warn, "common name ends in neither %q nor %q", s.SignSuffix, s.StampSuffix)
	}
	legalID(s, cert, &h, sign, &f)
	if h.Kind != Legal {
		personID(s, cert, &h, &f)
	}
	if c := first(cert, oidCountry); c != p.Country {
		f.add(SubjectCountry, Warn, "country is not %s", p.Country)
	}
	if len(s.Organizations) > 0 && !slices.Contains(s.Organizations, h.Organization) {
		f.add(SubjectOrganization, Warn, "organization is none of the profile's")
	}
	for _, a := range cert.Subject.Names {
		v, _ := a.Value.(string)
		if odd := persian.Oddities(v); len(odd) > 0 {
			f.add(SubjectText, Warn, "attribute %v: %s U+%04X", a.Type, odd[0].Why, odd[0].Rune)
			break
		}
	}
	title(s.Title, h, &f)
	return h, f
}

// legalID finds an organisation's number. Sources differ on where it stands,
// so all listed attributes are read and length, checksum and the suffix of CN
// decide. In the attribute of the national ID eleven digits of a person's
// certificate are left to personID.
func legalID(s profile.Subject, cert *x509.Certificate, h *Holder, sign bool, f *Findings) {
	wrong := false
	for _, oid := range s.LegalID {
		for _, v := range values(cert, asn1.ObjectIdentifier(oid)) {
			n := number(s, v)
			if len(n) != legalLength || !isDigits(n) || sign && slices.Equal(oid, s.NationalID) {
				continue
			}
			if !nationalid.Valid(s.LegalChecksum, n) {
				wrong = true
				continue
			}
			if h.LegalID != "" && h.LegalID != n {
				f.add(IDAmbiguous, Refuse, "two different legal ids")
				if !sign {
					h.Kind = Legal
				}
				return
			}
			h.LegalID = n
		}
	}
	switch {
	case h.LegalID == "" && wrong:
		f.add(LegalChecksum, Refuse, "check digit of the legal id")
		h.Kind = Legal
	case h.LegalID == "" && h.Stamp:
		f.add(LegalMissing, Refuse, "stamp without a legal id")
		h.Kind = Legal
	case h.Stamp, h.LegalID != "" && !sign && number(s, first(cert, asn1.ObjectIdentifier(s.NationalID))) == h.LegalID:
		h.Kind, h.ID = Legal, h.LegalID
	}
}

const (
	nationalLength = 10
	legalLength    = 11
)

// personID finds and checks a person's number.
func personID(s profile.Subject, cert *x509.Certificate, h *Holder, f *Findings) {
	var n string
	for _, v := range values(cert, asn1.ObjectIdentifier(s.NationalID)) {
		if strings.TrimSpace(v) == "" {
			continue
		}
		if n != "" && n != number(s, v) {
			f.add(IDAmbiguous, Refuse, "two different numbers")
			return
		}
		if n = number(s, v); n == "" {
			f.add(IDFormat, Refuse, "number has other characters than digits and letters")
			return
		}
	}
	if n == "" {
		f.add(IDMissing, Refuse, "no attribute %v", s.NationalID)
		return
	}
	h.Kind, h.ID = National, n
	padded, padOK := nationalid.Pad(n)
	switch {
	case s.Checksum == nationalid.KindNone, nationalid.Valid(s.Checksum, n):
	case len(n) == nationalLength && isDigits(n):
		f.add(IDChecksum, Refuse, "check digit of the national ID")
	case padOK && s.PadZeros:
		h.ID = padded
		f.add(IDPadded, Warn, "completed from %d to %d digits", len(n), len(padded))
	case foreignForm(s.Foreign, n):
		h.Kind = Foreign
		f.add(IDForeign, Warn, "number of %d characters, no checksum", len(n))
	default:
		f.add(IDFormat, Refuse, "number of %d characters", len(n))
	}
}

// foreignForm accepts a length range. Ten digits are a national code and
// eleven a legal id, with their checksums, and never slip through as foreign.
func foreignForm(rule profile.Foreign, n string) bool {
	if !rule.Allowed || isDigits(n) && (len(n) == nationalLength || len(n) == legalLength) {
		return false
	}
	return rule.MinLength <= len(n) && len(n) <= rule.MaxLength
}

// number takes an attribute's value to ASCII without its semantics prefix; ""
// if anything else than digits and letters is in it. In a certificate nothing
// is dropped silently, other than in what a person types.
func number(s profile.Subject, v string) string {
	v = strings.TrimSpace(persian.ASCII(v))
	for _, prefix := range s.Prefixes {
		if rest, ok := strings.CutPrefix(v, prefix); ok {
			v = rest
			break
		}
	}
	if v == "" || nationalid.Clean(v) != strings.ToUpper(v) {
		return ""
	}
	return nationalid.Clean(v)
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// title applies the procurement portal's rule. It only ever warns.
func title(rule profile.Title, h Holder, f *Findings) {
	if h.Stamp || !slices.Contains(rule.Organizations, h.Organization) {
		return
	}
	switch {
	case strings.TrimSpace(h.Title) == "":
		f.add(TitleMissing, Warn, "organization needs a title")
	case strings.ContainsFunc(h.Title, func(r rune) bool { return r < ' ' || r > '~' }):
		f.add(TitleAlphabet, Warn, "title is not in English letters")
	case len(rule.Standard) > 0 && !slices.Contains(rule.Standard, h.Title):
		f.add(TitleUnknown, Warn, "title is not one of the portal's")
	}
}

// values returns an attribute's values as text, in order.
func values(cert *x509.Certificate, oid asn1.ObjectIdentifier) []string {
	var out []string
	for _, a := range cert.Subject.Names {
		if a.Type.Equal(oid) {
			out = append(out, fmt.Sprint(a.Value))
		}
	}
	return out
}

func first(cert *x509.Certificate, oid asn1.ObjectIdentifier) string {
	if v := values(cert, oid); len(v) > 0 {
		return v[0]
	}
	return ""
}
