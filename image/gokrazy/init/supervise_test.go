package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestNextDelay(t *testing.T) {
	var got []time.Duration
	d := time.Duration(0)
	for range 8 {
		d = nextDelay(d, time.Second)
		got = append(got, d/time.Second)
	}
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30, 30} {
		if got[i] != want {
			t.Fatalf("delays %v, at %d want %d s", got, i, want)
		}
	}
	if d := nextDelay(30*time.Second, settled); d != minDelay {
		t.Errorf("after a minute of service %v, want %v", d, minDelay)
	}
}

// TestOnce: the status of the program comes back though somebody else collects it, an
// orphan is collected too, and what stays behind in the group is killed.
func TestOnce(t *testing.T) {
	dir := t.TempDir()
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := newSupervisor(null, out, t.Logf)
	go func() {
		for {
			s.collect()
		}
	}()
	for _, c := range []struct {
		name, script, want string
		printed            string
		mute               bool
	}{
		{"status", "exit 7", "exit status 7", "", false},
		{"signal", "kill -9 $$", "killed", "", false},
		{"output", "echo hello; echo world >&2", "exit status 0", "hello\nworld\n", false},
		{"mute", "echo hello", "exit status 0", "", true},
		{"input is empty", "read x || echo empty", "exit status 0", "empty\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := out.Truncate(0); err != nil {
				t.Fatal(err)
			}
			if _, err := out.Seek(0, 0); err != nil {
				t.Fatal(err)
			}
			status, err := s.once(service{path: "/bin/sh", args: []string{"-c", c.script}, mute: c.mute})
			if err != nil {
				t.Fatal(err)
			}
			if got := describe(status); got != c.want {
				t.Errorf("ended by %q, want %q", got, c.want)
			}
			printed, err := os.ReadFile(out.Name())
			if err != nil {
				t.Fatal(err)
			}
			if string(printed) != c.printed {
				t.Errorf("printed %q, want %q", printed, c.printed)
			}
		})
	}
	t.Run("environment", func(t *testing.T) {
		if err := out.Truncate(0); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		t.Setenv("HTTP_PROXY", "not for programs")
		if _, err := s.once(service{path: "/usr/bin/env"}); err != nil {
			t.Fatal(err)
		}
		printed, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(printed), strings.Join(environ(), "\n")+"\n"; got != want {
			t.Errorf("environment %q, want %q", got, want)
		}
	})
	t.Run("leftover", func(t *testing.T) {
		mark := filepath.Join(dir, "pid")
		if _, err := s.once(service{path: "/bin/sh", args: []string{"-c", "sleep 1000 & echo $! >" + mark}}); err != nil {
			t.Fatal(err)
		}
		pid, err := os.ReadFile(mark)
		if err != nil {
			t.Fatal(err)
		}
		for range 3000 {
			stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
			if err != nil || strings.Contains(string(stat), ") Z ") { // gone, or waiting for the machine's own init
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Error("the child that stayed behind was not killed")
	})
	if _, err := s.once(service{path: filepath.Join(dir, "none")}); err == nil {
		t.Error("a program that is not there was started")
	}
}

// The box is closed by what is not started here.
func TestServices(t *testing.T) {
	var got []string
	for _, s := range services() {
		got = append(got, strings.Join(append([]string{s.path}, s.args...), " "))
	}
	want := []string{
		"/gokrazy/randomd",
		"/gokrazy/dhcp",
		"/gokrazy/ntp",
		"/user/tokend -config /perm/mohr/tokend.json -appliance",
		"/user/syncd -config /perm/mohr/syncd.json -appliance",
		"/user/kioskd -config /perm/mohr/kioskd.json -appliance",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("services:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
