package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"mohr.internal/display/panel"
)

// The two machines differ in the board alone; what is in which port is the same.
func TestCommand(t *testing.T) {
	for arch, program := range map[Arch]string{ARM64: "qemu-system-aarch64", AMD64: "qemu-system-x86_64"} {
		m := &Machine{Options: Options{Name: "x", Arch: arch, Disk: "/d/disk", RTC: "1970-01-01T00:00:00", Ether: "/d/ether", Keypad: true}, dir: "/d"}
		got, args := m.command()
		line := strings.Join(args, " ")
		if got != program {
			t.Errorf("%s: %s", arch, got)
		}
		for _, want := range []string{
			"-accel tcg", "-S ", "usb-kbd,id=keypad,bus=xhci.0,port=3", "path=/d/citizen,server=on,wait=off", "path=/d/officer,server=on,wait=off",
			"file=/d/disk,format=raw", "-rtc base=1970-01-01T00:00:00", "addr.path=/d/ether", "-display none",
		} {
			if !strings.Contains(line, want) {
				t.Errorf("%s: no %q in %s", arch, want, line)
			}
		}
		m.Options = Options{Arch: arch}
		_, args = m.command()
		for _, not := range []string{"-rtc", "usb-kbd", "stream"} {
			if strings.Contains(strings.Join(args, " "), not) {
				t.Errorf("%s: %s though not asked for", arch, not)
			}
		}
	}
}

func TestQcode(t *testing.T) {
	var codes []string
	for _, key := range []rune{'0', '5', '9', panel.KeyOK, panel.KeyBack, panel.KeyCancel, panel.KeyLanguage} {
		code, err := qcode(key)
		if err != nil || slices.Contains(codes, code) {
			t.Errorf("%q: %q, %v", key, code, err)
		}
		codes = append(codes, code)
	}
	if code, err := qcode('x'); err == nil {
		t.Errorf("x is %q", code)
	}
}

func TestMemory(t *testing.T) {
	lines := []Line{
		{Text: `level=INFO msg=memory program=tokend when=running rss_kib=7000 peak_kib=9000`},
		{Text: `level=INFO msg=memory program=kioskd when=idle rss_kib=20000 peak_kib=20000`},
		{Text: `level=INFO msg=memory program=tokend when=running rss_kib=many peak_kib=9000`},
		{Text: `level=INFO msg=other program=tokend rss_kib=1`},
		{Text: `level=INFO msg=memory program=tokend when=running rss_kib=7500 peak_kib=9000`},
	}
	if got := memory(lines, "tokend"); !slices.Equal(got, []int{7000, 7500}) {
		t.Errorf("%v", got)
	}
	if got := median([]time.Duration{3, 1, 2}); got != 2 || median(nil) != 0 {
		t.Errorf("median %d", got)
	}
}

// Only what happened before a program of ours began is blamed on the emulator.
func TestEmulatorFailed(t *testing.T) {
	for text, failed := range map[string]bool{
		"":                                  true,
		"UEFI firmware\n":                   true,
		"[0.0] Linux version 6.12\n":        false,
		"Linux version\ninit: mohr image\n": false,
		"Linux version\nOops: int3: 0000\n": true,
	} {
		c := NewConsole(strings.NewReader(text), io.Discard, time.Now)
		c.Wait(t.Context(), patience, "the end", 0, func(string) bool { return false })
		if got := emulatorFailed(c); (got != "") != failed {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestReport(t *testing.T) {
	var b strings.Builder
	r := NewReport(&b)
	r.Title("A scenario")
	r.Check("one", nil)
	if r.End() != true {
		t.Error("all went well, but not so reported")
	}
	r.Check("two", errors.New("broken"))
	r.Figure("speed", "%d", 7)
	if r.End() {
		t.Error("a failure is reported as success")
	}
	if !strings.HasSuffix(b.String(), "\n1 passed, 1 failed\n") || !strings.Contains(b.String(), "\nspeed: 7\n") || !strings.Contains(b.String(), "FAIL  two: broken") {
		t.Error(b.String())
	}
	if NewReport(io.Discard).End() {
		t.Error("nothing was examined, and that is reported as success")
	}
}
