package main

import (
	"os"
	"path/filepath"
	"testing"

	"mohr.internal/image/closure"
)

// What tells the building machine is refused; what every Go program contains is not,
// wherever the repository lies.
func TestAnonymous(t *testing.T) {
	b := &builder{options: options{repo: "/src", cache: "/home/a/.cache/mohr", out: "/src/out/image"}}
	for text, ok := range map[string]bool{
		"/src/runtime/runtime-gdb.py and /usr/src/linux": true,
		"mohr.internal/kiosk/cmp":                        true,
		"xx/src/kiosk/cmp/message.go":                    false,
		"/home/a/.cache/mohr/debs/x.deb":                 false,
		"/src/out/image/rpi/x":                           false,
	} {
		name := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(name, []byte("\x00"+text+"\x00"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := b.anonymous([]closure.File{{Name: "f", Host: name}}); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
		if err := b.anonymous([]closure.File{{Name: "etc/gokrazy/sbom.json", Host: name}}); err != nil {
			t.Errorf("%q in gokrazy's list: %v", text, err)
		}
	}
}
