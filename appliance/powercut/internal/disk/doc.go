// Package disk is a block device under a test's control: a file served through
// FUSE, that a loop device and a real file system are put on. It notes every
// write and every flush in the order in which they came, together with what
// was promised to the world meanwhile, and builds the disk again as a power
// cut at any of these moments would have left it.
//
// # Models of a power cut
//
// What was written before the last completed flush is on the disk; of what
// came after,
//
//   - Honest: nothing, or a prefix whose last write is torn, or a random half of
//     the writes;
//   - Torn: a random half of the 512-byte sectors;
//   - Reordered: the writes in random order up to a random one, which is torn;
//   - Garbage: as Honest or Torn, and the aligned region of 4, 16 or 64 KiB round
//     a write that was under way holds rubbish, whatever was there before: what
//     flash with large pages does;
//   - Forgotten: as Honest, but the last 1 to 16 flushes were acknowledged and
//     not done: what a lying controller does.
//
// # What it cannot show
//
// Real cards fail in ways of their own: whole blocks that read as an earlier
// version, a lost translation table, a card that goes read-only or dies. The
// models are those that have been published and measured; only cutting real
// power to real cards tells how a given card behaves.
//
// Linux only; serving and mounting need root, /dev/fuse and loop devices.
package disk
