package program

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Without -appliance a missing configuration ends the program, with it the
// program waits, and says why once per reason.
func TestLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errs := []error{os.ErrNotExist, os.ErrNotExist, os.ErrNotExist, io.ErrUnexpectedEOF, io.ErrUnexpectedEOF}
		tries := 0
		load := func(string) (string, error) {
			tries++
			if tries <= len(errs) {
				return "", errs[tries-1]
			}
			return "configuration", nil
		}
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, nil))
		if _, err := Load(t.Context(), &Flags{}, load, log); !errors.Is(err, os.ErrNotExist) || tries != 1 {
			t.Fatalf("on a desk: %v after %d tries", err, tries)
		}
		tries = 0
		start := time.Now()
		c, err := Load(t.Context(), &Flags{Appliance: true}, load, log)
		if err != nil || c != "configuration" || tries != 6 || time.Since(start) != 5*retry {
			t.Errorf("got %q, %v after %d tries in %v", c, err, tries, time.Since(start))
		}
		if n := strings.Count(out.String(), "waiting for the configuration"); n != 2 {
			t.Errorf("%d lines, want one for each reason:\n%s", n, &out)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = Load(ctx, &Flags{Appliance: true}, func(string) (string, error) { return "", os.ErrNotExist }, log)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("stopped: %v", err)
		}
	})
}

// With -log the log, and whatever else goes to stderr, is in the file.
func TestLog(t *testing.T) {
	if path := os.Getenv("TEST_LOG"); path != "" {
		var f Flags
		set := flag.NewFlagSet("", flag.ContinueOnError)
		f.Add(set)
		if err := set.Parse([]string{"-log", path}); err != nil {
			t.Fatal(err)
		}
		log, err := f.Logger(io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("line of the log")
		LogMemory(log, "test")
		panic("line of the runtime")
	}
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestLog$")
	cmd.Env = append(os.Environ(), "TEST_LOG="+path)
	out, err := cmd.CombinedOutput()
	b, _ := os.ReadFile(path)
	for _, want := range []string{"old\n", "line of the log", "msg=memory program=program.test when=test rss_kib=", "panic: line of the runtime"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%q is not in the log (%v, %s):\n%s", want, err, out, b)
		}
	}
	missing := Flags{Log: filepath.Join(t.TempDir(), "none")}
	if _, err := missing.Logger(io.Discard); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := os.Stat(missing.Log); err == nil {
		t.Error("the missing log was made")
	}
}

func TestMemory(t *testing.T) {
	m, err := Used()
	if err != nil || m.RSS < 100 || m.Peak < m.RSS {
		t.Errorf("%+v, %v", m, err)
	}
	for in, want := range map[string]Memory{
		"Name:\tx\nVmHWM:\t    5240 kB\nVmRSS:\t    5120 kB\nX:\n": {RSS: 5120, Peak: 5240},
		"Name:\tx\nVmRSS:\t 1 kB\n":                                {},
		"Name:\tx\nVmHWM:\t 1 kB\nVmRSS:\t 1 MB\n":                 {},
		"Name:\tx\nVmHWM:\t 1 kB\nVmRSS:\t -1 kB\n":                {},
		"Name:\tx\nVmHWM:\t 1 kB\nVmRSS:":                          {},
		"":                                                         {},
	} {
		got, err := parseStatus([]byte(in))
		if (err == nil) != (want.RSS > 0) || err == nil && got != want {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
}
