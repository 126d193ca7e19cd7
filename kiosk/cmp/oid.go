package cmp

import "encoding/asn1"

// Object identifiers. id-pkix is 1.3.6.1.5.5.7.
var (
	oidImplicitConfirm = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 4, 13}   // id-it-implicitConfirm, RFC 9810, 5.1.1.1
	oidConfirmWaitTime = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 4, 14}   // id-it-confirmWaitTime, RFC 9810, 5.1.1.2
	oidOldCertID       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 5, 1, 5} // id-regCtrl-oldCertID, RFC 4211, 6.5
	oidCMCCA           = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 27}   // id-kp-cmcCA, RFC 9810, 4.5
	oidCMCRA           = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 28}   // id-kp-cmcRA, RFC 9810, 4.5

	oidSHA256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1} // RFC 5754, 2.2

	oidSignedData           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}         // RFC 5652, 5.1
	oidContentType          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}         // RFC 5652, 11.1
	oidMessageDigest        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}         // RFC 5652, 11.2
	oidSigningTime          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}         // RFC 5652, 11.3
	oidSigningCertificateV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47} // RFC 5035, 3

	// Placeholders under 32473, the enterprise number set aside for examples
	// (RFC 5612): to be replaced when a number of one's own is registered.
	// Changing them makes stored requests unreadable.
	oidAttestation = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 20, 1} // infoType in nested: CMS by the officer
	oidStatement   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 20, 2} // eContentType: Statement
)
