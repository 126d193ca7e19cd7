package check

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"unicode/utf8"

	"mohr.internal/kiosk/persian"
)

// SubjectField is one attribute of a subject, for the page that shows what will
// be signed.
type SubjectField struct {
	Name  string // short name as in RFC 4514, or the dotted OID
	Value string // as in the bytes
	Shown string // safe for a screen, see persian.Show
	LTR   bool   // digits and Latin: stays left to right on a Persian page
}

// maxFields bounds a subject; the profile's has at most fifteen.
const maxFields = 64

var fieldNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C",
	"2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU",
	"2.5.4.12": "T", "2.5.4.42": "GN", "2.5.4.97": "organizationIdentifier",
	"1.2.840.113549.1.9.1": "emailAddress",
}

// SubjectFields lists the attributes of a DER Name in its order. It is strict
// and leaves nothing out: what it cannot show as text is an error, because a
// person must not sign what they were not shown.
func SubjectFields(raw []byte) ([]SubjectField, error) {
	if len(raw) > MaxCertificate {
		return nil, fmt.Errorf("check: subject of %d bytes", len(raw))
	}
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &rdns); err != nil {
		return nil, fmt.Errorf("check: subject: %w", err)
	} else if len(rest) > 0 {
		return nil, fmt.Errorf("check: subject: %d bytes after its end", len(rest))
	}
	var out []SubjectField
	for _, rdn := range rdns {
		for _, a := range rdn {
			value, ok := a.Value.(string)
			if !ok {
				return nil, fmt.Errorf("check: subject attribute %v is no text", a.Type)
			}
			if len(out) == maxFields {
				return nil, fmt.Errorf("check: subject of over %d attributes", maxFields)
			}
			if utf8.RuneCountInString(value) > persian.MaxShown {
				return nil, fmt.Errorf("check: subject attribute %v is too long to be shown", a.Type)
			}
			name := fieldNames[a.Type.String()]
			if name == "" {
				name = a.Type.String()
			}
			out = append(out, SubjectField{name, value, persian.Show(value), !persian.IsRTL(value)})
		}
	}
	return out, nil
}
