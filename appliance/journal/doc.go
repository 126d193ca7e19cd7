// Package journal keeps records so that what was acknowledged survives power
// cuts, torn flash pages, bit rot and a full card. It knows nothing of what
// the records say.
//
// # The promise
//
// When Append returns, the record is on the medium twice. Open finds it, or
// refuses by name; it never gives back other bytes. A record whose Append
// failed, or was cut off, is there in full or not at all after the next Open.
//
// # On disk
//
//	DIR/a/0000.seg 0001.seg …    copy 1
//	DIR/b/0000.seg 0001.seg …    copy 2, the same bytes
//
// All segments are made, zero-filled and synced by Create, up to the whole
// quota: in the field no block is allocated and no file grows, so the disk
// cannot run full under the journal. A segment is a header page and record
// pages of 4096 bytes. A record begins at a page, ends with zeros at a page's
// end and never shares a page with another: appending rewrites nothing that
// was acknowledged. A record that does not fit into what is left of a segment
// begins the next one.
//
//	record, little-endian                  segment header
//	 0  8  magic "mohr.rec"                 0  8  magic "mohr.seg"
//	 8  2  version 1                        8  2  version 1
//	10  2  zero                            10  2  zero
//	12  4  payload length                  12  4  pages in a segment
//	16  8  sequence number, from 1         16  4  segments in a copy
//	24  8  journal ID                      20  4  index of this one
//	32 32  hash of the record before       24  8  journal ID
//	64 32  SHA-256 of 0..64 and payload    32 32  zero
//	96     payload                         64 32  SHA-256 of 0..64
//
// Records describe themselves, so that they are found on a card whose file
// system is lost. The hash of the first record's predecessor is zero.
//
// # Order of system calls
//
// It stands above each function that writes. The one that matters:
//
//	Append: pwrite(a) fdatasync(a) pwrite(b) fdatasync(b)
//
// Never both copies at once. A torn or unsynced write hits one copy only, and
// the other is whole. After any failed write or sync the state in memory is
// worthless (the kernel may have dropped the page and forgotten the error):
// the journal is poisoned, and the caller opens it again, which empties the
// page cache and reads the medium.
//
// # What Open decides
//
// Both copies are read from end to end, through a window of 1 MiB each: memory
// is the windows and 8 bytes a record. A record is hashed once where the copies
// are alike. Page by page:
//
//   - one copy has the next record, the other has not or has another: the
//     record is kept, the other copy healed;
//   - neither has it and copy b is blank there: it was never acknowledged
//     (b is written only after a is safe); what is left of it in a is wiped;
//   - neither has it and both have something, or a later record exists, or b
//     holds a damaged record where a is blank: both copies are damaged, and
//     Open refuses with a *DamagedError that names the place. Nothing is
//     changed then, so that the raw scan of a service tool sees all there is.
//
// Each healing is reported by Healed. After healing everything is read again
// from the medium and must be clean.
//
// # What it does not do
//
// A card that forgets flushes it has acknowledged, or that is put back from an
// image, yields a shorter but valid journal. Only somebody else's memory helps:
// keep Head in receipts and at the centre, and ask Verify with it after Open.
// The hash chain finds accidents and edits of single records; whoever can
// write the files can write a new chain. Payloads are not encrypted. Nothing
// is trimmed: when Fill is high the caller stops taking work. Writing needs
// Linux (flock, fadvise).
package journal
