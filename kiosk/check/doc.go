// Package check decides, by rules with IDs, whether a certificate, a token, an
// officer or an entry may be used for a renewal. Every function is pure: the
// profile, the time and the revocation lists are passed in; nothing is asked of
// a network, a disk or a clock.
//
// A check returns Findings. Each has a rule ID, the same in this code, in the
// tests, in the journal and on the screen; rules.go lists them all with one
// sentence each. Findings.Err is the first one that refuses, as a *Refusal. All
// checks of one kind are made even after a refusal, so that the officer sees
// everything that is wrong at once.
//
// Certificates follow RFC 5280: path (section 6) to the profile's pinned
// anchors with any extended key usage, key usage (4.2.1.3), revocation by
// complete CRLs (5, 6.3). The subject profile and the checksums come from the
// profile and package nationalid.
//
// Time: a certificate is never refused as expired, not yet valid or too early
// for renewal on a clock that is not proven. The result is then marked
// TIME-UNPROVEN and the CA decides. Revocation does not depend on the clock.
//
// Not done here: OCSP, delta and indirect CRLs (reported as unusable), policy
// mapping, and registry offices that carry the national code inside CN.
package check
