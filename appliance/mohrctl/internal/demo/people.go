package demo

import (
	"context"
	"fmt"

	"mohr.internal/appliance/desk"
)

// script is what a citizen and an officer do at the counter.
type script struct {
	world   *desk.World
	people  *desk.People
	report  *report
	citizen *desk.Device
	officer *desk.Device
}

// renew goes on to the screen named until, pressing what a willing citizen and a
// satisfied officer press, and prints each screen with its time. It returns the
// picture of the last one.
func (s *script) renew(ctx context.Context, until string) (desk.Shot, error) {
	acts := s.world.Renewal(ctx, s.people, s.citizen.Kind, s.officer.Kind)
	step := func(shot desk.Shot) { s.report.step("%-15s %s", shot.ID, shot.Title) }
	shot, err := s.people.Walk(ctx, acts, step, until, "refused", "trouble", "remove")
	if err == nil && shot.ID != until {
		err = fmt.Errorf("wanted screen %q, the ceremony ended with %q:\n%s", until, shot.ID, shot.Text)
	}
	return shot, err
}
