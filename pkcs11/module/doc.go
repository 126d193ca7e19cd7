// Package module is the thin layer on a vendor's PKCS#11 module: it answers the
// verbs of package pkcs11 by calling C through github.com/miekg/pkcs11. It runs
// in the worker process and nowhere else; nothing but the worker imports it.
//
// # Specification
//
// PKCS#11 v2.40: 5.1 return values, 5.4 to 5.7 general, slot, session and object
// functions, 5.11 signing, 5.13 key generation; mechanisms CKM_RSA_PKCS and
// CKM_ECDSA only, since every module has them: the hash, DigestInfo (RFC 8017
// section 9.2) and the DER form of ECDSA signatures are made here.
//
// # The PIN
//
// miekg/pkcs11 takes a PIN as a string, copies it into C memory and frees the
// copy without wiping it. Therefore C_Login and C_SetPIN do not go through it:
// library.go calls them in the same function list with a pointer to the bytes of
// the request, which the server loop wipes, with the registers and signal stacks
// that copying it went through. What remains is out of reach: copies
// the module makes itself, and the kernel's socket buffer. The end of the worker
// process, after each session, is the last and strongest wipe. The buffer is not
// locked in memory; the appliance has no swap.
//
// # What a key is
//
// Slots and handles are never kept beyond a session and never leave the worker.
// A token is found again by serial, label and manufacturer, a key by its public
// key: RSA by the modulus; EC by the public key objects and certificates with
// the same CKA_ID, and where more than one key shares an ID, by a signature.
// Every signature is verified before it is returned.
//
// # What it does not do
//
// Log in again for each signature (CKA_ALWAYS_AUTHENTICATE is reported, not
// served), use PIN pads, delete a private key except by retire, wait for slot
// events (miekg's WaitForSlotEvent ignores the return value), hide that a module
// crashed: a fault in C ends the process, which is the point of it.
package module
