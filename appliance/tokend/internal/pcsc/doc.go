// Package pcsc is the life of PC/SC daemons (pcscd): one for each inserted device
// that needs one, started after the insertion and ended after the removal.
//
// Without udevd a pcscd sees the readers that are there when it starts and no
// others, and goes on listing one that was pulled. A common daemon would have to
// be restarted whenever somebody plugs in or pulls something, in the middle of
// another person's session. And through a common daemon every module sees
// everybody's tokens. So each device has a daemon of its own, in a mount namespace
// in which its device node is the only one and /run/pcscd is its own folder:
// clients find it by PCSCLITE_CSOCK_NAME, which libpcsclite reads.
//
// A socket file proves nothing. A daemon is ready when it answers on its socket
// that its reader has powered a card up; what is spoken there is the little of
// pcsc-lite's client protocol 4:4 (winscard_msg.h) that asks for the readers.
//
// A daemon that dies is started again, a bounded number of times. Every daemon is
// reaped, and dies with this program.
//
// Not done here: commands to a card, which only modules send.
package pcsc
