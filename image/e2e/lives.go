package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"mohr.internal/appliance/desk"
)

// errCounted ends a row of scenarios whose failure has been reported.
var errCounted = errors.New("reported above")

// bareBoot is how long a bare gokrazy image takes to its program's first line.
func (s *Suite) bareBoot(ctx context.Context) time.Duration {
	s.report.Title("A bare gokrazy image with one program, to compare with")
	disk := filepath.Join(s.dir, "bare.img")
	err := copyDisk(ctx, s.bare, disk)
	if err == nil {
		err = serialInVirt(ctx, disk)
	}
	if err != nil {
		s.report.Check("bare image", err)
		return 0
	}
	m, err := Start(ctx, Options{Name: "bare", Arch: ARM64, Disk: disk, Out: s.out})
	if err != nil {
		s.report.Check("bare image", err)
		return 0
	}
	defer m.Kill()
	line, _, err := m.Console.Wait(ctx, bootLimit, "hello's first line", 0, func(l string) bool { return has(l, "hello: started") })
	if s.report.Check("bare image boots", err) != nil {
		return 0
	}
	return line.At.Sub(m.Started)
}

// kiosk plays the scenarios on the Raspberry Pi's image, most of them in one life.
func (s *Suite) kiosk(ctx context.Context, bare time.Duration, booted func()) error {
	s.report.Title("A site: CA, citizens' and officer's cards, kiosk keys, signed profile, journal")
	b, disk, err := s.station(ctx, "site")
	if err != nil {
		return err
	}
	defer b.Close()

	s.report.Title("Power on")
	ether := filepath.Join(s.dir, "ether")
	peer, err := listenEther(ether)
	if err != nil {
		return err
	}
	once, first, err := s.boot(ctx, b, Options{Name: "power-on", Arch: ARM64, Disk: disk, Keypad: true})
	if s.report.Check("the Pi's image boots to the first screen", err) != nil {
		return errCounted
	}
	once.Off()
	if s.bare != "" && s.wants("bare") {
		bare = min(bare, s.bareBoot(ctx))
	}
	g, took, err := s.boot(ctx, b, Options{Name: "kiosk", Arch: ARM64, Disk: disk, Ether: ether, Keypad: true})
	if s.report.Check("and again after a power cut", err) != nil {
		return errCounted
	}
	defer func() { g.Off() }()
	// Of two times each the shorter, as the machine may have had other work.
	took = min(took, first)
	s.report.Figure("boot_to_first_screen_s", "%.1f", took.Seconds())
	if bare > 0 {
		s.report.Figure("bare_boot_s", "%.1f", bare.Seconds())
		s.report.Figure("boot_ratio_to_bare", "%.2f (goal 1.2)", took.Seconds()/bare.Seconds())
	}
	booted()
	if _, err := g.shot(ctx, "idle"); s.report.Check("the guest's display is lit", err) != nil {
		return errCounted
	}
	if s.wants("keyboard") {
		s.keyboardAsToken(ctx, g)
	}
	if s.wants("online") && s.online(ctx, g) != nil {
		return errCounted
	}
	if s.wants("ports") {
		n, err := peer()
		if err == nil {
			s.ports(ctx, g, n)
			n.Close()
		} else {
			s.report.Check("ports", err)
		}
	}
	if s.wants("pulled") && s.pulled(ctx, g) != nil {
		return errCounted
	}
	if s.wants("more") && s.more(ctx, g) != nil {
		return errCounted
	}
	if s.wants("memory") {
		s.memory(ctx, g)
	}
	g.Off()
	if s.wants("secrets") {
		s.report.Title("What the kiosk leaves behind")
		s.report.Check("no PIN, name or number of a citizen in the console's log or on /perm", s.nothingShows(ctx, b, disk, "kiosk"))
	}
	return s.otherLives(ctx)
}

// station is a site and the image with it in it.
func (s *Suite) station(ctx context.Context, name string) (*Bench, string, error) {
	b, err := s.site(ctx, name, desk.Citizen, desk.Officer, desk.Second)
	if err != nil {
		return nil, "", err
	}
	disk := filepath.Join(s.dir, name+".img")
	if err := b.freshDisk(ctx, s.image, disk, ARM64); err != nil {
		b.Close()
		return nil, "", err
	}
	s.report.Step("%s: put into a copy of the image", name)
	return b, disk, nil
}

// otherLives are the scenarios that start the kiosk in another way.
func (s *Suite) otherLives(ctx context.Context) error {
	if !s.wants("offline") && !s.wants("1970") && !s.wants("wrong") && !s.wants("perm") {
		return nil
	}
	s.report.Title("Another kiosk")
	b, disk, err := s.station(ctx, "site-2")
	if err != nil {
		return err
	}
	defer b.Close()
	var failed error
	if s.wants("offline") {
		failed = errors.Join(failed, s.offline(ctx, b, disk))
	}
	if s.wants("1970") {
		failed = errors.Join(failed, s.atTime(ctx, b, disk, "clock-1970", time.Unix(0, 0), desk.Second))
	}
	if s.wants("wrong") {
		c, disk, err := s.station(ctx, "site-3")
		if err != nil {
			return err
		}
		defer c.Close()
		failed = errors.Join(failed, s.atTime(ctx, c, disk, "clock-2033", time.Date(2033, 3, 1, 0, 0, 0, 0, time.UTC), desk.Citizen))
	}
	if s.wants("perm") {
		failed = errors.Join(failed, s.withoutPerm(ctx, b, disk))
	}
	if failed != nil {
		return errCounted
	}
	return nil
}

// memory tells what the programs use.
func (s *Suite) memory(ctx context.Context, g *Guest) {
	s.report.Title("Memory")
	for _, program := range programs {
		// Each tells it once a minute; the next one is after what has been done.
		before := len(memory(g.Console.Lines(0), program))
		err := waitFor(ctx, 2*time.Minute, program+" to tell its memory", func() bool { return len(memory(g.Console.Lines(0), program)) > before })
		rss := memory(g.Console.Lines(0), program)
		if err == nil {
			s.report.Figure("rss_"+program+"_kib", "%d at first, %d after %d renewals", rss[0], rss[len(rss)-1], len(g.bench.CA.Issued()))
		}
		s.report.Check(program+" tells its memory", err)
	}
	s.report.Figure("insert_to_name_s", "median %.2f of %d (Pi's image)", median(g.named).Seconds(), len(g.named))
}
