package desk

import (
	"mohr.internal/kiosk/cmp/cmptest"
)

// Kind names a device on the bench: what tokend's bench socket calls its key.
type Kind string

// The devices a Place can have.
const (
	Citizen Kind = "citizen" // good, 20 days left
	Officer Kind = "officer" // on the profile's list
	Second  Kind = "second"  // another citizen, also good: the token that is swapped in

	Expired  Kind = "expired"
	Revoked  Kind = "revoked"
	Foreign  Kind = "foreign"  // issued by a CA of the same name with other keys
	Bare     Kind = "bare"     // initialised, with neither key nor certificate
	NoTitle  Kind = "no-title" // a company's person without the title that Setad wants
	Alien    Kind = "alien"    // a foreign national: no ten-digit number
	Checksum Kind = "checksum" // the national ID in the certificate has a wrong check digit
	NoSign   Kind = "no-sign"  // key usage without digitalSignature
	P256     Kind = "p256"     // good, with a P-256 key instead of RSA-2048
	Stranger Kind = "stranger" // an officer who is not on the profile's list
	LowTries Kind = "last-try" // good, but one wrong PIN was entered: SoftHSM sets "count low"
	Unknown  Kind = "unknown"  // a device that no catalogue knows
	Storage  Kind = "storage"  // a memory stick
)

// kind is what a device is made of. A device with no PIN is no token.
type kind struct {
	role           string // the port it goes into: citizen, officer, other
	title, titleFa string
	note           string
	pin            string
	keyType        string // pkcs11-tool's word; "" makes RSA-2048, "none" leaves the token bare
	options        cmptest.CertOptions
	officer        bool // certificate from PKI.Officer, entered into the profile's list
	vid, pid       uint16
	class          uint8
}

// secondPerson is the holder of the Second token. Invented; the check digit is right.
var secondPerson = cmptest.Person{
	Given: "Ali", Family: "Mohammadi", GivenFa: "علی", FamilyFa: "محمدی",
	NationalID: "0963695398", Affiliation: cmptest.Unaffiliated, Province: "خراسان رضوی", City: "مشهد",
}

// The PINs of throw-away tokens, different for each role so that a mix-up shows.
const (
	citizenPIN = "482915"
	officerPIN = "730264"
)

// kinds is every device that Provision can make. VID:PID 1209:0001 is set aside for tests by pid.codes.
var kinds = map[Kind]kind{
	Citizen: {role: "citizen", title: "Citizen", titleFa: "متقاضی", note: "20 days left", pin: citizenPIN},
	Officer: {role: "officer", title: "Officer", titleFa: "کارشناس", pin: officerPIN, officer: true},
	Second: {role: "citizen", title: "Second citizen", titleFa: "متقاضی دیگر", note: "20 days left", pin: citizenPIN,
		options: cmptest.CertOptions{Person: secondPerson}},
	Expired: {role: "citizen", title: "Expired", titleFa: "منقضی", note: "ran out 20 days ago", pin: citizenPIN,
		options: cmptest.CertOptions{Expired: true}},
	Revoked: {role: "citizen", title: "Revoked", titleFa: "باطل شده", note: "on the CRL", pin: citizenPIN,
		options: cmptest.CertOptions{Revoked: true}},
	Foreign: {role: "citizen", title: "Foreign CA", titleFa: "مرکز ناشناس", note: "same names, other keys", pin: citizenPIN,
		options: cmptest.CertOptions{ForeignCA: true}},
	Bare: {role: "citizen", title: "Blank token", titleFa: "توکن خالی", note: "no key, no certificate", pin: citizenPIN, keyType: "none"},
	NoTitle: {role: "citizen", title: "No title", titleFa: "بدون سمت", note: "useless on Setad", pin: citizenPIN,
		options: cmptest.CertOptions{MissingTitle: true}},
	Alien: {role: "citizen", title: "Foreign national", titleFa: "تبعهٔ خارجی", pin: citizenPIN,
		options: cmptest.CertOptions{ForeignNational: true}},
	Checksum: {role: "citizen", title: "Wrong check digit", titleFa: "رقم کنترل نادرست", pin: citizenPIN,
		options: cmptest.CertOptions{BadChecksum: true}},
	NoSign: {role: "citizen", title: "May not sign", titleFa: "بدون کاربرد امضا", note: "key usage without digitalSignature", pin: citizenPIN,
		options: cmptest.CertOptions{NonRepudiationOnly: true}},
	P256: {role: "citizen", title: "P-256 citizen", titleFa: "متقاضی با کلید P-256", note: "20 days left", pin: citizenPIN,
		keyType: "EC:prime256v1"},
	Stranger: {role: "officer", title: "Unlisted officer", titleFa: "کارشناس ناشناس", note: "not on the profile’s list", pin: officerPIN,
		options: cmptest.CertOptions{Person: cmptest.Officer, DaysLeft: 300}},
	LowTries: {role: "citizen", title: "After a wrong PIN", titleFa: "پس از رمز نادرست", note: "says that tries are low", pin: citizenPIN},
	Unknown:  {role: "citizen", title: "Unknown device", titleFa: "دستگاه ناشناس", note: "1209:000f, in no catalogue", vid: 0x1209, pid: 0x000f, class: 0xff},
	Storage:  {role: "citizen", title: "Memory stick", titleFa: "حافظهٔ USB", note: "1209:000e, class 08", vid: 0x1209, pid: 0x000e, class: 0x08},
}

// EveryKind lists all devices in the order the bench shows them.
func EveryKind() []Kind {
	return []Kind{Citizen, Officer, Second, Expired, Revoked, Foreign, Bare, NoTitle, Alien, Checksum, NoSign, P256, LowTries, Stranger, Unknown, Storage}
}
