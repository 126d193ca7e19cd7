// Package cmptest is a small certification authority for tests and for the demo.
//
// It has two halves. [PKI] makes the certificates: root, issuing CA, CRL, the
// CMP responder, kiosks, officers, and citizens in the subject profile of the
// Iranian government CA. The key of a citizen or officer lives on a token, so
// their certificates are made for a public key that is given. [CA] is an
// [net/http.Handler] that takes CMP over HTTP (RFC 9811, application/pkixcmp),
// checks a request as a careful CA would (RFC 9810, RFC 9483) and really issues.
//
// The CA checks, for each certificate request: pvno and body kind; of a nested
// message the kiosk's chain, extended key usage id-kp-cmcRA, its protection and
// the officer's attestation over the hash of the citizen's message; the
// citizen's protection by the old certificate, that certificate's chain, dates
// and revocation; oldCertID; the new key's proof of possession and its
// strength; that the subject is byte for byte the old one; messageTime. Each
// refusal names its rule, see [Rule].
//
// Identical bytes get the identical answer, however often they come; the same
// transactionID with other bytes gets transactionIdInUse. One request never
// yields two certificates, see [CA.Issued].
//
// A [Behaviour] makes the CA wait, refuse, lie or fail at run time.
//
// OpenSSL's own client is served too (openssl cmp -cmd ir, cr and kur), which
// keeps this CA from understanding only ourselves.
//
// Not here: p10cr, rr, genm, key recovery, password-based MAC, encrypted
// certificates, key generation by the CA, batches of several requests, state on
// disk. The CA forgets its transactions when the process ends. Never use it
// where a certificate must mean something.
//
// This package reads and writes files and speaks HTTP. It is not part of the
// kiosk, and nothing in kiosk imports it outside tests.
package cmptest
