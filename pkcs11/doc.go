// Package pkcs11 talks to a signing token through a worker process that alone
// loads the vendor's PKCS#11 module. It is pure Go: Token, Object, Session as
// Go types, the protocol spoken over a pipe, and the starter of the worker.
//
// # Nouns
//
// A Worker is a child process with one module in it. A Session is one
// conversation with one worker, which means one token and at most one login; it
// ends for good with the first thing that goes wrong on the pipe. A Backend is
// what answers inside the worker: the real one is pkcs11/module, a software one
// is in pkcs11/pkcs11test. A key is named by its KeyID, the SHA-256 of its
// public key, never by slot, label or CKA_ID.
//
// # Protocol
//
// Frames (frame.go) of at most 64 KiB: length, version, verb, request id,
// payload. One request, one reply that echoes verb and id. Bytes left over are
// an error, as is every value outside its bounds; a payload is accepted only if
// encoding it again gives the same bytes. Anything but one complete, well-formed
// reply is a lost worker: nobody looks for a signal, since a fault in C may end
// a Go program with an ordinary exit status.
//
// To add a verb: a constant and a deadline in verb.go, its payload in
// payload.go with a fuzz seed, a method each in Backend, Session and both
// backends, and a case in the contract suite. Any change of a payload raises
// Version.
//
// # PINs
//
// A PIN is a []byte and travels only in the frame that needs it. Login and
// ChangePIN wipe the caller's slice, the frame on both sides, the registers and
// signal stacks it was copied through (scrub_linux.go), and leave no string behind. One call makes at most one try; a call whose reply did not
// arrive is ErrOutcomeUnknown and is never repeated by this package.
//
// # Specification
//
// PKCS#11 v2.40 (OASIS): section 5.1 for return values, 5.4 to 5.7 and 5.11 to
// 5.13 for the functions behind the verbs. Signatures are in the form X.509
// wants (RFC 8017 section 8.2, RFC 5480 and RFC 3279 section 2.2.3).
//
// # What it does not do
//
// Initialise or erase tokens, set a PIN with the SO PIN or a PUK, decrypt,
// RSA-PSS, secret keys, keys that ask for the PIN at every signature
// (CKA_ALWAYS_AUTHENTICATE), PIN pads (CKF_PROTECTED_AUTHENTICATION_PATH).
package pkcs11
