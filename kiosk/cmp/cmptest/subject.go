package cmptest

import (
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Affiliations as they stand in the subject's O.
const (
	Unaffiliated    = "Unaffiliated"
	Governmental    = "Governmental"
	NonGovernmental = "Non-Governmental"
)

// Person is the holder of a certificate in the government CA's subject profile.
// Empty fields leave their attribute out.
type Person struct {
	Given, Family     string   // Latin, for the common name
	GivenFa, FamilyFa string   // Persian, for GN and SN
	NationalID        string   // serialNumber
	Affiliation       string   // O; empty means Unaffiliated
	Units             []string // OU, Persian: organisation, then its units
	OrganizationID    string   // organizationIdentifier, 11 digits
	Title             string   // T, English; Setad refuses a certificate without it
	Province, City    string   // S, L
}

// People to issue to. All are invented; the national IDs have a valid check
// digit, except that of the foreign national, whose code has no such digit.
var (
	Citizen = Person{
		Given: "Maryam", Family: "Rezaei", GivenFa: "مریم", FamilyFa: "رضایی",
		NationalID: "0499370899", Affiliation: Unaffiliated, Province: "تهران", City: "تهران",
	}
	Staff = Person{
		Given: "Hossein", Family: "Ahmadi", GivenFa: "حسین", FamilyFa: "احمدی",
		NationalID: "0790419904", Affiliation: NonGovernmental,
		Units: []string{"شرکت نمونهٔ پارس", "امور قراردادها"}, OrganizationID: "10380284790",
		Title: "Chief Executive Officer", Province: "اصفهان", City: "اصفهان",
	}
	ForeignNational = Person{
		Given: "Ahmad", Family: "Noorzai", GivenFa: "احمد", FamilyFa: "نورزی",
		NationalID: "900012345678", Affiliation: Unaffiliated, Province: "خراسان رضوی", City: "مشهد",
	}
	Officer = Person{
		Given: "Reza", Family: "Karimi", GivenFa: "رضا", FamilyFa: "کریمی",
		NationalID: "0084575948", Affiliation: Governmental,
		Units: []string{"دفتر پیشخوان نمونه"}, OrganizationID: "10380284790",
		Title: "Registration Officer", Province: "تهران", City: "تهران",
	}
)

// CheckDigit returns the tenth digit of the national ID that starts with nine.
func CheckDigit(nine string) (byte, error) {
	if len(nine) != 9 {
		return 0, fmt.Errorf("cmptest: national id %q: want nine digits", nine)
	}
	sum := 0
	for i := range 9 {
		if nine[i] < '0' || nine[i] > '9' {
			return 0, fmt.Errorf("cmptest: national id %q: want nine digits", nine)
		}
		sum += int(nine[i]-'0') * (10 - i)
	}
	if r := sum % 11; r < 2 {
		return byte('0' + r), nil
	} else {
		return byte('0' + 11 - r), nil
	}
}

// badChecksum returns id with its last digit made wrong.
func badChecksum(id string) string {
	if id == "" {
		return id
	}
	b := []byte(id)
	last := &b[len(b)-1]
	*last = '0' + (*last-'0'+1)%10
	return string(b)
}

// attribute is one AttributeTypeAndValue (RFC 5280, 4.1.2.4), alone in its RDN.
type attribute struct {
	oid   asn1.ObjectIdentifier
	tag   cbasn1.Tag
	value string
}

var (
	oidCommonName     = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidSurname        = asn1.ObjectIdentifier{2, 5, 4, 4}
	oidSerialNumber   = asn1.ObjectIdentifier{2, 5, 4, 5}
	oidCountry        = asn1.ObjectIdentifier{2, 5, 4, 6}
	oidLocality       = asn1.ObjectIdentifier{2, 5, 4, 7}
	oidProvince       = asn1.ObjectIdentifier{2, 5, 4, 8}
	oidOrganization   = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidUnit           = asn1.ObjectIdentifier{2, 5, 4, 11}
	oidTitle          = asn1.ObjectIdentifier{2, 5, 4, 12}
	oidGivenName      = asn1.ObjectIdentifier{2, 5, 4, 42}
	oidOrganizationID = asn1.ObjectIdentifier{2, 5, 4, 97}
)

// RawSubject returns the DER Name. Country and serialNumber are
// PrintableString as X.520 wants it; all else is UTF8String, also the Latin
// values, because that is how certificates in the field are made.
func (p Person) RawSubject() ([]byte, error) {
	affiliation := p.Affiliation
	if affiliation == "" {
		affiliation = Unaffiliated
	}
	attrs := []attribute{
		{oidCountry, cbasn1.PrintableString, "IR"},
		{oidOrganization, cbasn1.UTF8String, affiliation},
	}
	for _, u := range p.Units {
		attrs = append(attrs, attribute{oidUnit, cbasn1.UTF8String, u})
	}
	return rawName(append(attrs,
		attribute{oidOrganizationID, cbasn1.UTF8String, p.OrganizationID},
		attribute{oidProvince, cbasn1.UTF8String, p.Province},
		attribute{oidLocality, cbasn1.UTF8String, p.City},
		attribute{oidTitle, cbasn1.UTF8String, p.Title},
		attribute{oidSurname, cbasn1.UTF8String, p.FamilyFa},
		attribute{oidGivenName, cbasn1.UTF8String, p.GivenFa},
		attribute{oidSerialNumber, cbasn1.PrintableString, p.NationalID},
		attribute{oidCommonName, cbasn1.UTF8String, p.CommonName()},
	))
}

// CommonName returns the Latin name with the mark of a personal certificate.
func (p Person) CommonName() string { return p.Given + " " + p.Family + " [Sign]" }

// systemName is the name of a CA, responder or kiosk.
func systemName(unit, cn string) ([]byte, error) {
	return rawName([]attribute{
		{oidCountry, cbasn1.PrintableString, "IR"},
		{oidOrganization, cbasn1.UTF8String, "Mohr Demo"},
		{oidUnit, cbasn1.UTF8String, unit},
		{oidCommonName, cbasn1.UTF8String, cn},
	})
}

func rawName(attrs []attribute) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(name *cryptobyte.Builder) {
		for _, a := range attrs {
			if a.value == "" {
				continue
			}
			name.AddASN1(cbasn1.SET, func(rdn *cryptobyte.Builder) {
				rdn.AddASN1(cbasn1.SEQUENCE, func(atv *cryptobyte.Builder) {
					atv.AddASN1ObjectIdentifier(a.oid)
					atv.AddASN1(a.tag, func(v *cryptobyte.Builder) { v.AddBytes([]byte(a.value)) })
				})
			})
		}
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("cmptest: encode name: %w", err)
	}
	return der, nil
}
