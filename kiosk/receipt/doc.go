// Package receipt makes and judges the receipt a citizen takes home: a small
// signed statement of one kiosk, shown as a QR code and checked by anyone who
// has the list of kiosk keys, without a network.
//
// A receipt says "this kiosk asserts that it recorded request R at time T".
// It is not the CA's word. State says which of the three statements it is:
// Recorded is a promise to deliver, Accepted says that the kiosk has seen the
// CA's certificate, Refused that there will be none.
//
// # Format
//
// A COSE_Sign1 (RFC 9052, 4.2) with ES256 (RFC 9053, 2.1), tag 18, in CBOR's
// core deterministic encoding (RFC 8949, 4.2.1):
//
//	protected   {1: -7, 4: kid}      kid = first 8 bytes of SHA-256(SPKI DER)
//	unprotected {}
//	payload     {6: iat, -65537: {   claims in the manner of CWT (RFC 8392, 3.1.6)
//	                1: state         1 recorded, 2 accepted, 3 refused
//	                2: tracking      the number a person quotes
//	                3: request       SHA-256 of the request's DER
//	                4: old           SHA-256 of the old certificate, first 16 bytes
//	                5: seq           the kiosk's sequence number
//	                7: kiosk         the kiosk's number
//	                8: clock         1 unproven, 2 kept, 3 trusted
//	                9: head          checkpoint: hash of the journal's last record, first 16 bytes
//	                10: headseq }}   and that record's number
//	signature   r || s, with s in the lower half
//
// Keys 3, 4, 9 and 10 are left out when there is nothing to say; 3 only when
// refused, 9 and 10 together. The external data of the signature structure is empty. The text is
// "KR1:" and the base45 (RFC 9285) of these bytes.
//
// One statement has one text: whatever does not come out of the encoder again
// byte for byte is refused, and so is the second form of an ECDSA signature,
// n-s. The hash of the bytes can therefore be a leaf of a log.
//
// # What is not in it
//
// No name and no national ID, not even hashed: ten digits are found by trial
// in seconds. The hash of the old certificate links a receipt to its holder
// for whoever has the CA's directory; leave it out where that matters.
//
// # Size
//
// With numbers below 2^32 and a kiosk number below 2^16 it is at most 195 bytes,
// 297 characters, QR version 10 at level M; without a checkpoint 171 bytes, 261
// characters, version 9. Larger numbers are allowed and may cost a version.
//
// # The checkpoint
//
// A journal that was put back, or whose card forgot what it had acknowledged,
// looks whole and is only shorter. A receipt that was given after that names a
// record that it does not have, or has with another hash (package
// kiosk/audit, RuleHead).
//
// # Rules
//
// Every refusal is a *Refusal with one of these:
//
//	RCPT-PREFIX     the text does not begin with KR1:
//	RCPT-SIZE       shorter or longer than any receipt
//	RCPT-BASE45     not base45
//	RCPT-CBOR       not the one encoding of a receipt
//	RCPT-FIELD      a value no receipt can have
//	RCPT-KEY        signed by a key that is not on the list
//	RCPT-SIGNATURE  the signature is not by that key over these bytes
//	RCPT-REVOKED    the key is on the list as revoked
//	RCPT-KIOSK      the key belongs to another kiosk
//	RCPT-VALIDITY   outside the key's time, by a clock that was kept or trusted
//	RCPT-TRUST      the list of keys itself is not as it must be
//
// An unproven clock never makes a receipt bad: its time is a claim, and
// Report says so.
//
// # Not here
//
// Who signed the list of keys (the caller has checked that before parsing it),
// inclusion proofs, drawing the QR code, the web page.
package receipt
