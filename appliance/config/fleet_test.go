package config

import (
	"strings"
	"testing"
)

const fleetPart = `,
  "fleet": {"socket": "/run/mohr/fleet.sock", "kiosk": "desk-7", "urls": ["tls://n1.example:4222", "tls://n2.example:4222"],
    "anchors": "/etc/mohr/fleet.pem", "certificate": "/etc/mohr/syncd.pem", "key": "/etc/mohr/syncd.key", "recheck": "5m"}
}`

// A fleet is optional; if there is one, nothing about it is left to chance.
func TestFleet(t *testing.T) {
	good := strings.TrimSuffix(strings.TrimSpace(fixture(t, "syncd.json")), "}") + fleetPart
	c, err := ParseSyncd([]byte(good))
	if err != nil || c.Fleet.Kiosk != "desk-7" || len(c.Fleet.URLs) != 2 {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, tt := range []struct{ old, new, key string }{
		{`/run/mohr/fleet.sock`, `fleet.sock`, "fleet.socket"},
		{`"desk-7"`, `"desk.7"`, "fleet.kiosk"},
		{`"desk-7"`, `"desk>"`, "fleet.kiosk"},
		{`tls://n1.example:4222`, `tls://n1.example`, "fleet.urls[0]"},
		{`tls://n2.example:4222`, `https://n2.example:4222`, "fleet.urls[1]"},
		{`tls://n2.example:4222`, `tls://u:p@n2.example:4222`, "fleet.urls[1]"},
		{`tls://n2.example:4222`, `nats://n2.example:4222`, "fleet.urls[1]"},
		{`tls://n2.example:4222`, `nats://127.0.0.1:4222`, "fleet.urls"},
		{`"anchors": "/etc/mohr/fleet.pem", `, ``, "fleet.anchors"},
		{`"certificate": "/etc/mohr/syncd.pem", "key": "/etc/mohr/syncd.key", `, ``, "fleet.credentials"},
		{`"key": "/etc/mohr/syncd.key", `, ``, "fleet.key"},
		{`"/etc/mohr/syncd.key"`, `"syncd.key"`, "fleet.key"},
		{`"urls": ["tls://n1.example:4222", "tls://n2.example:4222"]`, `"urls": []`, "fleet.urls"},
		{`"urls": ["tls://n1.example:4222", "tls://n2.example:4222"]`, `"urls": ["nats://127.0.0.1:1"]`, "fleet.anchors"},
		{`"5m"`, `"1ms"`, "fleet.recheck"},
		{`, "recheck": "5m"`, ``, "fleet.recheck"},
	} {
		bad := strings.Replace(good, tt.old, tt.new, 1)
		if bad == good {
			t.Errorf("%q is not in the file", tt.old)
		}
		if _, err := ParseSyncd([]byte(bad)); err == nil || !strings.Contains(err.Error(), `"`+tt.key+`"`) {
			t.Errorf("%q -> %q: %v, want an error naming %q", tt.old, tt.new, err, tt.key)
		}
	}
	plain := strings.Replace(good, `"urls": ["tls://n1.example:4222", "tls://n2.example:4222"],
    "anchors": "/etc/mohr/fleet.pem", "certificate": "/etc/mohr/syncd.pem", "key": "/etc/mohr/syncd.key"`, `"urls": ["nats://127.0.0.1:4222"]`, 1)
	if _, err := ParseSyncd([]byte(plain)); err != nil {
		t.Errorf("on loopback: %v", err)
	}
}

func TestFleetSocket(t *testing.T) {
	good := fixture(t, "kioskd.json")
	with := strings.Replace(good, `"office":`, `"fleet": {"socket": "/run/mohr/fleet.sock"}, "office":`, 1)
	if c, err := ParseKioskd([]byte(with)); err != nil || c.Fleet.Socket != "/run/mohr/fleet.sock" {
		t.Errorf("%+v, %v", c, err)
	}
	for old, key := range map[string]string{`/run/mohr/fleet.sock`: "fleet.socket", `desk-7`: "kiosk.id"} {
		if _, err := ParseKioskd([]byte(strings.Replace(with, old, "a.b", 1))); err == nil || !strings.Contains(err.Error(), `"`+key+`"`) {
			t.Errorf("%v, want an error naming %q", err, key)
		}
	}
}
