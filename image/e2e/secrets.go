package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"mohr.internal/appliance/canary"
	"mohr.internal/appliance/desk"
)

// control is the name of a word that has to be found.
const control = "the office's own name"

// nothingShows looks at what a guest left: its console, and every byte of its /perm,
// free blocks included, for PINs and for citizens' names and numbers.
func (s *Suite) nothingShows(ctx context.Context, b *Bench, disk string, logs ...string) error {
	var secrets []canary.Secret
	for _, d := range b.Place.Devices {
		secrets = append(secrets, canary.Secret{Name: "PIN of " + string(d.Kind), Word: d.Card.PIN})
		if d.Role == "citizen" {
			secrets = append(secrets, canary.Secret{Name: "national ID of " + string(d.Kind), Word: d.Person.NationalID})
		}
		if d.Kind == desk.Citizen || d.Kind == desk.Second {
			secrets = append(secrets, canary.Secret{Name: "name of " + string(d.Kind), Word: d.Person.GivenFa + " " + d.Person.FamilyFa},
				canary.Secret{Name: "family name of " + string(d.Kind), Word: d.Person.Family})
		}
	}
	// The office's name is in the configuration: if it is not found, nothing would be.
	secrets = append(secrets, canary.Secret{Name: control, Word: b.Place.Kioskd.Office})
	scanner, err := canary.New(secrets...)
	if err != nil {
		return err
	}
	var hits []string
	seen := false
	total := int64(0)
	for _, name := range logs {
		text, err := os.ReadFile(filepath.Join(s.out, name+".log"))
		if err != nil {
			return err
		}
		total += int64(len(text))
		scanner.Bytes(text, func(h canary.Hit) { hits = append(hits, fmt.Sprintf("%v of %s.log", h, name)) })
	}
	perm, err := permPartition(disk)
	if err != nil {
		return err
	}
	f, err := os.Open(disk)
	if err != nil {
		return err
	}
	defer f.Close()
	all, err := extents(f, perm)
	if err != nil {
		return err
	}
	for _, e := range all {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		total += e.size
		err := scanner.Read(io.NewSectionReader(f, e.offset, e.size), e.size, func(h canary.Hit) {
			if text := h.String(); strings.Contains(text, control) {
				seen = true
			} else {
				hits = append(hits, text+" of /perm")
			}
		})
		if err != nil {
			return err
		}
	}
	if !seen {
		return errors.New("the office's name, which is there, was not found either")
	}
	s.report.Step("%d words in %d forms looked for in %d MB", len(secrets), len(scanner.Forms()), total>>20)
	if len(hits) > 0 {
		return fmt.Errorf("%d found, the first: %s", len(hits), strings.Join(hits[:min(3, len(hits))], "; "))
	}
	return nil
}

// extents are the parts of a partition that are not holes of the file (lseek(2)).
func extents(f *os.File, p partition) (all []partition, err error) {
	end := p.offset + p.size
	for at := p.offset; at < end; {
		from, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) || err == nil && from >= end {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		to, err := unix.Seek(int(f.Fd()), from, unix.SEEK_HOLE)
		if err != nil {
			return nil, err
		}
		to = min(to, end)
		all = append(all, partition{from, to - from})
		at = to
	}
	return all, nil
}
