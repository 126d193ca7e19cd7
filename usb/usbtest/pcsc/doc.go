// Package pcsc runs a PC/SC daemon for one test, with a virtual card in its one
// reader, and OpenSC's tools on it.
//
// The daemon is Debian's pcscd with the driver of vsmartcard-vpcd. It does not
// meet the daemon of the machine: it gets its client socket as systemd would hand
// it over (LISTEN_FDS), the reader from a folder of its own, and where the
// machine allows it a mount namespace in which its folder /run/pcscd is empty.
// Clients find it by PCSCLITE_CSOCK_NAME, which libpcsclite reads.
//
// What is missing skips the test, loudly, with the names of the packages.
package pcsc
