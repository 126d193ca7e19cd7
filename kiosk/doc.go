// Package kiosk is the ceremony: what happens at the counter between the moment a
// token is put in and the moment it is taken out again.
//
// The first renewal of a certificate runs in a straight line, in renew.go:
//
//  1. read the token without a PIN        7. sign: kur, attestation, nested
//  2. check certificate and rules         8. store: one durable append
//  3. identity, by the officer            9. receipt: recorded, not yet accepted
//  4. show what will be signed           10. deliver, while the holder may go
//  5. PIN, one entry at most one try     11. load the new certificate, prove it,
//  6. re-key beside the old pair             and only then retire the old one
//
// What must survive a power cut is a State in a Record in the journal; the Ledger
// is the only writer, and state.go holds the one table of allowed changes. A
// renewal with a signed request is finished after a restart, an earlier one is
// abandoned. The Outbox hands requests to whoever carries them and judges the
// answers (RFC 9810, RFC 9483; see kiosk/cmp). Refusals carry a rule ID
// (refusals.go here, kiosk/check and kiosk/cmp); the words for people are in
// kiosk/words.
//
// Time: most terminals have no clock that runs while they are off. Each stamp says how
// well the time is known, and on an unproven clock no date refuses anybody: it is a
// warning, and the CA decides. The CA's answer is then judged by the time in it, which
// the CA has signed, but by none before the last proven time in the journal.
//
// The package opens no file and no socket, reads no clock and no randomness of
// its own, and links no C: Journal, Clock, Surface and Tokens are interfaces that
// appliance/kioskd fills in, and that tests fill in with the software token.
//
// Between citizens the idle page offers a page for staff (staff.go): how the terminal
// stands, and what waits and why. What is pressing is on the idle page, too
// (notice.go). A journal that is nearly full begins with nobody new, and keeps room
// for those it has begun with (room.go).
//
// In a fleet a token may come with a key that another kiosk made: pickup.go finds its
// certificate, and holds it to all that an answer of the CA is held to. And the centre
// may turn out to have another log of this kiosk (fork.go): then nobody new is begun
// with until an officer says that head office knows.
//
// Not here yet: activation of a blank token, PIN change and unblocking, a second
// person, other languages than Persian and English.
package kiosk
