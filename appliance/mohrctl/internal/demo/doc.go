// Package demo carries citizens through a first renewal on a desk (package
// appliance/desk) and examines the outcome from outside, by other people's
// programs: OpenSSL, zbarimg, pkcs11-tool. The people are scripted; the kiosk, the
// token program, the worker with its PKCS#11 module, the sync program and the CA
// are real processes and messages.
package demo
