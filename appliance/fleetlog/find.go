package fleetlog

import (
	"context"
	"fmt"

	"mohr.internal/appliance/fleet/entry"
	"mohr.internal/kiosk"
)

// Server is what asks the fleet; *fleetlink.Server is one.
type Server interface {
	Lookup(ctx context.Context, key entry.KeyID) ([]byte, error)
}

// Find asks the fleet for the certificate of a public key that is on a token. ok is
// false if there is none; what was not sealed for this key is kiosk.ErrPickup. What
// comes is checked for nothing else: the ceremony holds it to all that an answer of
// the CA is held to.
func Find(ctx context.Context, s Server, spki []byte) (p kiosk.Pickup, ok bool, err error) {
	sealed, err := s.Lookup(ctx, entry.KeyIDOf(spki))
	if err != nil || sealed == nil {
		return kiosk.Pickup{}, false, err
	}
	found, err := entry.OpenPickup(sealed, spki)
	if err != nil {
		return kiosk.Pickup{}, false, fmt.Errorf("fleetlog: %w: %w", kiosk.ErrPickup, err)
	}
	return kiosk.Pickup{
		Renewal: found.Renewal, Request: found.Request, Certificate: found.Certificate, Chain: found.Chain, Answer: found.Answer,
	}, true, nil
}
