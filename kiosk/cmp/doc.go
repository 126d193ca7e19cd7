// Package cmp builds, parses and checks the messages by which a certificate
// is renewed: PKIMessage (CMP, RFC 9810, syntax of RFC 4210, pvno 2), profiled
// by the Lightweight CMP Profile (RFC 9483), certificate requests in CRMF
// (RFC 4211), and the officer's attestation in CMS (RFC 5652, RFC 5035).
//
// One renewal is one self-contained DER object:
//
//	nested                 protected by the kiosk's RA key
//	  generalInfo          attestation: CMS by the officer over SHA-256 of the kur
//	  kur                  protected by the citizen's old key
//	    CertTemplate       subject and new public key
//	    oldCertID          issuer and serial number of the old certificate
//	    popo               proof of possession by the new key
//
// KUR, IR, Nested, CertConf and PollReq are the messages a kiosk makes; Reply
// makes those of a CA. Parse reads any of them; Expect.Check decides whether an
// answer may be believed and names the broken rule if not. The rules are the
// Rule constants in rules.go.
//
// # Strictness
//
// Parse accepts DER only: what it accepts, it can marshal again to the same
// bytes. Names, certificates and values of unknown attributes are kept as the
// bytes they came in; names are copied, never rebuilt. A message is at most
// MaxMessage bytes. Nothing here panics on input, and no length read from input
// sizes an allocation.
//
// Signatures are made with SHA-256 by RSA (PKCS#1 v1.5, 2048 to 4096 bits) or
// ECDSA (P-256) and verified again before they leave the package. Signatures
// of others may also use SHA-384, SHA-512 and P-384.
//
// # Not implemented
//
// MAC protection, PSS, EdDSA; p10cr, rr, genm, krr, ccr and announcements;
// batches (each message carries one request and nested one message); encrypted
// certificates and keys made by the CA; hashAlg in certConf and everything else
// of pvno 3; revocation (the caller's profile looks at CRLs).
//
// The package reads no clock and opens nothing: time, randomness, transaction
// IDs and nonces are passed in.
package cmp
