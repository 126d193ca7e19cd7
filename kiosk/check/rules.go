package check

// The rules of this package. Each constant is a rule ID; its comment is the
// rule. IDs are kept for ever: they stand in journals.
const (
	// A profile past its validity does not serve.
	ProfileExpired = "PROFILE-EXPIRED"
	// A profile without a pinned CA certificate does not serve.
	ProfileAnchors = "PROFILE-ANCHORS"
	// A profile without a registration officer does not serve.
	ProfileOfficers = "PROFILE-OFFICERS"
	// A profile without a recipient to seal evidence to does not serve.
	ProfileRecipients = "PROFILE-RECIPIENTS"

	// A token without any certificate or key is refused.
	TokenEmpty = "TOKEN-EMPTY"
	// A token with certificates of which none has its private key is refused.
	TokenNoKey = "TOKEN-NO-KEY"
	// A token with keys but without any certificate for them is refused.
	TokenNoCertificate = "TOKEN-NO-CERT"
	// An object that claims to be a certificate and cannot be read is passed over with a warning.
	TokenBadCertificate = "TOKEN-BAD-CERT"
	// A certificate without its private key on the token is passed over.
	TokenCertificateOnly = "TOKEN-CERT-ONLY"
	// A key without a certificate is left alone.
	TokenKeyOnly = "TOKEN-KEY-ONLY"
	// A certificate whose CKA_ID belongs to another key is passed over with a warning.
	TokenMismatch = "TOKEN-MISMATCH"
	// A certificate stored twice is counted once.
	TokenDuplicate = "TOKEN-DUPLICATE"
	// If more than one certificate is left, the holder chooses.
	TokenChoose = "TOKEN-CHOOSE"

	// A certificate over 16 KiB, malformed, or with a key over 8192 bits is refused.
	CertUnreadable = "CERT-UNREADABLE"
	// A CA certificate is not a holder's certificate.
	CertIsCA = "CERT-IS-CA"
	// A certificate with a critical extension nobody here understands is refused.
	CertCritical = "CERT-CRITICAL"
	// A certificate signed with MD5 or SHA-1 is refused.
	CertSignature = "CERT-SIGNATURE"
	// A certificate that does not chain to a pinned CA certificate is refused.
	CertForeign = "CERT-FOREIGN"
	// A CA certificate in the path outside its validity refuses, on a proven clock.
	ChainTime = "CHAIN-TIME"
	// A revoked CA certificate in the path refuses.
	ChainRevoked = "CHAIN-REVOKED"
	// An expired certificate is refused, on a proven clock.
	CertExpired = "CERT-EXPIRED"
	// A certificate that is not yet valid is refused, on a proven clock.
	CertNotYetValid = "CERT-NOT-YET-VALID"
	// On an unproven clock nothing is refused for its time; the result is marked and the CA decides.
	TimeUnproven = "TIME-UNPROVEN"
	// A revoked or suspended certificate is refused, whatever the clock.
	CertRevoked = "CERT-REVOKED"
	// Without a CRL of the certificate's issuer the status is not checked, which is recorded.
	CRLMissing = "CRL-MISSING"
	// A CRL past its next update or older than the profile allows is used with a warning.
	CRLStale = "CRL-STALE"
	// A CRL in the issuer's name that is not its own, or is partial, is not used.
	CRLUnusable = "CRL-UNUSABLE"
	// A CRL from the future says that the clock is behind.
	CRLFuture = "CRL-FUTURE"
	// A certificate whose key usage lacks digitalSignature cannot protect a CMP message.
	CertKeyUsage = "CERT-KEY-USAGE"
	// A certificate for nonRepudiation only cannot protect a CMP message; another one of the token may.
	CertNonRepudiation = "CERT-NON-REPUDIATION"

	// A key other than RSA of at most 4096 bits or EC on P-256, P-384, P-521 is refused.
	KeyKind = "KEY-KIND"
	// An RSA key under 2048 bits or with an exponent under 65537 is refused.
	KeyWeak = "KEY-WEAK"
	// An RSA key with the mark of the faulty generator of 2017 (ROCA, CVE-2017-15361) is refused.
	KeyROCA = "KEY-ROCA"
	// A new key of an algorithm the profile does not list is refused.
	KeyAlgorithm = "KEY-ALGORITHM"
	// The old key is not taken as the new one unless the profile allows same-key renewal.
	KeySame = "KEY-SAME"

	// A certificate without a national ID or another number of the holder is refused.
	IDMissing = "ID-MISSING"
	// A certificate with two different numbers for one holder is refused.
	IDAmbiguous = "ID-AMBIGUOUS"
	// A number of no known form is refused.
	IDFormat = "ID-FORMAT"
	// A national ID with a wrong check digit is refused.
	IDChecksum = "ID-CHECKSUM"
	// A national ID that lacks leading zeros is completed, with the officer's consent.
	IDPadded = "ID-PADDED"
	// The number of a foreign national has no checksum; the officer compares it with the document.
	IDForeign = "ID-FOREIGN"
	// An organisation's stamp without a legal id is refused.
	LegalMissing = "LEGAL-MISSING"
	// A legal id with a wrong check digit is refused.
	LegalChecksum = "LEGAL-CHECKSUM"
	// A subject of another country is accepted with a warning.
	SubjectCountry = "SUBJECT-COUNTRY"
	// An organisation value (O) the profile does not list gets a warning.
	SubjectOrganization = "SUBJECT-ORGANIZATION"
	// A common name that ends in neither of the profile's suffixes gets a warning.
	SubjectSuffix = "SUBJECT-SUFFIX"
	// Hidden or look-alike characters in the subject get a warning and are shown by their numbers.
	SubjectText = "SUBJECT-TEXT"
	// Without a title where the procurement portal needs one, the certificate may not be usable there.
	TitleMissing = "TITLE-MISSING"
	// A title that is not in English letters is not understood by the procurement portal.
	TitleAlphabet = "TITLE-ALPHABET"
	// A title that is not one of the portal's standard titles gets a warning.
	TitleUnknown = "TITLE-UNKNOWN"

	// Before the renewal window opens nothing is renewed, on a proven clock.
	WindowEarly = "WINDOW-EARLY"
	// Where the CA has published no renewal window, any day will do.
	WindowUnknown = "WINDOW-UNKNOWN"
	// After the latest time for syncing, the request has to be delivered at once.
	SyncLate = "SYNC-LATE"
	// If no signal tells a first renewal from a later one, it counts as first.
	RenewalUnknown = "RENEWAL-UNKNOWN"
	// A later renewal can be made from home.
	RenewalLater = "RENEWAL-LATER"
	// After too many or too long remote renewals the holder has to come in person again.
	RenewalPresence = "RENEWAL-PRESENCE"

	// A typed number of no possible form is a typing mistake.
	TypedFormat = "TYPED-FORMAT"
	// A typed number with a wrong check digit is a typing mistake.
	TypedChecksum = "TYPED-CHECKSUM"
	// The number typed from the document must be the one in the certificate.
	TypedMismatch = "TYPED-MISMATCH"
	// A tracking code is needed where the profile says so.
	TrackingMissing = "TRACKING-MISSING"
	// A tracking code is digits of the profile's length.
	TrackingFormat = "TRACKING-FORMAT"

	// A locked PIN is not tried.
	PINLocked = "PIN-LOCKED"
	// With the profile's last tries left nothing is sent to the token, whoever consents.
	PINFinal = "PIN-FINAL"
	// With few tries left holder and officer both have to consent.
	PINLow = "PIN-LOW"
	// With few tries left and both consents, the PIN is sent with a warning.
	PINConsented = "PIN-CONSENTED"
	// A token that does not tell the tries left is used, and this is recorded.
	PINUncounted = "PIN-UNCOUNTED"
	// A PIN that is still the factory's or the office's has to be changed.
	PINChange = "PIN-CHANGE"

	// Only an officer listed in the profile checks identities.
	OfficerUnknown = "OFFICER-UNKNOWN"
	// An officer checks identities at their own office only.
	OfficerOffice = "OFFICER-OFFICE"
	// An officer whose appointment has ended is refused, on a proven clock.
	OfficerEnded = "OFFICER-ENDED"
	// An officer whose training has lapsed is refused, on a proven clock.
	OfficerTraining = "OFFICER-TRAINING"
	// An officer's certificate has to be for signatures and, on a proven clock, within its validity.
	OfficerCertificate = "OFFICER-CERT"
	// A revoked officer's certificate is refused.
	OfficerRevoked = "OFFICER-REVOKED"
	// Nobody checks their own identity.
	OfficerIsHolder = "OFFICER-IS-HOLDER"
)
