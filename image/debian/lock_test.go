package debian

import (
	"os"
	"strings"
	"testing"
)

const (
	sumA = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	sumB = "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
)

var good = head +
	"libc6 2.36-9+deb12u14 amd64 " + sumA + "\n" +
	"libc6 2.36-9+deb12u14 arm64 " + sumB + "\n" +
	"libusb-1.0-0 2:1.0.26-1 amd64 " + sumB + "\n" +
	"libusb-1.0-0 2:1.0.26-1+b1 arm64 " + sumA + "\n"

func TestParseLock(t *testing.T) {
	l, err := ParseLock([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Package{"libusb-1.0-0", "2:1.0.26-1+b1", "arm64", sumA}); len(l) != 4 || l[3] != want {
		t.Errorf("lock %v, want %v last", l, want)
	}
	got, err := l.For("arm64", []string{"libc6", "libusb-1.0-0"})
	if err != nil || len(got) != 2 || got[0].SHA256 != sumB {
		t.Errorf("for arm64: %v, %v", got, err)
	}
	if _, err := l.For("arm64", []string{"libc6", "libusb-1.0-0", "pcscd"}); err == nil || !strings.Contains(err.Error(), "pcscd:arm64 is missing") {
		t.Errorf("error %v", err)
	}
	if _, err := l.For("arm64", []string{"libc6"}); err == nil || !strings.Contains(err.Error(), "libusb-1.0-0:arm64 is of no use") {
		t.Errorf("error %v", err)
	}
}

func TestParseLockRefuses(t *testing.T) {
	line := "libc6 2.36-9+deb12u14 amd64 " + sumA + "\n"
	for name, c := range map[string]struct{ old, new, want string }{
		"no head":             {head, "", "the first two lines"},
		"a field less":        {" amd64 ", " ", "has 3 fields"},
		"two spaces":          {"libc6 2.36-9+deb12u14 amd64", "libc6  2.36-9+deb12u14 amd64", "has 5 fields"},
		"tab":                 {"libc6 2.36-9+deb12u14 amd64", "libc6\t2.36-9+deb12u14 amd64", "has 3 fields"},
		"option as name":      {line, strings.Replace(line, "libc6", "-oDir=x", 1), "is not a package name"},
		"path as name":        {line, strings.Replace(line, "libc6", "../libc6", 1), "is not a package name"},
		"version":             {line, strings.Replace(line, "2.36-9", "2.36;9", 1), "is not a version"},
		"architecture":        {line, strings.Replace(line, "amd64", "i386", 1), "is not an architecture"},
		"upper-case hash":     {line, strings.Replace(line, "aabb", "AABB", 1), "is not a SHA-256"},
		"short hash":          {line, strings.Replace(line, sumA, sumA[1:], 1), "is not a SHA-256"},
		"twice":               {line, line + line, "is there twice"},
		"missing on one":      {line, "", "is missing for amd64"},
		"blank line":          {line, line + "\n", "has 1 fields"},
		"no newline at end":   {"2:1.0.26-1+b1 arm64 " + sumA + "\n", "2:1.0.26-1+b1 arm64 " + sumA, "not written by -update-lock"},
		"not sorted":          {good, head + strings.Join(reverse(strings.SplitAfter(strings.TrimPrefix(good, head), "\n")), ""), "not sorted"},
		"carriage return":     {line, strings.Replace(line, "\n", "\r\n", 1), "is not a SHA-256"},
		"nothing but a head":  {good, head, "has 1 fields"},
		"larger than the cap": {good, good + strings.Repeat("#", maxLock), "larger than"},
	} {
		data := strings.Replace(good, c.old, c.new, 1)
		l, err := ParseLock([]byte(data))
		if err == nil || !strings.Contains(err.Error(), c.want) || l != nil {
			t.Errorf("%s: %v, %v, want %q", name, l, err, c.want)
		}
	}
}

func reverse(s []string) []string {
	var out []string
	for i := len(s) - 1; i >= 0; i-- {
		out = append(out, s[i])
	}
	return out
}

func TestCommittedLock(t *testing.T) {
	data, err := os.ReadFile("../debian.lock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseLock(data); err != nil {
		t.Error(err)
	}
}

func FuzzParseLock(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(head))
	f.Add([]byte(head + "a b amd64 " + sumA + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := ParseLock(data)
		if err == nil && l.String() != string(data) {
			t.Errorf("read %q, wrote %q", data, l.String())
		}
		if err != nil && l != nil {
			t.Errorf("%v, and yet %v", err, l)
		}
	})
}
