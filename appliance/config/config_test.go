package config

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func fixture(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLoad(t *testing.T) {
	k, err := LoadKioskd("testdata/kioskd.json")
	if err != nil {
		t.Fatal(err)
	}
	if k.IdleTimeout.Std() != 90*time.Second || k.Panel.Width != 800 || k.Kiosk.Number != 7 {
		t.Errorf("kioskd: %+v", k)
	}
	fb := strings.Replace(fixture(t, "kioskd.json"), `"kind": "socket", "path": "/run/mohr/panel.sock", "width": 800, "height": 480`,
		`"kind": "framebuffer", "path": "/dev/fb0", "keypad": {"port": "1-1.2"}`, 1)
	if k, err = ParseKioskd([]byte(fb)); err != nil || k.Panel.Keypad.Port != "1-1.2" {
		t.Errorf("framebuffer: %+v, %v", k, err)
	}
	s, err := LoadSyncd("testdata/syncd.json")
	if err != nil {
		t.Fatal(err)
	}
	if s.Backoff.Max.Std() != 15*time.Minute {
		t.Errorf("syncd: %+v", s)
	}
	tk, err := LoadTokend("testdata/tokend.json")
	if err != nil {
		t.Fatal(err)
	}
	if d := tk.Desk.Devices[0]; d.VID != 0x096e || d.Classes[0] != 0x0b || Environ(d.Env)[0] != "SOFTHSM2_CONF=/run/desk/citizen.conf" {
		t.Errorf("tokend: %+v", d)
	}
	for _, name := range []string{"missing.json", "."} {
		if _, err := LoadTokend(filepath.Join("testdata", name)); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
}

// What is written by a program that builds a configuration must load again.
func TestRoundTrip(t *testing.T) {
	k, err := ParseTokend([]byte(fixture(t, "tokend.json")))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseTokend(b); err != nil {
		t.Errorf("%v\n%s", err, b)
	}
	s, err := ParseSyncd([]byte(fixture(t, "syncd.json")))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = json.Marshal(s); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseSyncd(b); err != nil {
		t.Errorf("%v\n%s", err, b)
	}
}

// Each row changes one place of a good file; the error must name the key.
func TestBadKey(t *testing.T) {
	parse := map[string]func([]byte) error{
		"kioskd.json": func(b []byte) error { _, err := ParseKioskd(b); return err },
		"syncd.json":  func(b []byte) error { _, err := ParseSyncd(b); return err },
		"tokend.json": func(b []byte) error { _, err := ParseTokend(b); return err },
	}
	long := "/" + strings.Repeat("x", 107)
	const socketPanel = `"kind": "socket", "path": "/run/mohr/panel.sock", "width": 800, "height": 480`
	for _, tt := range []struct{ file, old, new, key string }{
		{"kioskd.json", `"/perm",`, `"perm",`, "perm"},
		{"kioskd.json", `"/perm",`, `"/perm/../x",`, "perm"},
		{"kioskd.json", `"perm": "/perm",`, ``, "perm"},
		{"kioskd.json", `"perm": "/perm",`, `"Perm": "/perm",`, "Perm"},
		{"kioskd.json", `"perm": "/perm",`, `"perm": "/perm", "perm": "/x",`, "perm"},
		{"kioskd.json", `"perm": "/perm",`, `"perm": null,`, "perm"},
		{"kioskd.json", `"perm": "/perm",`, `"perm": 1,`, "perm"},
		{"kioskd.json", `4194304`, `4194305`, "journal.segment_bytes"},
		{"kioskd.json", `4194304`, `4096`, "journal.segment_bytes"},
		{"kioskd.json", `4194304`, `262144`, "journal.segment_bytes"},   // a page less than the journal takes
		{"kioskd.json", `4194304`, `16781312`, "journal.segment_bytes"}, // a page more
		{"kioskd.json", `"segments": 16`, `"segments": 4097`, "journal.segments"},
		{"kioskd.json", `"segments": 16`, `"segments": 5`, "journal.segments"}, // no room for a citizen in the last 5 %
		{"kioskd.json", `"segments": 16`, `"segments": 0`, "journal.segments"},
		{"kioskd.json", `"segments": 16`, `"segment": 16`, "journal.segment"},
		{"kioskd.json", `/run/mohr/tokend.sock`, long, "tokend"},
		{"kioskd.json", `"socket"`, `"window"`, "panel.kind"},
		{"kioskd.json", `"socket"`, `"framebuffer"`, "panel.width"},
		{"kioskd.json", `"height": 480`, `"height": 480, "keypad": {"port": "1-3"}`, "panel.keypad"},
		{"kioskd.json", socketPanel, `"kind": "framebuffer", "path": "fb0"`, "panel.path"},
		{"kioskd.json", socketPanel, `"kind": "framebuffer", "path": "/dev/fb0", "keypad": {"port": "1-0"}`, "panel.keypad.port"},
		{"kioskd.json", socketPanel, `"kind": "framebuffer", "path": "/dev/fb0", "keypad": {"port": "usb1"}`, "panel.keypad.port"},
		{"kioskd.json", socketPanel, `"kind": "framebuffer", "path": "/dev/fb0", "keypad": {"port": "1-1.` + strings.Repeat("1.", 20) + `1"}`, "panel.keypad.port"},
		{"kioskd.json", `800`, `319`, "panel.width"},
		{"kioskd.json", `480`, `4321`, "panel.height"},
		{"kioskd.json", `"number": 7`, `"number": 0`, "kiosk.number"},
		{"kioskd.json", `"number": 7`, `"number": 4294967296`, "kiosk.number"},
		{"kioskd.json", `"number": 7`, `"number": -1`, "kiosk.number"},
		{"kioskd.json", `"desk-7"`, `"desk/7"`, "kiosk.id"},
		{"kioskd.json", `/etc/mohr/receipt.key`, `receipt.key`, "keys.receipt.key"},
		{"kioskd.json", `"90s"`, `90`, "idle_timeout"},
		{"kioskd.json", `"90s"`, `"90"`, "idle_timeout"},
		{"kioskd.json", `"90s"`, `"999ms"`, "idle_timeout"},
		{"kioskd.json", `"90s"`, `"61m"`, "idle_timeout"},
		{"kioskd.json", `"file", "path"`, `"ntp", "path"`, "clock.source"},
		{"kioskd.json", `"file", "path"`, `"system", "path"`, "clock.path"},
		{"kioskd.json", `"language": "fa"`, `"language": "ar"`, "language"},
		{"syncd.json", `http://127.0.0.1:8080/cmp`, `ftp://x/cmp`, "ca.url"},
		{"syncd.json", `http://127.0.0.1:8080/cmp`, `http://u:p@x/cmp`, "ca.url"},
		{"syncd.json", `http://127.0.0.1:8080/cmp`, `https://ca.example/cmp`, "ca.anchors"},
		{"syncd.json", `"15m"`, `"500ms"`, "backoff.max"},
		{"syncd.json", `"30s"`, `"1h"`, "timeouts.request"},
		{"tokend.json", `"/sys"`, `""`, "usb.sysfs"},
		{"tokend.json", `"2s"`, `"1ms"`, "usb.rescan"},
		{"tokend.json", `"role": "officer"`, `"role": "boss"`, "usb.ports[1].role"},
		{"tokend.json", `"1-1.2"`, `"1-1.1"`, "usb.ports[1].port"},
		{"tokend.json", `"3437"`, `"4433"`, "usb.readers[1]"},
		{"tokend.json", `"08e6", "pid": "3437"`, `"0000", "pid": "3437"`, "usb.readers[1].vid"},
		{"tokend.json", `"MyEID card"`, `""`, "usb.readers[0].cards"},
		{"tokend.json", `"/usr/sbin/pcscd"`, `"pcscd"`, "pcscd"},
		{"tokend.json", `"096e"`, `"96e"`, "desk.devices[0].vid"},
		{"tokend.json", `"096e"`, `"096E"`, "desk.devices[0].vid"},
		{"tokend.json", `"096e"`, `"0000"`, "desk.devices[0].vid"},
		{"tokend.json", `"key": "officer"`, `"key": "citizen"`, "desk.devices[1].key"},
		{"tokend.json", `"SOFTHSM2_CONF": "/run/desk/citizen.conf"`, `"LD_PRELOAD": "/x.so"`, "desk.devices[0].env.LD_PRELOAD"},
		{"tokend.json", `"model": "YubiKey 5"`, `"model": "ePass2003"`, "modules[1].model"},
		{"tokend.json", `/run/desk/bench.sock`, `/run/mohr/tokend.sock`, "desk.socket"},
	} {
		good := fixture(t, tt.file)
		bad := strings.Replace(good, tt.old, tt.new, 1)
		if bad == good {
			t.Errorf("%s: %q not in the file", tt.file, tt.old)
			continue
		}
		err := parse[tt.file]([]byte(bad))
		if err == nil || !strings.Contains(err.Error(), tt.key) {
			t.Errorf("%s: %q -> %q: error %v, want one naming %q", tt.file, tt.old, tt.new, err, tt.key)
		}
	}
	for name, f := range parse {
		for _, s := range []string{"", "{", "[]", "null", "{} {}", "{\"\xff\":1}", strings.Repeat(" ", MaxBytes+1)} {
			if f([]byte(s)) == nil {
				t.Errorf("%s: accepted %.20q", name, s)
			}
		}
	}
}

func TestAllBadKeysAreNamed(t *testing.T) {
	_, err := ParseSyncd([]byte(`{}`))
	var ke *KeyError
	if !errors.As(err, &ke) {
		t.Fatalf("%v is no KeyError", err)
	}
	for _, key := range []string{"outbox", "ca.url", "timeouts.connect", "timeouts.request", "backoff.min", "backoff.max"} {
		if !strings.Contains(err.Error(), `"`+key+`"`) {
			t.Errorf("%q not named in %v", key, err)
		}
	}
}

func TestOffset(t *testing.T) {
	for _, tt := range []struct {
		s  string
		d  time.Duration
		ok bool
	}{
		{"0\n", 0, true},
		{"-86400", -24 * time.Hour, true},
		{"31622400", 366 * 24 * time.Hour, true},
		{"3162240000", 3162240000 * time.Second, true},
		{"3162240001", 0, false},
		{"", 0, false},
		{"1\n\n", 0, false},
		{" 1", 0, false},
		{"1h", 0, false},
	} {
		d, err := parseOffset(tt.s)
		if d != tt.d || (err == nil) != tt.ok {
			t.Errorf("%q: %v, %v", tt.s, d, err)
		}
	}
	p := filepath.Join(t.TempDir(), "offset")
	if _, err := ReadOffset(p); err == nil {
		t.Error("missing file read")
	}
	os.WriteFile(p, []byte("60\n"), 0o600)
	if d, err := ReadOffset(p); err != nil || d != time.Minute {
		t.Errorf("%v, %v", d, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, n := range []string{"kioskd.json", "syncd.json", "tokend.json"} {
		f.Add([]byte(fixture(f, n)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ParseKioskd(b)
		ParseSyncd(b)
		if c, err := ParseTokend(b); err == nil {
			again, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ParseTokend(again); err != nil {
				t.Fatalf("%v\n%s", err, again)
			}
		}
	})
}
