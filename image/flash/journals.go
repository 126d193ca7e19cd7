package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"mohr.internal/appliance/journal"
)

// span is a stretch of a disk in bytes.
type span struct{ from, to int64 }

// merge sorts spans and joins those that overlap or touch.
func merge(all []span) []span {
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var out []span
	for _, s := range all {
		switch n := len(out); {
		case s.to <= s.from:
		case n > 0 && s.from <= out[n-1].to:
			out[n-1].to = max(out[n-1].to, s.to)
		default:
			out = append(out, s)
		}
	}
	return out
}

// places are where a station's journal can be on a disk: where the image has /perm,
// whatever is there now, and in partitions that look like a /perm.
func (a *app) places(d disk, r io.ReaderAt, size int64) []span {
	all := []span{{a.layout.perm, min(size, d.Bytes)}}
	for _, p := range d.Parts {
		if _, label := contentAt(r, p.Start); label == "perm" || p.Start == a.layout.perm {
			all = append(all, span{p.Start, min(p.Start+p.Bytes, d.Bytes)})
		}
	}
	return merge(all)
}

// remains are journals found in raw bytes.
type remains struct {
	journals   []journal.Remains
	ruins      int   // what begins like a record and is none
	unreadable int64 // bytes
}

// search reads the spans from end to end.
func search(ctx context.Context, r io.ReaderAt, spans []span, p *progress) (remains, error) {
	var total int64
	for _, s := range spans {
		total += s.to - s.from
	}
	p.begin("looking for a journal", total)
	defer p.end()
	var out remains
	for _, s := range spans {
		report, err := journal.Scan(&watched{ctx, io.NewSectionReader(r, s.from, s.to-s.from), p, 0}, s.to-s.from, func(journal.Found) error { return nil })
		if err != nil {
			return remains{}, err
		}
		out.journals = append(out.journals, report.Journals...)
		out.ruins += report.RuinCount
		out.unreadable += report.Unreadable
	}
	return out, nil
}

// watched tells how far reading is, and stops with ctx.
type watched struct {
	ctx context.Context
	r   io.ReaderAt
	p   *progress
	far int64
}

func (w *watched) ReadAt(b []byte, off int64) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Canceled
	}
	n, err := w.r.ReadAt(b, off)
	if end := off + int64(len(b)); end > w.far {
		w.p.add(end - w.far)
		w.far = end
	}
	return n, err
}

// ids is what has to be typed to lose what was found; "" if there is nothing to lose:
// a journal without a record is one that no kiosk has ever used.
func (m remains) ids() string {
	var all []string
	for _, j := range m.journals {
		if j.Records > 0 {
			all = append(all, fmt.Sprintf("%x", j.ID))
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if m.ruins > 0 {
		all = append(all, "damaged")
	}
	if m.unreadable > 0 {
		all = append(all, "unreadable")
	}
	return strings.Join(all, ",")
}

func (m remains) text() string {
	var all []string
	for _, j := range m.journals {
		all = append(all, fmt.Sprintf("journal %x with %d records", j.ID, j.Records))
	}
	if m.ruins > 0 {
		all = append(all, fmt.Sprintf("%d damaged records", m.ruins))
	}
	if m.unreadable > 0 {
		all = append(all, fmt.Sprintf("%d bytes that cannot be read and may be of a journal", m.unreadable))
	}
	return strings.Join(all, ", ")
}

// refuse is what keeps a station's requests from being lost in silence. lose is what
// was typed. The IDs have to be: a flag that is always given would protect nobody.
func (m remains) refuse(d disk, perm int64, lose string) error {
	ids := m.ids()
	if ids == lose {
		return nil
	}
	if ids == "" {
		return refusal{"FLASH-JOURNAL", "-lose-journal names a journal, and there is none on " + d.Node(), "is it the right card? If so, leave the flag out"}
	}
	node := d.Node()
	for _, p := range d.Parts {
		if p.Start == perm {
			node = "/dev/" + p.Name
		}
	}
	return refusal{"FLASH-JOURNAL", fmt.Sprintf("a kiosk's card: %s. Requests in it that the CA does not have yet would be lost, and receipts were given for them", m.text()),
		strings.Join([]string{
			"save them first:",
			"- put the card back into its kiosk, with a network, until its staff page shows nothing open; or",
			"- sudo mount -o ro,noload " + node + " /mnt",
			"  sudo mohrctl queue -key /mnt/mohr/keys/storage.key /mnt/mohr/journal",
			"  sudo mohrctl export -key /mnt/mohr/keys/storage.key -to RECIPIENT -kiosk ID -out FILE /mnt/mohr/journal",
			"  sudo umount /mnt",
			"- if it cannot be mounted: sudo dd if=" + node + " of=FILE bs=64K conv=noerror,sync; mohrctl journal scan FILE",
			"if all of it may be lost, add: -lose-journal " + ids,
		}, "\n  ")}
}
