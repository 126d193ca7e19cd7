// Package profile holds the rules of one country and one certification
// authority as data: a strict JSON file with a detached Ed25519 signature
// (RFC 8032) over its bytes.
//
// The file names the pinned CA certificates, the officers, the recipients that
// evidence is sealed to, where the subject carries the national ID, when a
// renewal counts as the first, the PIN policy, the documents with their
// security features, and the terms. Each key is documented at its field in
// Profile; every key must be present, and what nobody has published is null or
// an empty list instead of a guess.
//
// Parsing is strict: unknown, doubled and missing keys, keys in another case,
// values out of range and data after the end are errors that name the key.
// Some rules are not settings and a file that says otherwise is refused:
// renewal.unknown is "first", pin.stopAt is at least 1, at least three security
// features are drawn out of at least five.
//
// Data is in data/; Template returns it unsigned. A profile without anchors is
// good data, but package check refuses to serve citizens by it.
//
// Not here: the CA's address (configuration), revocation of the publisher's key
// (a new image), and any look at a certificate (package check).
package profile
