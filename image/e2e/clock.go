package main

import (
	"context"
	"fmt"
	"time"

	"mohr.internal/appliance/desk"
	"mohr.internal/kiosk/receipt"
)

// atTime starts the kiosk with its clock set to a date, without a network, and
// renews: the request is stored, and the receipt does not claim to know the time. With
// the network back the request is delivered and the certificate loaded.
func (s *Suite) atTime(ctx context.Context, b *Bench, disk, name string, date time.Time, citizen desk.Kind) error {
	s.report.Title("The clock says %s", date.Format(time.DateOnly))
	g, took, err := s.boot(ctx, b, Options{Name: name, Arch: ARM64, Disk: disk, Keypad: true, RTC: date.UTC().Format("2006-01-02T15:04:05")})
	if s.report.Check("the kiosk starts and waits for nobody to tell the time", err) != nil {
		return err
	}
	defer g.Off()
	s.report.Step("first screen after %.1f s", took.Seconds())
	if err := g.Network(false); err != nil {
		return s.report.Check("network cut", err)
	}
	if s.report.Check("the citizen renews, the request is stored", s.renew(ctx, g, citizen, "receipt")) != nil {
		return fmt.Errorf("%s: no receipt", name)
	}
	r, err := s.reads(ctx, g, name, "Recorded")
	if err != nil {
		return err
	}
	err = nil
	if off := r.Time.Sub(date); r.Clock != receipt.ClockUnproven || off < -time.Hour || off > time.Hour {
		err = fmt.Errorf("clock %v, time %v", r.Clock, r.Time)
	}
	s.report.Check("the receipt says that the time is unproven", err)
	if err := g.Network(true); err != nil {
		return s.report.Check("network back", err)
	}
	s.report.Step("network cable in")
	id, _, err := g.Walk(ctx, citizen, "accepted", "refused", "trouble", "remove")
	if err == nil && id != "accepted" {
		err = fmt.Errorf("the screen is %s; the console's last lines:\n%s", id, g.Console.Tail(tailLines))
	}
	return s.report.Check("network back, the CA issues and the certificate is loaded", err)
}
