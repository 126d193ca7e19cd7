package profile

import "time"

// Profile is one country's and one CA's rules. The field comments are the
// documentation of the file: every key must be there, a value that is not
// known is null or an empty list where the comment says so.
type Profile struct {
	ID         string        `json:"id"`         // [a-z0-9-], named in every attestation
	Version    int           `json:"version"`    // grows with every change; an older file is refused as a rollback
	ValidUntil time.Time     `json:"validUntil"` // RFC 3339, UTC; a kiosk does not serve citizens by an older file
	Names      Text          `json:"names"`      // shown on the idle screen
	Country    string        `json:"country"`    // ISO 3166 code expected in the subject's C
	Languages  []string      `json:"languages"`  // in order of preference; the first is shown first
	Anchors    []Certificate `json:"anchors"`    // PEM, the pinned CA certificates; empty: the kiosk does not serve
	Chain      []Certificate `json:"chain"`      // PEM, further CA certificates to build a path with; not trusted by themselves
	Officers   []Officer     `json:"officers"`   // who may check identities
	Recipients []string      `json:"recipients"` // age recipients (age1…) evidence is sealed to
	CA         CA            `json:"ca"`
	Subject    Subject       `json:"subject"`
	Renewal    Renewal       `json:"renewal"`
	PIN        PIN           `json:"pin"`
	Identity   Identity      `json:"identity"`
	Terms      Terms         `json:"terms"`
	Tracking   Tracking      `json:"tracking"`
	Clock      ClockRule     `json:"clock"`

	// Digest is the SHA-256 of the file's bytes, set by Parse and Open.
	Digest Digest `json:"-"`
}

// Officer is a Registration Officer, known by the certificate on their token.
type Officer struct {
	Name          Text      `json:"name"`
	Office        string    `json:"office"`        // office id, as it stands in the attestation
	Certificate   Digest    `json:"certificate"`   // SHA-256 of the certificate DER, hex
	TrainingUntil time.Time `json:"trainingUntil"` // the yearly training has to be repeated by then
	NotAfter      time.Time `json:"notAfter"`      // end of the appointment
}

// CA says what the certification authority takes. Its address is not here but
// in the configuration of the program that talks to it.
type CA struct {
	NewKeys         []string `json:"newKeys"`         // allowed for new keys, best first: P-256, RSA-2048, RSA-3072, RSA-4096
	SameKeyRenewal  bool     `json:"sameKeyRenewal"`  // a new certificate for the old key may be asked for
	ImplicitConfirm bool     `json:"implicitConfirm"` // an answer that does not grant implicitConfirm is not taken as final
	Confirm         string   `json:"confirm"`         // without implicitConfirm: "token", the old key confirms when the certificate is loaded, at whatever kiosk; there is no other way yet
	Responders      []OID    `json:"responders"`      // extended key usages that make a certificate a CMP responder
	SyncMarginDays  int      `json:"syncMarginDays"`  // a request must reach the CA that long before the old certificate ends
	CRLMaxAgeDays   int      `json:"crlMaxAgeDays"`   // an older CRL is reported as stale
}

// Subject says where in the certificate's subject things stand.
type Subject struct {
	NationalID    OID      `json:"nationalID"`    // attribute with the person's number
	Prefixes      []string `json:"prefixes"`      // semantics prefixes that may precede it, such as PNOIR-
	Checksum      string   `json:"checksum"`      // ir-national-10, none
	PadZeros      bool     `json:"padZeros"`      // a number short of leading zeros is taken, with a warning
	Foreign       Foreign  `json:"foreign"`       // numbers of foreign nationals
	LegalID       []OID    `json:"legalID"`       // attributes that may hold an organisation's number, in order
	LegalChecksum string   `json:"legalChecksum"` // ir-legal-11, none
	SignSuffix    string   `json:"signSuffix"`    // end of CN in a person's certificate
	StampSuffix   string   `json:"stampSuffix"`   // end of CN in an organisation's stamp
	Organizations []string `json:"organizations"` // values of O the CA uses; empty: any
	Title         Title    `json:"title"`
}

// Foreign is the exception for people without a national code: their number
// has another form, which is not published, so only its length is looked at.
type Foreign struct {
	Allowed   bool `json:"allowed"`
	MinLength int  `json:"minLength"`
	MaxLength int  `json:"maxLength"`
}

// Title is the rule for the T attribute, by which the Setad portal decides
// what the holder may do. It only ever warns: the CA decides.
type Title struct {
	Organizations []string `json:"organizations"` // values of O for which a title is expected
	Standard      []string `json:"standard"`      // the portal's titles in English; empty: not known, only the alphabet is looked at
}

// Signals by which a first renewal is told from a later one.
const (
	SignalRegister  = "register"       // CA's register, cached and dated on the kiosk
	SignalPolicy    = "policy"         // policy OID set by the CA
	SignalRenewed   = "renewed"        // the list Renewal.Renewed
	SignalOlder     = "older-on-token" // an older certificate of the same holder on the token; weak, can be deleted or planted
	SignalNotBefore = "not-before"     // issued before renewals began: cannot be one; weak, only ever says "first"
)

// Renewal says when and how a certificate may be renewed.
type Renewal struct {
	WindowDays        *int      `json:"windowDays"`        // days before the end from which on; null: not known, any day
	Signals           []string  `json:"signals"`           // looked at in this order, the first that knows decides
	Unknown           string    `json:"unknown"`           // always "first": not known counts as a first renewal
	MaxRemoteRenewals *int      `json:"maxRemoteRenewals"` // so many without presence, then in person again; null: no limit known
	MaxInPersonDays   *int      `json:"maxInPersonDays"`   // days since the last presence, then in person again; null: no limit known
	Renewed           []Digest  `json:"renewed"`           // certificates known to come from a renewal: SHA-256 over issuer and serial, see check.CertificateID
	LaterPolicies     []OID     `json:"laterPolicies"`     // certificate policies only renewed certificates carry
	FirstPolicies     []OID     `json:"firstPolicies"`     // certificate policies only first certificates carry
	Began             time.Time `json:"began"`             // when the CA first renewed at all; for SignalNotBefore
	Retire            string    `json:"retire"`            // old pair after the new certificate is proven: "keep" or "delete"
}

// PIN is the policy for entering and unblocking a PIN.
type PIN struct {
	StopAt    int    `json:"stopAt"`    // with so many tries left or fewer nothing is sent, ever; at least 1
	ConsentAt int    `json:"consentAt"` // with so many or fewer both holder and officer have to consent; at least 2
	Unblock   string `json:"unblock"`   // "never" or "officer": at this kiosk, with the officer and a second document
}

// Identity says what the officer looks at.
type Identity struct {
	Documents     []Document `json:"documents"`
	FeaturesDrawn int        `json:"featuresDrawn"` // security features drawn at random, at least 3
	Face          []Feature  `json:"face"`          // features compared one by one
	FaceSeconds   int        `json:"faceSeconds"`   // least time for the comparison
	TypingTries   int        `json:"typingTries"`   // the number may be typed wrongly so often before the end
}

// Document is a kind of identity document.
type Document struct {
	ID       string    `json:"id"`
	Name     Text      `json:"name"`
	Primary  bool      `json:"primary"` // enough by itself; others only as a second document
	Foreign  bool      `json:"foreign"` // for foreign nationals
	HasID    bool      `json:"hasID"`   // the holder's number is printed on it and is typed from it
	Features []Feature `json:"features"`
}

// Feature is one thing to look at: a document's security feature or a part of
// a face.
type Feature struct {
	ID   string `json:"id"`
	Text Text   `json:"text"`
}

// Terms are what the applicant accepts before anything else.
type Terms struct {
	Version string `json:"version"`
	Text    Text   `json:"text"`
}

// Tracking is the rule for the tracking code given after payment. Its format
// is not published, so digits of a length range, no checksum.
type Tracking struct {
	Required  bool `json:"required"`
	MinDigits int  `json:"minDigits"`
	MaxDigits int  `json:"maxDigits"`
}

// ClockRule is for times shown and compared. That a certificate is never
// refused as expired on an unproven clock is not a setting.
type ClockRule struct {
	Zone         string `json:"zone"`         // name shown, Asia/Tehran
	OffsetMins   int    `json:"offsetMins"`   // east of UTC, fixed all the year
	Calendar     string `json:"calendar"`     // "jalali" or "gregorian"
	ProvenHours  int    `json:"provenHours"`  // so long after the last proof the clock counts as proven
	MaxDriftSecs int    `json:"maxDriftSecs"` // allowed difference to a signed time
}
