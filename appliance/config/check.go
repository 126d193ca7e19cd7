package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// KeyError says what is wrong with the value of one key.
type KeyError struct {
	Key     string // as in the file, e.g. "panel.width" or "desk.devices[1].vid"
	Problem string
}

func (e *KeyError) Error() string { return fmt.Sprintf("config: key %q: %s", e.Key, e.Problem) }

// Duration is a time.Duration written as a string, e.g. "1m30s".
type Duration time.Duration

// UnmarshalText reads the form of time.ParseDuration.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is not a duration like \"90s\"", b)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes the same form.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.Std().String()), nil }

// Std returns the value as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// checker collects the bad keys of one file, so that one run shows them all.
type checker []error

func (c *checker) bad(key, format string, args ...any) {
	*c = append(*c, &KeyError{Key: key, Problem: fmt.Sprintf(format, args...)})
}

func (c *checker) err() error { return errors.Join(*c...) }

func (c *checker) text(key, v string) {
	switch {
	case v == "":
		c.bad(key, "missing or empty")
	case len(v) > 256:
		c.bad(key, "longer than 256 bytes")
	case strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }):
		c.bad(key, "%q has control characters", v)
	}
}

// name is text that also serves in file names, URLs and log lines.
func (c *checker) name(key, v string) {
	c.text(key, v)
	if strings.ContainsFunc(v, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r))
	}) {
		c.bad(key, "%q: only A-Z a-z 0-9 - _ . are allowed", v)
	}
}

func (c *checker) path(key, v string) {
	switch {
	case v == "":
		c.bad(key, "missing or empty")
	case !filepath.IsAbs(v):
		c.bad(key, "%q is not an absolute path", v)
	case filepath.Clean(v) != v:
		c.bad(key, "%q is not a clean path, want %q", v, filepath.Clean(v))
	case strings.ContainsRune(v, 0):
		c.bad(key, "%q has a NUL byte", v)
	}
}

// socket is the path of a Unix socket; the kernel takes at most 107 bytes
// (sun_path in unix(7)).
func (c *checker) socket(key, v string) {
	c.path(key, v)
	if len(v) > 107 {
		c.bad(key, "%q is longer than 107 bytes, the limit for a socket", v)
	}
}

func (c *checker) oneOf(key, v string, want ...string) {
	if !slices.Contains(want, v) {
		c.bad(key, "%q, want one of %s", v, strings.Join(want, ", "))
	}
}

func (c *checker) within(key string, v, lo, hi int64) {
	if v < lo || v > hi {
		c.bad(key, "%d is not within %d and %d", v, lo, hi)
	}
}

func (c *checker) duration(key string, v Duration, lo, hi time.Duration) {
	if v.Std() < lo || v.Std() > hi {
		c.bad(key, "%v is not within %v and %v", v.Std(), lo, hi)
	}
}
