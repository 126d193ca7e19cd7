package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"
)

func TestScreenID(t *testing.T) {
	for line, want := range map[string]string{
		`time=2026-11-23T19:00:00.000Z level=INFO msg=screen id=idle lang=fa render_us=1234`: "idle",
		`[    3.1] time=x level=INFO msg=screen id=officer-pin lang=en render_us=1`:          "officer-pin",
		`level=INFO msg=screen id=idle`:                         "idle",
		`level=INFO msg=screening id=idle lang=fa`:              "",
		`level=INFO msg="screen id=idle lang=fa"`:               "",
		`msg=screen id=` + strings.Repeat("a", 41) + ` lang=fa`: "",
		``: "",
	} {
		if got := screenID(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestValue(t *testing.T) {
	line := `time=1 level=INFO msg=memory when="after a renewal" rss_kib=1200 peak_kib=1300`
	for name, want := range map[string]string{"rss_kib": "1200", "when": "after a renewal", "peak_kib": "1300", "kib": "", "msg": "memory"} {
		if got, ok := value(line, name); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %t", name, got, ok)
		}
	}
	if v, ok := value(`when="open`, "when"); ok && v == "" {
		t.Error("an open quote is empty")
	}
}

func FuzzLine(f *testing.F) {
	f.Add(`level=INFO msg=screen id=idle lang=fa`)
	f.Add(`msg="a \"b\"" id="x`)
	f.Fuzz(func(t *testing.T, line string) {
		if id := screenID(line); len(id) > 40 || strings.ContainsAny(id, " \n\"") {
			t.Errorf("%q", id)
		}
		value(line, "msg")
	})
}

func TestConsole(t *testing.T) {
	r, w := io.Pipe()
	var copied bytes.Buffer
	c := NewConsole(r, &copied, time.Now)
	io.WriteString(w, "one\r\ntw")
	io.WriteString(w, "o\r\n\r\nthree")
	l, mark, err := c.Wait(t.Context(), patience, "two", 0, func(s string) bool { return s == "two" })
	if err != nil || l.Text != "two" || mark != 2 {
		t.Fatalf("%+v, %d, %v", l, mark, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := c.Wait(ctx, patience, "four", mark, func(s string) bool { return s == "four" }); err == nil ||
		!strings.Contains(err.Error(), "waiting for four") || !strings.Contains(err.Error(), "    two\n") {
		t.Errorf("%v", err)
	}
	if _, _, err := c.Wait(t.Context(), time.Millisecond, "four", mark, func(s string) bool { return false }); err == nil || !strings.Contains(err.Error(), "in vain") {
		t.Errorf("%v", err)
	}
	w.Close()
	if _, _, err := c.Wait(t.Context(), patience, "three", mark, func(s string) bool { return s == "three" }); err != nil {
		t.Errorf("the unfinished line: %v", err)
	}
	if _, _, err := c.Wait(t.Context(), patience, "more", 0, func(s string) bool { return s == "more" }); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("%v", err)
	}
	if c.Count(0, "t") != 2 || copied.String() != "one\r\ntwo\r\n\r\nthree" {
		t.Errorf("%q", copied.String())
	}
}

// A guest cannot make us keep an endless line.
func TestConsoleBounds(t *testing.T) {
	c := NewConsole(strings.NewReader(strings.Repeat("x", 3*maxLine)+"\nend\n"), io.Discard, time.Now)
	if _, _, err := c.Wait(t.Context(), patience, "end", 0, func(s string) bool { return s == "end" }); err != nil {
		t.Fatal(err)
	}
	for _, l := range c.Lines(0) {
		if len(l.Text) > maxLine {
			t.Errorf("a line of %d bytes", len(l.Text))
		}
	}
}
