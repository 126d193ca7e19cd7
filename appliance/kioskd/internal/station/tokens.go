package station

import (
	"context"
	"log/slog"

	"mohr.internal/appliance/tokenlink"
	"mohr.internal/kiosk"
	"mohr.internal/pkcs11"
)

// Tokens is tokend in the form the ceremony takes.
type Tokens struct {
	client *tokenlink.Client
	log    *slog.Logger
}

// NewTokens talks to the tokend that listens at path.
func NewTokens(path string, log *slog.Logger) *Tokens {
	return &Tokens{client: tokenlink.NewClient(path, log), log: log}
}

// Events implements kiosk.Tokens. Devices of other ports are left out.
func (t *Tokens) Events(ctx context.Context) <-chan kiosk.DeviceEvent {
	out := make(chan kiosk.DeviceEvent)
	events, err := t.client.Watch(ctx)
	if err != nil {
		close(out)
		return out
	}
	go func() {
		defer close(out)
		for e := range events {
			devices := e.Devices
			if e.Kind != tokenlink.Snapshot {
				devices = []tokenlink.Device{e.Device}
			}
			for _, d := range devices {
				t.log.Info("device", "event", e.Kind, "id", d.ID, "role", d.Role, "model", d.Model, "reason", d.Reason)
				if d.Role == tokenlink.Other {
					continue
				}
				select {
				case out <- kiosk.DeviceEvent{Device: device(d), Present: e.Kind != tokenlink.Removed}:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return out
}

func device(d tokenlink.Device) kiosk.Device {
	return kiosk.Device{ID: d.ID, Role: kiosk.Role(d.Role), Model: d.Model, Supported: d.Supported, Reason: d.Reason}
}

// Open implements kiosk.Tokens.
func (t *Tokens) Open(ctx context.Context, deviceID string) (*pkcs11.Session, error) {
	conn, err := t.client.Attach(ctx, deviceID)
	if err != nil {
		return nil, err
	}
	return pkcs11.NewSession(conn), nil
}
