// Package image says what the appliance's images are: instances, their gokrazy
// configuration and the names of every file in their root file system. The program
// that builds them is image/build.
//
// An image is a read-only root made by gokrazy (https://gokrazy.org) of a Linux kernel,
// Go programs and a small C runtime for tokend, and a writable partition /perm, where
// everything of one station lies. The root holds no secret and nothing of a site.
//
// # The closed box
//
// gokrazy's init serves a web interface on port 80 and takes new root file systems
// there. Ours must not, from the first second on, and nothing that is written to /perm
// may change that. Of the ways gokrazy offers:
//
//   - no password ("NoPassword"): the listener stays off the network, but the server,
//     its update handlers and a Unix socket remain, and the console starts /perm/sh at
//     the first key;
//   - another port, TLS: the listener stays;
//   - a packet filter: one more program that must be right, and started first;
//   - an init of one's own, which gokrazy documents for this purpose: chosen.
//
// image/gokrazy/init calls gokrazy.Boot and keeps the programs running by itself. The
// code that listens is never called, so there is no moment before it is closed, no
// switch to turn it on, and if our init should fail the kernel panics and nothing
// serves. NoPassword is set besides: there is no password in the image that could leak
// or be the same on two kiosks. /perm is remounted without programs, devices and
// set-uid files, and the console takes no keys.
//
// A service person updates a kiosk by writing a new card; /perm is on the same card, so
// undelivered requests have to be carried over first (mohrctl export). Signed updates
// are not there yet.
//
// # What else to know
//
// Beside NAME.img the build leaves bare-NAME.img: plain gokrazy on the same kernel with
// a program that says hello. Sizes and boot times are given beside it.
//
// All images have the same partition ids, which gokrazy derives from the host name: two
// cards in one machine get in each other's way. An image with a site in it holds that
// station's keys; its file is readable for its owner only.
//
// # Not proven
//
// Nothing of this has run on a Raspberry Pi; the Pi's image has been booted in QEMU's
// generic ARM machine, with its own kernel and root. Two builds of the same sources
// give the same files but not the same bytes: gokrazy writes the time of the build.
package image
