// Package trial cuts a kiosk's power and looks at what it does when it comes
// back.
//
// # Method
//
// A worker process formats a disk of package disk with ext4 (blocks of 4096),
// makes a journal on it and runs citizens' sessions over it: the real ceremony,
// ledger, outbox, vault and journal, with software tokens and the CA of cmptest.
// The disk's writes and flushes are recorded in order, and between them what the
// world learns: each acknowledged record, each receipt on the screen, each
// parcel on its way to the CA, each PIN that a token has compared. The sessions:
// a renewal online; the same with a neighbour that writes files beside the
// journal; two offline, delivered later, one picked up; one cancelled, one
// refused by the officer, one by the CA, one that waits for a CA that lies first;
// and the making of the journal itself.
//
// Then the disk is built again as of many moments, as the power cut would have
// left it, mounted by the kernel, and journal, ledger and kiosk start on it with
// the token still in the port and nobody there. Against what the world knew at
// that moment is held:
//
//   - every acknowledged record is there, with its bytes; at most the one that was
//     being written is there beside them;
//   - no receipt without a stored request, and each receipt that was shown is in
//     the journal and fits its request;
//   - never two requests for one renewal, and the outbox hands out the bytes that
//     it handed out before;
//   - no token has compared a PIN that the journal does not know of, and none is
//     tried by itself;
//   - what was signed goes on, what was not is abandoned, nothing else changes;
//   - every receipt that was shown, and the fleet's log, agree with the journal;
//   - the kiosk can append, and a second start finds the journal whole.
//
// At every fifth point the citizen comes back, with the token as it was at that
// moment, and is served to the end: one certificate, one request, no third key,
// one PIN for one entry.
//
// Rows of the table: every flush boundary of one full session, once before the
// flush is done and once after; random moments in the modes of package disk;
// a second cut while the kiosk recovers from the first; and a disk that answers
// each write and flush of the session, one after the other, with an error, once
// or for ever, having done it or not.
//
// What may happen differs. Honest, torn and reordered: nothing of the above may
// fail. Rubbish round a write: the same, but where it hits the file system the
// kernel may refuse to mount or the journal may refuse by name; then the raw scan
// (journal.Scan) of the untouched disk must find every acknowledged record;
// e2fsck, which the appliance does not have, is tried for the table's sake. Forgotten flushes
// cannot be survived: the fleet's log must show the loss at the next sync if it has
// one of the lost records, which it has soon after each where there is a network; a
// receipt must show it to whoever scans it, if it or what stands before it is lost; and
// the kiosk must come up or refuse, not hang or crash. Records that nobody outside has
// been told of, in an office without a network, are lost without a trace.
//
// # What can be read
//
// The raw disks before and after each story, every write to them between, and the
// kiosk's log are scanned for what people are called, their national IDs and the PINs
// that were typed, in every form of package canary. The control is a kiosk that writes
// its records unsealed into a file, and deletes it: all of them must be found there.
//
// # Controls
//
// A trial that finds nothing may be blind. So each run has the same session once
// more with fsync and fdatasync made ineffective from outside, by the kernel's
// seccomp filter: the programs are the very same, and nothing is built into the
// journal for it. At least 95 % of its points must fail. A second one, the file
// system without barriers, shows that flushes of the disk matter too.
//
// # What it cannot show
//
// See package disk for the models. The time between people's answers is short
// here, so the kernel's own writing back, which comes after seconds, is rare; a
// neighbour that writes files stands for it in one of the sessions. Recordings
// differ from run to run, as signatures and the kernel do: the seed chooses the
// moments, and a point is seen again only with the recordings that were kept.
//
// # Leftovers
//
// Whatever is mounted is mounted in namespaces of our own, which end with their
// processes however those end, and loop devices free themselves: nothing of
// others is touched, and there is nothing to clean up at the next start. A run
// that was killed leaves one empty folder in the temporary folder. Disks are
// served by one process and mounted by another, in a namespace of its own, so
// that no process waits for itself in its end.
package trial
