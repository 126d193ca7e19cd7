package station

import (
	"log/slog"
	"reflect"
	"testing"

	"mohr.internal/appliance/tokenlink"
	"mohr.internal/kiosk"
)

// The ceremony hears of devices in its two ports and of tokend itself.
func TestTranslate(t *testing.T) {
	tokens := NewTokens("/nowhere", slog.New(slog.DiscardHandler))
	citizen := tokenlink.Device{ID: "a", Role: tokenlink.Citizen, Model: "m", Supported: true, VID: 0x96e, PID: 0x702, Description: "MT1:A"}
	other := tokenlink.Device{ID: "b", Role: tokenlink.Other}
	officer := tokenlink.Device{ID: "c", Role: tokenlink.Officer, Reason: tokenlink.RuleUnknown}
	seen := kiosk.Device{ID: "a", Role: kiosk.RoleCitizen, Model: "m", Supported: true, USB: "096e:0702", Description: "MT1:A"}
	for _, row := range []struct {
		event tokenlink.Event
		want  []kiosk.DeviceEvent
	}{
		{tokenlink.Event{Kind: tokenlink.Away}, []kiosk.DeviceEvent{{}}},
		{tokenlink.Event{Kind: tokenlink.Snapshot}, []kiosk.DeviceEvent{{Present: true}}},
		{tokenlink.Event{Kind: tokenlink.Snapshot, Devices: []tokenlink.Device{citizen, other}},
			[]kiosk.DeviceEvent{{Present: true}, {Device: seen, Present: true}}},
		{tokenlink.Event{Kind: tokenlink.Inserted, Device: officer},
			[]kiosk.DeviceEvent{{Device: kiosk.Device{ID: "c", Role: kiosk.RoleOfficer, Reason: tokenlink.RuleUnknown, USB: "0000:0000"}, Present: true}}},
		{tokenlink.Event{Kind: tokenlink.Inserted, Device: other}, nil},
		{tokenlink.Event{Kind: tokenlink.Removed, Device: citizen}, []kiosk.DeviceEvent{{Device: seen}}},
	} {
		if got := tokens.translate(row.event); !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: got %+v, want %+v", row.event.Kind, got, row.want)
		}
	}
}
