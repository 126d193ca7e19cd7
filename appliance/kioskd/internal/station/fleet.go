package station

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/fleet/entry"
	"mohr.internal/appliance/fleetlink"
	"mohr.internal/appliance/fleetlog"
	"mohr.internal/kiosk"
)

// Fleet is the station's side of the fleet: the journal as the centre sees it, and
// the way to ask for certificates that other kiosks delivered.
type Fleet struct {
	Log    *fleetlog.Log
	server *fleetlink.Server
}

// newFleet shows a journal to the fleet, and the fleet to the ceremony.
func newFleet(k *kiosk.Kiosk, s *Storage, log *slog.Logger) (*Fleet, error) {
	view, err := fleetlog.New(fleetlog.Options{
		Kiosk: k.ID, Journal: s.Journal.Journal, Open: s.Read, Changed: k.Ledger.Changed,
		Request: k.Ledger.Request, Recipients: k.Profile.Recipients, Key: k.Keys.Receipt, Rand: rand.Reader,
		Cleared: func() (entry.Head, bool) {
			theirs, ok := k.Ledger.ForkCleared()
			return entry.Head(theirs), ok
		},
		Forked: func(ours, theirs entry.Head) {
			log.Error("the centre's log of this kiosk is not our journal: rolled back or cloned", "ours", ours, "theirs", theirs)
			if err := k.Ledger.Forked(kiosk.LogEnd(theirs)); err != nil { // the ceremony sees it, too
				log.Error("cannot journal the alarm", "err", err)
			}
		},
		Acknowledged: func(entry.Head) { k.Ledger.Agreed() },
		Trouble:      func(why string) { log.Info("fleet", "trouble", why) },
	})
	if err != nil {
		return nil, fmt.Errorf("station: %w", err)
	}
	f := &Fleet{Log: view, server: fleetlink.NewServer(view, log)}
	k.Fleet = f
	return f, nil
}

var _ kiosk.Fleet = (*Fleet)(nil)

// Find implements kiosk.Fleet.
func (f *Fleet) Find(ctx context.Context, spki []byte) (p kiosk.Pickup, ok bool, err error) {
	return fleetlog.Find(ctx, f.server, spki)
}

// serve listens for syncd until ctx ends.
func (f *Fleet) serve(ctx context.Context, c *config.FleetSocket) error {
	l, err := listen(c.Socket)
	if err != nil {
		return err
	}
	if err := f.server.Serve(ctx, l); ctx.Err() == nil {
		return err
	}
	return nil
}

// listen takes a socket's path over from a killed kioskd.
func listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("station: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("station: %w", err)
	}
	return l, nil
}
