package trial

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"mohr.internal/appliance/canary"
	"mohr.internal/appliance/powercut/internal/disk"
)

// planted are the words of the people that no disk and no log may show.
func planted() (out []canary.Secret) {
	for n, p := range people {
		who := fmt.Sprintf("citizen %d", n+1)
		if n == officerStick {
			who = "the officer"
		}
		for what, word := range map[string]string{
			"given name": p.Given, "family name": p.Family, "Persian given name": p.GivenFa, "Persian family name": p.FamilyFa, "national ID": p.NationalID,
		} {
			out = append(out, canary.Secret{Name: what + " of " + who, Word: word})
		}
	}
	return append(out, canary.Secret{Name: "PIN of the citizens", Word: citizenPIN}, canary.Secret{Name: "PIN typed wrongly", Word: wrongPIN},
		canary.Secret{Name: "PIN of the officer", Word: officerPIN})
}

// leaked says whether the control of the scan writes a word: it is a renewal of the
// first citizen.
func leaked(s canary.Secret) bool {
	return strings.HasSuffix(s.Name, "citizen 1") || strings.HasSuffix(s.Name, "the officer") || strings.HasPrefix(s.Name, "PIN")
}

// nothingShows scans the raw bytes of the disks after the stories, with all that was
// ever written to them, and the kiosk's logs, for what people are called, numbered and
// have typed. The control is the first story at a kiosk that writes the journal's
// records unsealed, and the PINs, into a file and deletes it: there it must be found.
func (s *site) nothingShows(all []*recording, o Options) (faults []string, err error) {
	scanner, err := canary.New(planted()...)
	if err != nil {
		return nil, err
	}
	disks, logs, written := 0, 0, int64(0)
	for _, r := range all {
		if r.Control != NoControl {
			continue
		}
		disks, logs = disks+1, logs+len(r.Said)
		n, err := r.scan(scanner, func(h canary.Hit, where string) {
			faults = append(faults, fmt.Sprintf("%s: %v %s", stories[r.Story].name, h, where))
		})
		if err != nil {
			return nil, err
		}
		written += n
	}
	control := &recording{leaky: true}
	if err := s.benches[0].record(control, cmp.Or(o.Features, disk.Features)); err != nil {
		return nil, fmt.Errorf("record the control of the scan: %w", err)
	}
	found := map[string]bool{}
	if _, err := control.scan(scanner, func(h canary.Hit, where string) { found[where+h.Secret.Name] = true }); err != nil {
		return nil, err
	}
	want, seen := 0, 0
	for _, secret := range planted() {
		if !leaked(secret) {
			continue
		}
		if want++; found[onDisk+secret.Name] {
			seen++
		} else {
			faults = append(faults, fmt.Sprintf("control of the scan: %s was written unsealed and is not found", secret.Name))
		}
	}
	fmt.Fprintf(o.Out, "raw scan: %d words of people in %d forms, on %d disks of %d MB, in %d MB written to them and %d KB of logs: %d found; control, a deleted file: %d of %d\n",
		len(planted()), len(scanner.Forms()), disks, diskSize>>20, written>>20, logs>>10, len(faults)-(want-seen), seen, want)
	for _, f := range faults[:min(len(faults), told)] {
		fmt.Fprintln(o.Out, "SHOWS", f)
	}
	return faults, nil
}

// Where something was found.
const (
	onDisk  = "on the disk"
	inWrite = "in a write"
	inLog   = "in the log"
)

// scan reports what can be read of a recording: its disk before and after, every
// write between, and the kiosk's log. It returns how many bytes were written.
func (r *recording) scan(s *canary.Scanner, found func(canary.Hit, string)) (n int64, err error) {
	report := func(where string) func(canary.Hit) { return func(h canary.Hit) { found(h, where) } }
	after := r.Log.Base.Clone()
	for _, e := range r.Log.Events {
		if e.Kind != disk.Write {
			continue
		}
		s.Bytes(e.Data, report(inWrite))
		if _, err := after.WriteAt(e.Data, e.Off); err != nil {
			return n, err
		}
		n += int64(len(e.Data))
	}
	s.Bytes(r.Said, report(inLog))
	for _, image := range []*disk.Image{r.Log.Base, after} {
		if err := s.Read(image, image.Size(), report(onDisk)); err != nil {
			return n, err
		}
	}
	return n, nil
}

// leakInto makes this a kiosk that writes every record unsealed into a file, and at
// the end what was typed; end deletes the file.
func (c *counter) leakInto(name string) (end func() error, err error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	c.leak = func(plain []byte) error {
		_, err := f.Write(slices.Concat(plain, make([]byte, 16)))
		return err
	}
	return func() error {
		for _, typed := range []string{citizenPIN, wrongPIN, officerPIN} {
			if err := c.leak([]byte(typed)); err != nil {
				return err
			}
		}
		if err := f.Sync(); err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		return os.Remove(name)
	}, nil
}
