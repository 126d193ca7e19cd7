package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"mohr.internal/appliance/journal"
	"mohr.internal/kiosk"
)

const journalHelp = `usage: mohrctl journal info FOLDER
       mohrctl journal scan DEVICE [-list] [-out FOLDER] [-rebuild FOLDER]

info says how full the journal in FOLDER is, where it ends and what one of its two
copies has lost. It only reads, and may run beside the kiosk.

scan is the last resort when the file system is gone: it finds the records of every
journal in the raw bytes of DEVICE, a partition or an image of one, checks each by
its hash and says which are missing. DEVICE is opened for reading only. Write what
is found to another device:

  -list            print a line for each record
  -out FOLDER      write the payloads as FOLDER/JOURNAL/SEQUENCE.bin
  -rebuild FOLDER  make a new journal with the same records and hashes, if none of
                   them is missing; the kiosk can go on with it

Exit code 1: nothing was found, or a record is missing.
`

func journalCommand(ctx context.Context, args []string) error {
	f := flags("journal", journalHelp)
	f.Usage = func() { fmt.Fprint(f.Output(), journalHelp) }
	if done, err := parse(f, args, len(args)); done || err != nil {
		return err
	}
	switch f.Arg(0) {
	case "info":
		return journalInfo(f.Args()[1:])
	case "scan":
		return journalScan(ctx, f.Args()[1:])
	}
	f.Usage()
	return errUsage
}

func journalInfo(args []string) error {
	f := flags("journal info", journalHelp)
	f.Usage = func() { fmt.Fprint(f.Output(), journalHelp) }
	if done, err := parse(f, args, 1); done || err != nil {
		return err
	}
	if f.NArg() != 1 {
		f.Usage()
		return errUsage
	}
	start := time.Now()
	j, err := journal.Open(f.Arg(0), journal.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer j.Close()
	seq, head := j.Head()
	fmt.Printf("journal: %x\nrecords: %d\nhead: %d %x\nused: %d of %d bytes, %.1f %%\nread in: %v\n",
		j.ID(), seq, seq, head, j.Used(), j.Used()+j.Free(), 100*j.Fill(), time.Since(start).Round(time.Millisecond))
	switch {
	case j.Fill() >= kiosk.FillStop:
		fmt.Printf("full: no new citizen from %.0f %% on\n", 100*kiosk.FillStop)
	case j.Fill() >= kiosk.FillWarn:
		fmt.Printf("nearly full: no new citizen from %.0f %% on\n", 100*kiosk.FillStop)
	}
	for _, h := range j.Healed() {
		fmt.Println("damaged in one copy:", h)
	}
	if n := len(j.Healed()); n > 0 {
		return fmt.Errorf("%d places are damaged in one copy; the kiosk will heal them when it starts", n)
	}
	return nil
}

func journalScan(ctx context.Context, args []string) error {
	f := flags("journal scan", journalHelp)
	f.Usage = func() { fmt.Fprint(f.Output(), journalHelp) }
	list := f.Bool("list", false, "")
	out := f.String("out", "", "")
	rebuild := f.String("rebuild", "", "")
	if done, err := parse(f, args, len(args)); done || err != nil {
		return err
	}
	name := f.Arg(0)
	if f.NArg() > 1 { // flags behind DEVICE, too
		if done, err := parse(f, f.Args()[1:], 0); done || err != nil {
			return err
		}
	}
	if name == "" {
		f.Usage()
		return errUsage
	}
	device, err := openDevice(ctx, name)
	if err != nil {
		return err
	}
	defer device.Close()
	output := &payloads{dir: *out}
	report, err := journal.Scan(device, device.size, func(r journal.Found) error {
		if *list {
			fmt.Println(foundLine(r))
		}
		return output.write(r)
	})
	device.done()
	if err := errors.Join(err, output.sync()); err != nil {
		return err
	}
	printReport(report, device.size)
	if *out != "" {
		fmt.Printf("written to %s: %d records\n", *out, output.n)
	}
	if err := judge(report); err != nil {
		return err
	}
	if *rebuild == "" {
		return nil
	}
	return rebuildJournal(device, report, *rebuild)
}

func foundLine(r journal.Found) string {
	line := fmt.Sprintf("%x %d %d bytes %x at %d", r.ID, r.Seq, len(r.Payload), r.Hash[:8], r.Offsets)
	if !r.Linked {
		line += " (not linked to the record before)"
	}
	if r.Rival {
		line += " (another record has this number, too)"
	}
	return line
}

// printReport prints a paragraph for each journal.
func printReport(report *journal.Report, size int64) {
	for _, m := range report.Journals {
		fmt.Printf("journal %x: %d records up to %d: %d found twice, %d once", m.ID, m.Records, m.Last, m.Twice, m.Records-m.Twice)
		if m.Segments > 0 {
			fmt.Printf("; %d of %d segment headers", m.Headers, 2*m.Segments)
		}
		fmt.Println()
		for i, r := range m.Missing {
			if i == 20 {
				fmt.Printf("  missing: %d more ranges\n", len(m.Missing)-i)
				break
			}
			fmt.Printf("  missing: %v\n", r)
		}
		if m.Rivals > 0 {
			fmt.Printf("  %d sequence numbers with different records: one of each two is from before the journal was put back\n", m.Rivals)
		}
		if m.Unlinked > 0 {
			fmt.Printf("  %d records do not continue the record before them\n", m.Unlinked)
		}
	}
	for i, r := range report.Ruins {
		if i == 20 {
			fmt.Printf("damaged: %d more\n", report.RuinCount-i)
			break
		}
		fmt.Printf("damaged: at byte %d what calls itself record %d of journal %x: %s\n", r.Offset, r.Seq, r.ID, r.Why)
	}
	fmt.Printf("scanned: %d bytes, %d of them cannot be read\n", size, report.Unreadable)
}

// judge is the exit code: every record of every journal is there.
func judge(report *journal.Report) error {
	records := uint64(0)
	for _, m := range report.Journals {
		records += m.Records
		if !m.Whole() {
			return fmt.Errorf("journal %x is not whole: see above", m.ID)
		}
	}
	if records == 0 {
		return errors.New("no record found")
	}
	return nil
}

// rebuildJournal appends what was found to a new journal with the same ID: the
// same payloads in the same order have the same hashes.
func rebuildJournal(device *device, report *journal.Report, dir string) error {
	if len(report.Journals) != 1 || report.Journals[0].Segments == 0 {
		return fmt.Errorf("-rebuild wants one journal and one of its segment headers, found are %d journals", len(report.Journals))
	}
	m := report.Journals[0]
	j, err := journal.Create(dir, journal.Options{ID: m.ID, SegmentBytes: int64(m.Pages) * journal.PageSize, Segments: m.Segments})
	if err != nil {
		return err
	}
	defer j.Close()
	_, err = journal.Scan(device, device.size, func(r journal.Found) error {
		again, err := j.Append(r.Payload)
		if err == nil && again.Hash != r.Hash {
			err = fmt.Errorf("record %d has hash %x, found was %x", r.Seq, again.Hash, r.Hash)
		}
		return err
	})
	device.done()
	if err != nil {
		return fmt.Errorf("rebuild %s: %w", dir, err)
	}
	seq, head := j.Head()
	fmt.Printf("rebuilt in %s: head %d %x\n", dir, seq, head)
	return nil
}

// payloads writes what was found as files.
type payloads struct {
	dir string
	n   int
}

func (p *payloads) write(r journal.Found) error {
	if p.dir == "" {
		return nil
	}
	folder := filepath.Join(p.dir, fmt.Sprintf("%x", r.ID))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	name := fmt.Sprintf("%08d.bin", r.Seq)
	if r.Rival {
		name = fmt.Sprintf("%08d-%x.bin", r.Seq, r.Hash[:8])
	}
	f, err := os.OpenFile(filepath.Join(folder, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(r.Payload)
	p.n++
	return errors.Join(err, f.Close())
}

// sync brings all that was written to the medium at once.
func (p *payloads) sync() error {
	if p.n == 0 {
		return nil
	}
	f, err := os.Open(p.dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}

// device is a partition that is read, with progress on standard error.
type device struct {
	*os.File
	ctx  context.Context
	size int64
	far  int64
	said time.Time
}

func openDevice(ctx context.Context, name string) (*device, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if fi, e := f.Stat(); e == nil && fi.IsDir() {
		err = fmt.Errorf("%s is a folder: scan wants a partition or an image of one", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	// What the kernel still has of the device may be older than what is on it.
	unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	return &device{File: f, ctx: ctx, size: size, said: time.Now()}, nil
}

func (d *device) ReadAt(b []byte, off int64) (int, error) {
	if err := d.ctx.Err(); err != nil {
		return 0, err
	}
	d.far = max(d.far, off+int64(len(b)))
	if time.Since(d.said) > 2*time.Second {
		d.said = time.Now()
		fmt.Fprintf(os.Stderr, "scanned %d of %d MiB\n", d.far>>20, d.size>>20)
	}
	return d.File.ReadAt(b, off)
}

// done begins the count anew.
func (d *device) done() { d.far = 0 }
