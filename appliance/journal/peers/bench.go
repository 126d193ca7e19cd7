package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

// figures of one store.
type figures struct {
	perSecond []float64 // of each round
	took      []int64   // of all commits, in nanoseconds
	traffic   *traffic
}

func bench(o options) error {
	fmt.Printf("bench: %d rounds of %d commits of 600 to 5,000 bytes in turns, one writer, in %s\n", o.rounds, o.commits, o.dir)
	all := make([]figures, len(kinds))
	for round := range o.rounds {
		for i := range kinds {
			at := (i + round) % len(kinds) // nobody is always the first
			dir := filepath.Join(o.dir, "bench")
			took, err := commit(kinds[at], dir, o.commits, nil)
			if err != nil {
				return fmt.Errorf("bench %s: %w", kinds[at].name, err)
			}
			sum := int64(0)
			for _, t := range took {
				sum += t
			}
			f := &all[at]
			f.took = append(f.took, took...)
			f.perSecond = append(f.perSecond, float64(len(took))/time.Duration(sum).Seconds())
		}
		progress("round %d of %d", round+1, o.rounds)
	}
	why := ""
	for i, k := range kinds {
		t, err := measureTraffic(k, filepath.Join(o.dir, "traffic"), o.commits)
		if err != nil {
			why = err.Error()
			break
		}
		all[i].traffic = t
		progress("flushes and bytes of %s", k.name)
	}
	printBench(all, why)
	return nil
}

func printBench(all []figures, why string) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "store\tcommits/s\tp50 ms\tp99 ms\tflushes/commit\twritten/payload\tat making\t")
	for i, f := range all {
		slices.Sort(f.took)
		slices.Sort(f.perSecond)
		fmt.Fprintf(w, "%s\t%.0f\t%.2f\t%.2f\t", kinds[i].name, f.median(), f.at(0.50), f.at(0.99))
		if t := f.traffic; t != nil {
			fmt.Fprintf(w, "%.2f\t%.2f\t%.2f\t\n", t.FlushesPerCommit, t.WrittenPerPayload, t.MadePerPayload)
		} else {
			fmt.Fprintln(w, "-\t-\t-\t")
		}
	}
	w.Flush()
	fmt.Print("commits/s: median of the rounds")
	if why == "" {
		fmt.Println("; flushes and bytes: counted by the kernel for a loop device with an ext4 (-b 4096)\n" +
			"of the store's own (/sys/block/loopN/stat), file system included; at making: written before the first commit, per byte of payload")
	} else {
		fmt.Println("; flushes and bytes: not counted:", why)
	}
	for i := 1; i < len(all); i++ {
		fmt.Printf("own journal against %s: %.2f of its commits/s\n", kinds[i].name, all[0].median()/all[i].median())
	}
}

// median and at want sorted values.
func (f figures) median() float64 { return f.perSecond[len(f.perSecond)/2] }

func (f figures) at(part float64) float64 {
	return float64(f.took[int(part*float64(len(f.took)-1))]) / 1e6
}

// commit has a child make a store in dir and commit n records. Before and
// after the commits around is called, with false and true. The store is thrown
// away, unless keep says otherwise.
func commit(k kind, dir string, n int, around func(after bool) error) (took []int64, err error) {
	defer os.RemoveAll(dir)
	return commitKeep(k, dir, n, around)
}

func commitKeep(k kind, dir string, n int, around func(after bool) error) (took []int64, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	cmd, err := spawn("commit", k, dir, n)
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer func() {
		in.Close()
		if e := cmd.Wait(); err == nil {
			err = e
		}
	}()
	out := bufio.NewReader(pipe)
	if line, err := out.ReadString('\n'); line != "ready\n" {
		return nil, fmt.Errorf("child says %q: %w", line, err)
	}
	if around != nil {
		if err := around(false); err != nil {
			return nil, err
		}
	}
	fmt.Fprintln(in)
	if err := json.NewDecoder(out).Decode(&took); err != nil {
		return nil, err
	}
	if around != nil {
		err = around(true)
	}
	return took, err
}
