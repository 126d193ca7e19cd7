package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"mohr.internal/appliance/desk"
)

// hotPlug inserts a token until the holder's name is on the screen and pulls it until
// the first screen is back, many times in a row.
func (s *Suite) hotPlug(ctx context.Context) error {
	if s.amd64 == "" {
		s.report.Title("Hot plug: NOT RUN, no -amd64 image given")
		return nil
	}
	s.report.Title("Hot plug on the fast instance, beside the other scenarios: %d times", s.cycles)
	b, err := s.site(ctx, "hotplug-site", desk.Citizen, desk.Officer)
	if err != nil {
		return s.report.Check("hot plug: site", err)
	}
	defer b.Close()
	disk := filepath.Join(s.dir, "hotplug.img")
	if err := b.freshDisk(ctx, s.amd64, disk, AMD64); err != nil {
		return s.report.Check("hot plug: disk", err)
	}
	g, took, err := s.boot(ctx, b, Options{Name: "hotplug", Arch: AMD64, Disk: disk, Keypad: true})
	if s.report.Check("hot plug: the amd64 image boots", err) != nil {
		return err
	}
	defer g.Off()
	s.report.Figure("amd64_boot_to_first_screen_s", "%.1f", took.Seconds())
	var names []time.Duration
	mark := g.Console.Mark()
	for i := range s.cycles {
		took, err := g.cycle(ctx)
		if err != nil {
			return s.report.Check(fmt.Sprintf("hot plug: %d of %d times", i, s.cycles), err)
		}
		names = append(names, took)
		if n := i + 1; n%50 == 0 {
			s.report.Step("hot plug: %d times, %.1f s to the name on the median", n, median(names).Seconds())
		}
	}
	s.report.Check(fmt.Sprintf("hot plug: insert to holder's name, pull to first screen, %d times", s.cycles), nil)
	s.report.Figure("hotplug_insert_to_name_s", "median %.2f, longest %.2f (amd64)", median(names).Seconds(), slices.Max(names).Seconds())
	return s.leaks(ctx, g, mark)
}

// cycle is one insertion and one removal.
func (g *Guest) cycle(ctx context.Context) (time.Duration, error) {
	put := time.Now()
	if err := g.Insert(desk.Citizen); err != nil {
		return 0, err
	}
	id, at, err := g.Await(ctx, screenLimit, "token", "refused")
	if err != nil || id != "token" {
		return 0, fmt.Errorf("inserted: screen %q: %w\n%s", id, err, g.Console.Tail(tailLines))
	}
	if err := g.Remove(desk.Citizen); err != nil {
		return 0, err
	}
	// Pulled at the first question, the ceremony is over; a notice of it may come first.
	for {
		id, _, err := g.Next(ctx, screenLimit, "the first screen after a removal")
		switch {
		case err != nil:
			return 0, err
		case id == "idle":
			return at.Sub(put), nil
		case id == "refused":
			if err := g.Chord("kp_enter"); err != nil {
				return 0, err
			}
		}
	}
}

// leaks compares what the programs say they use early and late.
func (s *Suite) leaks(ctx context.Context, g *Guest, from int) error {
	together := 0
	for _, program := range programs {
		rss := memory(g.Console.Lines(from), program)
		if len(rss) > 0 {
			together += rss[len(rss)-1]
		}
		if len(rss) < 2 {
			s.report.Figure("hotplug_rss_"+program+"_kib", "not known, %d lines", len(rss))
			continue
		}
		first, last := rss[min(1, len(rss)-1)], rss[len(rss)-1]
		s.report.Figure("hotplug_rss_"+program+"_kib", "%d early, %d at the end", first, last)
		var err error
		if last > first+first/2+8<<10 {
			err = fmt.Errorf("%d KiB early, %d KiB at the end", first, last)
		}
		s.report.Check("hot plug: "+program+" does not grow", err)
	}
	s.report.Figure("hotplug_rss_together_mib", "%.1f at 1920x1080 (goal 64)", float64(together)/1024)
	return nil
}

// programs are the three that say what they use.
var programs = []string{"kioskd", "tokend", "syncd"}

// memory is each RSS in KiB that a program told.
func memory(lines []Line, program string) (kib []int) {
	for _, l := range lines {
		if p, _ := value(l.Text, "program"); p != program || !has(l.Text, "msg=memory") {
			continue
		}
		if v, ok := value(l.Text, "rss_kib"); ok {
			if n, err := strconv.Atoi(v); err == nil {
				kib = append(kib, n)
			}
		}
	}
	return kib
}

func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(d))
	return sorted[len(sorted)/2]
}
