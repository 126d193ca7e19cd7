package station

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"mohr.internal/appliance/tokenlink"
	"mohr.internal/kiosk"
	"mohr.internal/pkcs11"
)

// Tokens is tokend in the form the ceremony takes.
type Tokens struct {
	client *tokenlink.Client
	log    *slog.Logger
	busy   atomic.Int64 // nanoseconds
}

// NewTokens talks to the tokend that listens at path.
func NewTokens(path string, log *slog.Logger) *Tokens {
	return &Tokens{client: tokenlink.NewClient(path, log), log: log}
}

// Events implements kiosk.Tokens. Devices of other ports are left out. A snapshot
// says first that tokend is there.
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
			for _, event := range t.translate(e) {
				select {
				case out <- event:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return out
}

// translate is an event in the ceremony's words.
func (t *Tokens) translate(e tokenlink.Event) (out []kiosk.DeviceEvent) {
	devices := e.Devices
	switch e.Kind {
	case tokenlink.Away:
		t.log.Error("tokend cannot be reached")
		return []kiosk.DeviceEvent{{Present: false}}
	case tokenlink.Snapshot:
		out = append(out, kiosk.DeviceEvent{Present: true})
	default:
		devices = []tokenlink.Device{e.Device}
	}
	for _, d := range devices {
		t.log.Info("device", "event", e.Kind, "id", d.ID, "role", d.Role, "model", d.Model, "reason", d.Reason)
		if d.Role != tokenlink.Other {
			out = append(out, kiosk.DeviceEvent{Device: device(d), Present: e.Kind != tokenlink.Removed})
		}
	}
	return out
}

func device(d tokenlink.Device) kiosk.Device {
	return kiosk.Device{ID: d.ID, Role: kiosk.Role(d.Role), Model: d.Model, Supported: d.Supported, Reason: d.Reason,
		USB: fmt.Sprintf("%04x:%04x", d.VID, d.PID), Description: d.Description}
}

// Open implements kiosk.Tokens.
func (t *Tokens) Open(ctx context.Context, deviceID string) (*pkcs11.Session, error) {
	start := time.Now()
	conn, err := t.client.Attach(ctx, deviceID)
	t.busy.Add(int64(time.Since(start)))
	if err != nil {
		return nil, err
	}
	return pkcs11.NewSession(&metered{Conn: conn, busy: &t.busy}), nil
}

// Busy implements kiosk.Tokens.
func (t *Tokens) Busy() time.Duration { return time.Duration(t.busy.Load()) }

// metered counts the time in which somebody waits for the token to answer.
type metered struct {
	net.Conn
	busy *atomic.Int64
}

func (m *metered) Read(b []byte) (int, error) {
	start := time.Now()
	n, err := m.Conn.Read(b)
	m.busy.Add(int64(time.Since(start)))
	return n, err
}
