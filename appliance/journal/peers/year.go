package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// yearRounds is how often each store is opened; the median counts.
const yearRounds = 3

func year(o options) error {
	fmt.Printf("year: %d records of 600 to 5,000 bytes, files not in the page cache\n", o.records)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "store\tMiB on disk\tto the first record s\tto the last s\tpeak memory MiB\t")
	for _, k := range kinds {
		dir := filepath.Join(o.dir, "year")
		size, err := makeYear(k, dir, o.records)
		if err != nil {
			return fmt.Errorf("year %s: %w", k.name, err)
		}
		var open, read []time.Duration
		peak := int64(0)
		for range yearRounds {
			if err := forget(k, dir); err != nil {
				return err
			}
			v, died, err := readStore(k, dir, o.records)
			if err != nil {
				return err
			}
			if died != "" || v.Right != o.records || v.Wrong+v.Missing > 0 {
				return fmt.Errorf("year %s: %s%+v", k.name, died, v)
			}
			open, read, peak = append(open, v.Open), append(read, v.Read), max(peak, v.Peak)
		}
		slices.Sort(open)
		slices.Sort(read)
		fmt.Fprintf(w, "%s\t%d\t%.2f\t%.2f\t%.1f\t\n", k.name, size>>20, open[yearRounds/2].Seconds(), read[yearRounds/2].Seconds(), float64(peak)/1024)
		progress("%s", k.name)
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	w.Flush()
	fmt.Println("the journal reads and hashes both copies before it gives the first record; the others check what they read, or nothing; bbolt's memory is its mapped file")
	return nil
}

// makeYear makes a store in memory, where nothing waits for a disk, and copies
// its files into dir. Without room there it is made in dir, commit by commit.
func makeYear(k kind, dir string, n int) (size int64, err error) {
	place := dir
	var fs unix.Statfs_t
	if unix.Statfs("/dev/shm", &fs) == nil && int64(fs.Bavail)*int64(fs.Bsize) > 4*quota(n) {
		if place, err = os.MkdirTemp("/dev/shm", "peers"); err != nil {
			return 0, err
		}
		defer os.RemoveAll(place)
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	cmd, err := spawn("fill", k, place, n)
	if err != nil {
		return 0, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return 0, err
	}
	if place != dir {
		if err := copyTree(k, place, dir, true); err != nil {
			return 0, err
		}
	}
	names, err := k.files(dir)
	for _, name := range names {
		fi, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return 0, err
		}
		size += fi.Size()
	}
	return size, err
}

// forget drops a store's files from the page cache.
func forget(k kind, dir string) error {
	names, err := k.files(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		err = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		if e := f.Close(); err == nil {
			err = e
		}
		if err != nil {
			return err
		}
	}
	return nil
}
