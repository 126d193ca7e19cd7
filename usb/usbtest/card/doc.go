// Package card is a virtual smart card, a MyEID as OpenSC 0.23 knows it, for
// tests: with files and access conditions, PINs and PUKs with counters, keys made
// and used on the card, and a state file that survives a power cut.
//
// # Parts
//
// Card is the chip: Transmit answers a command APDU, Reset is a power cycle.
// Token is the card in the tester's hand: it can be pulled, slowed, filled and
// made to fail at a chosen command; it saves the state before each answer and
// logs each command before and after. Packages vpcd and vscard carry a Token to
// the PC/SC daemon of this machine and to QEMU's usb-ccid. Command cardd serves
// one state file; package pcsc runs a daemon and OpenSC's tools for a test.
//
// # Specification
//
// ISO/IEC 7816-3:2006 (answer to reset, T=0), 7816-4:2005 (commands, files,
// security), 7816-8:2004 and 7816-9:2004 (keys, signatures, file management), by
// the sections named above each function; the MyEID reference manual 2.1 for what
// is MyEID's own, seen through OpenSC's card-myeid.c, pkcs15-myeid.c and
// myeid.profile; PKCS #15 v1.1 for what Initialise writes.
//
// # Which MyEID
//
// It says to be version 4.5.5, from which on OpenSC chains commands. In creation
// state nothing needs a right; ACTIVATE puts access conditions in force. A key
// with user consent wants its PIN presented after its last use, once for each
// use; a login counts for the first. A wrong PIN, also in CHANGE REFERENCE DATA,
// ends what was verified.
//
// # Not implemented
//
//   - import of keys (PUT DATA 0180 to 0189), so pkcs15-init --store-private-key
//     fails
//   - secret keys, AES and DES; GENERAL AUTHENTICATE and ECDH; wrapping
//   - SHA-1 on the card, RSA exponents other than 65537, P-192, RSA below 1024
//   - session objects and the extractable bit: stored, without effect
//   - secure messaging, logical channels, short EF identifiers, records, the odd
//     instructions, DEACTIVATE and TERMINATE, life cycle of single files
//   - grid PIN, PIV, global unblocking; RESET RETRY COUNTER other than PUK with
//     new PIN
//   - time: no waiting time extension; commands take no longer than Go does
//   - resistance to anything: PINs and keys are in the clear in the state file,
//     arithmetic is not in constant time
package card
