package cmp

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// What kind of issue an officer attests.
const (
	RenewalFirst = "first"      // first renewal, in person
	RenewalLater = "later"      // later renewal
	Activation   = "activation" // ir for a blank token
)

var renewals = []string{RenewalFirst, RenewalLater, Activation} // ENUMERATED 0, 1, 2

// Statement is what a Registration Officer attests about one request: these
// are the bytes of whom I identified, by these rules, at this time. No name and
// no number of a document is in it; they are in the evidence, by its hash.
//
//	Statement ::= SEQUENCE { -- own syntax, DER, IMPLICIT tags
//	   version         INTEGER { v1(1) },
//	   requestHash     OCTET STRING (SIZE (32)), -- SHA-256 of the inner PKIMessage, with protection
//	   transactionID   OCTET STRING (SIZE (16..64)),
//	   oldCertHash [0] OCTET STRING (SIZE (32)) OPTIONAL, -- SHA-256 of the old certificate; absent: ir
//	   newKeyHash      OCTET STRING (SIZE (32)), -- SHA-256 of the new SubjectPublicKeyInfo
//	   evidenceHash    OCTET STRING (SIZE (32)), -- SHA-256 of the sealed evidence
//	   profile         UTF8String, profileVersion INTEGER (0..2147483647),
//	   renewal         ENUMERATED { first(0), later(1), activation(2) },
//	   signal          UTF8String, -- how first or later was told
//	   office          UTF8String, kiosk UTF8String,
//	   time            GeneralizedTime, clockQuality UTF8String }
//
// Strings have 1 to 128 bytes of printable text.
type Statement struct {
	RequestHash    [32]byte
	TransactionID  []byte
	OldCertHash    [32]byte // zero: absent
	NewKeyHash     [32]byte
	EvidenceHash   [32]byte
	Profile        string
	ProfileVersion int
	Renewal        string // RenewalFirst, RenewalLater or Activation
	Signal         string
	Office         string
	Kiosk          string
	Time           time.Time
	ClockQuality   string
}

const maxStatementText = 128

// NewStatement starts a Statement about a citizen's message, as it was signed:
// hashes and transactionID are filled in.
func NewStatement(request []byte) (Statement, error) {
	m, err := Parse(request)
	if err != nil {
		return Statement{}, err
	}
	r, err := m.Request()
	if err != nil {
		return Statement{}, err
	}
	s := Statement{RequestHash: m.Digest(), TransactionID: m.TransactionID(), NewKeyHash: sha256.Sum256(r.PublicKey)}
	if m.Kind == BodyKUR {
		old, err := m.ProtectionCert()
		if err != nil {
			return Statement{}, err
		}
		s.OldCertHash = sha256.Sum256(old.Raw)
	}
	return s, nil
}

// CheckRequest reports whether the statement is about this very message.
func (s Statement) CheckRequest(request *Message) error {
	want, err := NewStatement(request.raw)
	if err != nil {
		return err
	}
	switch {
	case s.RequestHash != want.RequestHash:
		return broken(RuleAttest, "attestation is for another request")
	case !bytes.Equal(s.TransactionID, want.TransactionID):
		return broken(RuleAttest, "attestation is for transaction %x", s.TransactionID)
	case s.OldCertHash != want.OldCertHash:
		return broken(RuleAttest, "attestation is for another old certificate")
	case s.NewKeyHash != want.NewKeyHash:
		return broken(RuleAttest, "attestation is for another new key")
	}
	return nil
}

func (s Statement) der() ([]byte, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	return build(func(b *cryptobyte.Builder) {
		text := func(t string) {
			b.AddASN1(asn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(t)) })
		}
		addSequence(b, func(outer *cryptobyte.Builder) {
			b = outer
			b.AddASN1Int64(1)
			b.AddASN1OctetString(s.RequestHash[:])
			b.AddASN1OctetString(s.TransactionID)
			if s.OldCertHash != [32]byte{} {
				b.AddASN1(asn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(s.OldCertHash[:]) })
			}
			b.AddASN1OctetString(s.NewKeyHash[:])
			b.AddASN1OctetString(s.EvidenceHash[:])
			text(s.Profile)
			b.AddASN1Int64(int64(s.ProfileVersion))
			for n, r := range renewals {
				if r == s.Renewal {
					b.AddASN1Enum(int64(n))
				}
			}
			text(s.Signal)
			text(s.Office)
			text(s.Kiosk)
			addTime(b, s.Time)
			text(s.ClockQuality)
		})
	})
}

func (s Statement) validate() error {
	if n := len(s.TransactionID); n < 16 || n > maxOctets {
		return broken(RuleAttest, "statement: transactionID of %d bytes", n)
	}
	if s.ProfileVersion < 0 || s.ProfileVersion > 1<<31-1 {
		return broken(RuleAttest, "statement: profile version %d", s.ProfileVersion)
	}
	known := false
	for _, r := range renewals {
		known = known || r == s.Renewal
	}
	if !known {
		return broken(RuleAttest, "statement: renewal %q", s.Renewal)
	}
	if (s.Renewal == Activation) != (s.OldCertHash == [32]byte{}) {
		return broken(RuleAttest, "statement: %s with or without an old certificate", s.Renewal)
	}
	// signingTime is a UTCTime until 2049 (RFC 5652, 11.3).
	if y := s.Time.UTC().Year(); y < 1950 || y > 2049 {
		return broken(RuleAttest, "statement: year %d", y)
	}
	for name, t := range map[string]string{"profile": s.Profile, "signal": s.Signal, "office": s.Office, "kiosk": s.Kiosk, "clockQuality": s.ClockQuality} {
		if len(t) == 0 || len(t) > maxStatementText || !utf8.ValidString(t) {
			return broken(RuleAttest, "statement: %s of %d bytes", name, len(t))
		}
		for _, r := range t {
			if !printable(r) {
				return broken(RuleAttest, "statement: %s has unprintable character %U", name, r)
			}
		}
	}
	return nil
}

func parseStatement(der []byte) (Statement, error) {
	var s Statement
	if err := s.read(der); err != nil {
		return Statement{}, err
	}
	again, err := s.der()
	if err != nil {
		return Statement{}, err
	}
	if !bytes.Equal(again, der) {
		return Statement{}, broken(RuleAttest, "statement is not in DER")
	}
	return s, nil
}

func (s *Statement) read(der []byte) error {
	in := cryptobyte.String(der)
	var seq, v cryptobyte.String
	bad := func(field string) error { return broken(RuleAttest, "statement: malformed %s", field) }
	var version int
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1Integer(&version) || version != 1 {
		return bad("version")
	}
	hash := func(out *[32]byte, tag asn1.Tag) bool {
		return seq.ReadASN1(&v, tag) && copy(out[:], v) == len(out) && len(v) == len(out)
	}
	text := func(out *string) bool {
		ok := seq.ReadASN1(&v, asn1.UTF8String) && len(v) <= maxStatementText
		*out = string(v)
		return ok
	}
	var ok bool
	if !hash(&s.RequestHash, asn1.OCTET_STRING) {
		return bad("requestHash")
	}
	if s.TransactionID, ok = readOctets(&seq); !ok {
		return bad("transactionID")
	}
	s.TransactionID = bytes.Clone(s.TransactionID)
	if t := asn1.Tag(0).ContextSpecific(); seq.PeekASN1Tag(t) && !hash(&s.OldCertHash, t) {
		return bad("oldCertHash")
	}
	if !hash(&s.NewKeyHash, asn1.OCTET_STRING) || !hash(&s.EvidenceHash, asn1.OCTET_STRING) {
		return bad("newKeyHash or evidenceHash")
	}
	if !text(&s.Profile) || !seq.ReadASN1Integer(&s.ProfileVersion) {
		return bad("profile")
	}
	var n int
	if !seq.ReadASN1Enum(&n) || n < 0 || n >= len(renewals) {
		return bad("renewal")
	}
	s.Renewal = renewals[n]
	if !text(&s.Signal) || !text(&s.Office) || !text(&s.Kiosk) || !readTime(&seq, &s.Time) || !text(&s.ClockQuality) || !seq.Empty() {
		return bad("signal, office, kiosk, time or clockQuality")
	}
	return nil
}

// String is one line for a log.
func (s Statement) String() string {
	return fmt.Sprintf("%s renewal, transaction %x, office %s, kiosk %s, %s (clock %s)",
		s.Renewal, s.TransactionID, s.Office, s.Kiosk, s.Time.UTC().Format(time.RFC3339), s.ClockQuality)
}

// printable leaves out control and formatting characters, except the zero
// width non-joiner, which Persian spelling needs.
func printable(r rune) bool { return unicode.IsPrint(r) || r == '\u200c' }
