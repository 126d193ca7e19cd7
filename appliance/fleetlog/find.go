package fleetlog

import (
	"context"

	"mohr.internal/appliance/fleet/entry"
)

// Server is what asks the fleet; *fleetlink.Server is one.
type Server interface {
	Lookup(ctx context.Context, key entry.KeyID) ([]byte, error)
}

// Find asks the fleet for the certificate of a public key that is on a token. ok is
// false if there is none. What comes is checked for nothing but that it was sealed
// for this key: the caller verifies it like an answer of the CA.
func Find(ctx context.Context, s Server, spki []byte) (p entry.Pickup, ok bool, err error) {
	sealed, err := s.Lookup(ctx, entry.KeyIDOf(spki))
	if err != nil || sealed == nil {
		return entry.Pickup{}, false, err
	}
	if p, err = entry.OpenPickup(sealed, spki); err != nil {
		return entry.Pickup{}, false, err
	}
	return p, true, nil
}
