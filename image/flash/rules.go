package main

import (
	"fmt"
	"strings"
)

// largest is above every card that is sold as one of 256 GB.
const largest = 256 << 30

// refusal is a rule that keeps a disk from being written.
type refusal struct{ rule, what, do string }

func (r refusal) Error() string { return fmt.Sprintf("%s: %s\n  %s", r.rule, r.what, r.do) }

// refusals are all reasons not to write an image of size bytes to d.
func refusals(d disk, u use, size int64, large bool) []refusal {
	var all []refusal
	no := func(rule, do, what string, args ...any) {
		all = append(all, refusal{rule, fmt.Sprintf(what, args...), do})
	}
	if u.system {
		no("FLASH-SYSTEM", "put the card into a reader and name that one; `flash -list` shows it", "this machine runs from %s", d.Node())
	} else if len(u.mounts) > 0 {
		no("FLASH-MOUNTED", "look at what is on it, and if it may go: sudo umount "+strings.Join(u.points, " "), "in use: %s", strings.Join(u.mounts, ", "))
	}
	if len(u.swaps) > 0 {
		s := strings.Join(u.swaps, " ")
		no("FLASH-SWAP", "if the disk is really a card to be written: sudo swapoff "+s, "this machine swaps to %s", s)
	}
	if len(d.Holders) > 0 {
		no("FLASH-HELD", "it is a part of a volume, an array or an encrypted disk; take that apart first if it may go (vgchange -an, mdadm --stop, cryptsetup close)",
			"%s is held by %s", d.Node(), strings.Join(d.Holders, ", "))
	}
	if !d.Removable {
		no("FLASH-FIXED", "put the card into a USB reader or a card slot; `flash -list` shows what can be written", "%s cannot be taken out of this machine", d.Node())
	}
	if d.ReadOnly {
		no("FLASH-READ-ONLY", "move the lock on the side of the card or its adapter; a card that stays read-only is worn out", "%s is read-only", d.Node())
	}
	if d.Bytes == 0 {
		no("FLASH-NO-CARD", "put a card into the reader", "%s has no card in it", d.Node())
	} else if d.Bytes < size {
		no("FLASH-SMALL", fmt.Sprintf("take a card of %s or more", bytesText(size)), "%s has %s, the image %s", d.Node(), bytesText(d.Bytes), bytesText(size))
	}
	if d.Bytes > largest && !large {
		no("FLASH-LARGE", "cards are smaller than 256 GiB, disks with people's files are larger; if it is really to be written, add -large",
			"%s has %s", d.Node(), bytesText(d.Bytes))
	}
	return all
}

// bytesText is a size as it stands on cards: in powers of ten.
func bytesText(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d bytes", n)
}
