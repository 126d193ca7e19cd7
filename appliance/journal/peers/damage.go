package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"text/tabwriter"
)

// Outcomes, the worst last.
var outcomes = []string{"no effect", "healed", "refused", "lost quietly", "wrong data, no error", "crash"}

// judge names what became of a damaged store.
func judge(v verdict, died string) string {
	switch {
	case died != "":
		return "crash"
	case v.Wrong > 0:
		return "wrong data, no error"
	case v.Err != "":
		return "refused"
	case v.Missing > 0:
		return "lost quietly"
	case v.Healed > 0:
		return "healed"
	}
	return "no effect"
}

// hurts are the kinds of damage.
var hurts = []struct {
	name string
	do   func(r *rand.Rand, f *os.File, size int64) error
}{
	{"one bit", func(r *rand.Rand, f *os.File, size int64) error {
		at := r.Int64N(size)
		var b [1]byte
		if _, err := f.ReadAt(b[:], at); err != nil {
			return err
		}
		b[0] ^= 1 << r.IntN(8)
		_, err := f.WriteAt(b[:], at)
		return err
	}},
	{"one 4-KiB page", func(r *rand.Rand, f *os.File, size int64) error {
		var b []byte
		for len(b) < 4096 {
			b = binary.LittleEndian.AppendUint64(b, r.Uint64())
		}
		at := r.Int64N((size+4095)/4096) * 4096
		_, err := f.WriteAt(b[:min(4096, size-at)], at)
		return err
	}},
	{"file cut", func(r *rand.Rand, f *os.File, size int64) error { return f.Truncate(r.Int64N(size)) }},
}

// damaged is how many records the damaged stores have: enough for SQLite to have
// moved some from its log into its table.
var damaged = 500

func damage(o options) error {
	fmt.Printf("damage: %d trials each, anywhere in the files of a store of %d records that lost its power; each is opened and read by a process of its own\n", o.trials, damaged)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "store\tdamage\t")
	for _, outcome := range outcomes {
		fmt.Fprintf(w, "%s\t", outcome)
	}
	fmt.Fprintln(w)
	var deaths []string
	for i, k := range kinds {
		whole := filepath.Join(o.dir, "whole")
		if _, err := commitKeep(k, whole, damaged, nil); err != nil {
			return fmt.Errorf("damage %s: %w", k.name, err)
		}
		for h, hurt := range hurts {
			r := rand.New(rand.NewPCG(uint64(i), uint64(h)))
			count, said := map[string]int{}, false
			for range o.trials {
				v, died, err := trial(k, whole, filepath.Join(o.dir, "trial"), r, hurt.do)
				if err != nil {
					return fmt.Errorf("damage %s: %w", k.name, err)
				}
				count[judge(v, died)]++
				if died != "" && !said {
					said = true
					deaths = append(deaths, fmt.Sprintf("%s, %s: %s", k.name, hurt.name, died))
				}
			}
			fmt.Fprintf(w, "%s\t%s\t", k.name, hurt.name)
			for _, outcome := range outcomes {
				fmt.Fprintf(w, "%d\t", count[outcome])
			}
			fmt.Fprintln(w)
			progress("%s, %s", k.name, hurt.name)
		}
		if err := os.RemoveAll(whole); err != nil {
			return err
		}
	}
	w.Flush()
	for _, d := range deaths {
		fmt.Println("crash:", d)
	}
	return nil
}

// trial damages a copy of a whole store and has it read.
func trial(k kind, whole, dir string, r *rand.Rand, hurt func(*rand.Rand, *os.File, int64) error) (v verdict, died string, err error) {
	defer os.RemoveAll(dir)
	if err := copyTree(k, whole, dir, false); err != nil {
		return v, "", err
	}
	names, err := k.files(dir)
	if err != nil {
		return v, "", err
	}
	var sizes []int64
	all := int64(0)
	for _, name := range names {
		fi, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return v, "", err
		}
		sizes, all = append(sizes, fi.Size()), all+fi.Size()
	}
	at, which := r.Int64N(all), 0 // a large file is hit more often
	for at >= sizes[which] {
		at -= sizes[which]
		which++
	}
	f, err := os.OpenFile(filepath.Join(dir, names[which]), os.O_RDWR, 0)
	if err != nil {
		return v, "", err
	}
	if err := hurt(r, f, sizes[which]); err != nil {
		return v, "", err
	}
	if err := f.Close(); err != nil {
		return v, "", err
	}
	return readStore(k, dir, damaged)
}
