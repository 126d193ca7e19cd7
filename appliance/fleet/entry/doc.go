// Package entry is the form in which a kiosk's journal leaves the kiosk: one Entry
// for each journal record, and one Pickup for each issued certificate.
//
// An Entry has a public part, which names no person, and a sealed part, which is
// the whole record encrypted to the centre's age recipients. It carries the
// journal's chain (sequence, hash of the record before, hash) and the kiosk's
// signature over all of it, so that neither the program that carries it nor the
// servers that keep it can change, invent or reorder anything. The centre, which
// can open the sealed part, recomputes the hash (see Entry.CheckHash).
//
// A Pickup is an issued certificate with the request that asked for it. It is kept
// under the SHA-256 of the new public key and encrypted with a key derived from that
// public key: whoever holds the token can open it, a stolen disk of the centre names
// nobody.
//
// Both are deterministic CBOR (RFC 8949, 4.2.1) with integer keys; the parsers
// accept only what marshals to the same bytes again, and bound every length.
//
// Not here: the journal (appliance/journal), what a record means (kiosk), and how
// an entry travels (appliance/fleetlink, appliance/fleet).
package entry
