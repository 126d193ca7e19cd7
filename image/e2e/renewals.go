package main

import (
	"context"
	"fmt"
	"time"

	"mohr.internal/appliance/desk"
	"mohr.internal/kiosk/receipt"
	"mohr.internal/usb/usbtest/card"
)

// online is a first renewal with the CA at hand, from the citizen's token to the new
// certificate on it.
func (s *Suite) online(ctx context.Context, g *Guest) error {
	s.report.Title("First renewal over USB, PC/SC, OpenSC and CMP; keypad only")
	start := time.Now()
	before := g.bench.inventory(desk.Citizen)
	if err := s.renew(ctx, g, desk.Citizen, "accepted"); err != nil {
		return s.report.Check("the citizen renews", err)
	}
	s.report.Figure("renewal_online_s", "%.1f", time.Since(start).Seconds())
	r, err := s.reads(ctx, g, "accepted", "Accepted")
	if err != nil {
		return err
	}
	err = nil
	if r.Clock != receipt.ClockTrusted {
		err = fmt.Errorf("clock %v", r.Clock)
	}
	s.report.Check("the receipt says that the time is proven: by the CA's signed answer", err)
	s.report.Check("the CA issued one certificate", g.bench.issued(1))
	s.report.Check("the card has a second key and the new certificate beside the old", g.bench.grew(desk.Citizen, before))
	return s.report.Check("tokens out, the first screen is back", g.leave(ctx))
}

// more carries further citizens through a renewal, one after the other.
func (s *Suite) more(ctx context.Context, g *Guest) error {
	s.report.Title("%d more citizens, one after the other", s.renewals)
	issued := len(g.bench.CA.Issued())
	for n := range s.renewals {
		kind, err := g.bench.NewCitizen(n + 1)
		if err == nil {
			err = s.renew(ctx, g, kind, "accepted")
		}
		if err == nil {
			err = g.leave(ctx)
		}
		if err != nil {
			return s.report.Check(fmt.Sprintf("citizen %d renews", n+1), err)
		}
	}
	return s.report.Check(fmt.Sprintf("%d more citizens renew, and the CA issues as many certificates", s.renewals), g.bench.issued(issued+s.renewals))
}

// offline stores a request without a network, cuts the power while the receipt is
// shown, delivers after the next start, and loads the certificate when the citizen
// comes back.
func (s *Suite) offline(ctx context.Context, b *Bench, disk string) error {
	s.report.Title("Renewal offline, power cut, network back, citizen returns")
	before := b.inventory(desk.Citizen)
	options := Options{Name: "offline", Arch: ARM64, Disk: disk, Keypad: true}
	g, _, err := s.boot(ctx, b, options)
	if s.report.Check("the kiosk starts", err) != nil {
		return err
	}
	defer func() { g.Off() }()
	if err := g.Network(false); err != nil {
		return s.report.Check("network cut", err)
	}
	s.report.Step("network cable out")
	if err := s.renew(ctx, g, desk.Citizen, "receipt"); err != nil {
		return s.report.Check("the citizen renews offline", err)
	}
	r, err := s.reads(ctx, g, "recorded", "Recorded")
	if err != nil {
		return err
	}
	if r.Clock != receipt.ClockUnproven {
		err = fmt.Errorf("clock %v", r.Clock)
	}
	s.report.Check("the receipt says that the time is unproven", err)
	s.report.Step("power cut: SIGKILL while the receipt is on the screen")
	g.Off()
	options.Name = "second-life"
	next, took, err := s.boot(ctx, b, options)
	if s.report.Check("the kiosk starts again from what the power cut left", err) != nil {
		return err
	}
	g = next
	s.report.Step("first screen after %.1f s", took.Seconds())
	if s.report.Check("the stored request is delivered without anybody's help", waitFor(ctx, 3*time.Minute, "a certificate issued", func() bool {
		return len(b.CA.Issued()) == 1
	})) != nil {
		return err
	}
	err = g.Insert(desk.Citizen)
	if err == nil {
		_, _, err = g.Walk(ctx, desk.Citizen, "pickup", "refused", "trouble")
	}
	if err == nil {
		err = g.answer(ctx, desk.Citizen, "pickup")
	}
	id := ""
	if err == nil {
		id, _, err = g.Walk(ctx, desk.Citizen, "accepted", "refused", "trouble", "remove")
	}
	if err == nil && id != "accepted" {
		err = fmt.Errorf("the screen is %s; the console's last lines:\n%s", id, g.Console.Tail(tailLines))
	}
	if s.report.Check("the citizen returns and the certificate is loaded", err) != nil {
		return err
	}
	later, err := s.reads(ctx, g, "accepted-later", "Accepted")
	if err == nil && later.Tracking != r.Tracking {
		err = fmt.Errorf("tracking numbers %d and %d", r.Tracking, later.Tracking)
	}
	s.report.Check("both receipts are of one renewal", err)
	s.report.Check("the CA issued one certificate", b.issued(1))
	s.report.Check("the token lists one new key and one new certificate", b.grew(desk.Citizen, before))
	return s.report.Check("tokens out, the first screen is back", g.leave(ctx))
}

// pulled takes a token out in the middle of its key generation and puts it back, and
// another one when the key is on it but the kiosk does not know yet.
func (s *Suite) pulled(ctx context.Context, g *Guest) error {
	s.report.Title("Token pulled during key generation, put back")
	chip := g.bench.Card(desk.Second)
	chip.SetSlow(time.Minute)
	defer chip.SetSlow(0)
	begun := g.bench.generating.Load()
	early := func() bool { return g.bench.generating.Load() > begun }
	if err := s.pullWhen(ctx, g, desk.Second, "key generation on the token", early, time.Second, 0); err != nil {
		return err
	}
	third, err := g.bench.NewCitizen(0)
	if err != nil {
		return s.report.Check("another citizen", err)
	}
	s.report.Title("Token pulled when the new key is on it, put back")
	// OpenSC lists the private key first. One without its public key is of no use to
	// anybody, and another one would be made.
	late := func() bool { return g.bench.inventory(third).PublicKeys > 1 }
	return s.pullWhen(ctx, g, third, "a new key on the token", late, 0, 1)
}

// pullWhen pulls a citizen's token when it is so, and puts it back. In between it must
// list so many keys more.
func (s *Suite) pullWhen(ctx context.Context, g *Guest, citizen desk.Kind, what string, so func() bool, after time.Duration, keys int) error {
	before, chip := g.bench.inventory(citizen), g.bench.Card(citizen)
	if err := g.Insert(citizen); err != nil {
		return s.report.Check("token inserted", err)
	}
	hand, pulled := g.hands[citizen], make(chan error, 1)
	go func() {
		err := waitFor(ctx, 5*time.Minute, what, so)
		if err == nil {
			time.Sleep(after)
			chip.Pull() // no further command is answered
			err = hand.Remove()
		}
		pulled <- err
	}()
	id, _, err := g.Walk(ctx, citizen, "refused", "trouble", "receipt", "accepted")
	if err == nil {
		err = <-pulled
	}
	delete(g.hands, citizen)
	chip.SetSlow(0)
	if err == nil && id != "refused" {
		err = fmt.Errorf("the screen is %s", id)
	}
	if s.report.Check("the screen says that the token is gone", err) != nil {
		return err
	}
	if _, err := g.shot(ctx, "pulled"); err != nil {
		return s.report.Check("screendump", err)
	}
	if err := g.leave(ctx); err != nil {
		return s.report.Check("the first screen is back", err)
	}
	if now := g.bench.inventory(citizen); now.PrivateKeys != before.PrivateKeys+keys {
		err = fmt.Errorf("it has %+v, before %+v", now, before)
	}
	s.report.Check(fmt.Sprintf("pulled out, the token lists %d new keys", keys), err)
	if err := s.renew(ctx, g, citizen, "accepted"); err != nil {
		return s.report.Check("put back, the renewal is finished", err)
	}
	s.report.Check("put back, the renewal is finished", nil)
	s.report.Check("the token lists one new key and one new certificate", g.bench.grew(citizen, before))
	return s.report.Check("tokens out, the first screen is back", g.leave(ctx))
}

// inventory is what is on a token.
func (b *Bench) inventory(k desk.Kind) (n card.Inventory) {
	b.Card(k).Use(func(c *card.Card) { n = c.Inventory() })
	return n
}

// grew says whether a token lists one key pair and one certificate more than before.
func (b *Bench) grew(k desk.Kind, before card.Inventory) error {
	now := b.inventory(k)
	if now.PrivateKeys != before.PrivateKeys+1 || now.PublicKeys != before.PublicKeys+1 || now.Certificates != before.Certificates+1 {
		return fmt.Errorf("it has %+v, before %+v", now, before)
	}
	return nil
}

func (b *Bench) issued(n int) error {
	if got := len(b.CA.Issued()); got != n {
		return fmt.Errorf("%d certificates issued, want %d", got, n)
	}
	return nil
}

// waitFor polls until it is so.
func waitFor(ctx context.Context, limit time.Duration, what string, so func() bool) error {
	for end := time.Now().Add(limit); !so(); {
		if time.Now().After(end) {
			return fmt.Errorf("waited %v in vain for %s", limit, what)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		}
	}
	return nil
}
