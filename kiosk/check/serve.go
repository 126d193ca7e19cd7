package check

import "mohr.internal/kiosk/profile"

// Serve says whether citizens may be served by a profile. A profile that lacks
// what an office has to fill in is good data all the same.
func Serve(p *profile.Profile, clock Clock) Findings {
	var f Findings
	clock.mark(&f)
	if clock.Proven && clock.Now.After(p.ValidUntil) {
		f.add(ProfileExpired, Refuse, "valid until %s", stamp(p.ValidUntil))
	}
	if len(p.Anchors) == 0 {
		f.add(ProfileAnchors, Refuse, "no pinned CA certificate")
	}
	if len(p.Officers) == 0 {
		f.add(ProfileOfficers, Refuse, "no registration officer")
	}
	if len(p.Recipients) == 0 {
		f.add(ProfileRecipients, Refuse, "no recipient for evidence")
	}
	return f
}
