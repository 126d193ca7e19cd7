package debian

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fakeApt stands for apt-get: it knows one version of "one" and "two", writes down its
// calls, and serves content that a test may spoil.
const fakeApt = `#!/bin/sh
echo "$*" >>"$FAKE/calls"
while [ "$1" = -o ]; do shift 2; done
verb=$1; shift
[ "$verb" = update ] && exit 0
print=no
for a; do
  case $a in
  --print-uris) print=yes ;;
  -q) ;;
  one=1:1.0-1|two=2.0)
    name=${a%%=*}; file=${name}_$(echo "${a#*=}" | sed s/:/%3a/)_arm64.deb
    if [ $print = yes ]; then echo "'http://mirror/pool/$file' $file 4 SHA256:$(sha256sum "$FAKE/$name" | cut -c1-64)"
    elif [ $name = two ] && [ -s "$FAKE/flaky" ]; then
      sed -i 1d "$FAKE/flaky"; echo "E: Failed to fetch $file  Connection failed" >&2; exit 100
    else cp "$FAKE/$name" "$file"; fi ;;
  *) echo "E: Version for '$a' was not found" >&2; exit 100 ;;
  esac
done
`

type fake struct {
	dir   string
	cache Cache
	list  []Package
}

func newFake(t *testing.T) *fake {
	t.Helper()
	dir := t.TempDir()
	f := &fake{dir: dir, cache: Cache{Dir: filepath.Join(dir, "cache")}}
	if err := os.WriteFile(filepath.Join(dir, "apt-get"), []byte(fakeApt), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("FAKE", dir)
	for name, version := range map[string]string{"one": "1:1.0-1", "two": "2.0"} {
		sum := sha256.Sum256([]byte(name))
		f.list = append(f.list, Package{name, version, "arm64", hex.EncodeToString(sum[:])})
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func (f *fake) fetch() (int, error) {
	return f.cache.Fetch(context.Background(), &Apt{Dir: filepath.Join(f.dir, "apt"), Arch: "arm64"}, f.list)
}

func (f *fake) calls(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(f.dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFetch(t *testing.T) {
	f := newFake(t)
	if n, err := f.fetch(); n != 2 || err != nil {
		t.Fatalf("first: %d, %v", n, err)
	}
	before := f.calls(t)
	for _, want := range []string{"APT::Architecture=arm64", "Dir::State=" + f.dir, "Dir::State::status=" + f.dir} {
		for line := range strings.Lines(before) {
			if !strings.Contains(line, want) {
				t.Errorf("apt-get %s without %s", line, want)
			}
		}
	}
	if n, err := f.fetch(); n != 0 || err != nil || f.calls(t) != before {
		t.Errorf("second: %d fetched, %v; want no call of apt", n, err)
	}
	// A damaged file is brought anew.
	if err := os.WriteFile(f.cache.path(f.list[0]), []byte("xxx"), 0o644); err != nil {
		t.Fatal(err)
	}
	if n, err := f.fetch(); n != 1 || err != nil {
		t.Errorf("after damage: %d, %v", n, err)
	}
}

// A mirror that fails now and then is asked again, and what came is not asked for twice.
func TestFetchTriesAgain(t *testing.T) {
	f := newFake(t)
	flaky := filepath.Join(f.dir, "flaky")
	if err := os.WriteFile(flaky, []byte(strings.Repeat("x\n", attempts-1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if n, err := f.fetch(); n != 2 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if err := os.Remove(f.cache.path(f.list[slices.IndexFunc(f.list, func(p Package) bool { return p.Name == "two" })])); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(flaky, []byte(strings.Repeat("x\n", attempts)), 0o644); err != nil {
		t.Fatal(err)
	}
	before := len(f.calls(t))
	if n, err := f.fetch(); n != 0 || err == nil || !strings.Contains(err.Error(), "Connection failed") {
		t.Errorf("%d, %v", n, err)
	}
	if later := f.calls(t)[before:]; strings.Contains(later, "one=") || strings.Count(later, "-q two=") != attempts {
		t.Errorf("calls after the first was there:\n%s", later)
	}
}

func TestFetchRefusesOtherBytes(t *testing.T) {
	f := newFake(t)
	if err := os.WriteFile(filepath.Join(f.dir, "two"), []byte("evil"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := f.fetch()
	if err == nil || !strings.Contains(err.Error(), "two=2.0:arm64: the mirror's file has SHA-256") {
		t.Errorf("error %v", err)
	}
	for _, p := range f.list {
		if p.Name == "two" {
			if ok, err := f.cache.Has(p); ok || err != nil {
				t.Errorf("it was kept: %t, %v", ok, err)
			}
		}
	}
}

func TestFetchNamesWhatIsGone(t *testing.T) {
	f := newFake(t)
	f.list = append(f.list, Package{"three", "3.0", "arm64", sumA}, Package{"four", "4.0", "arm64", sumB})
	_, err := f.fetch()
	if !errors.Is(err, ErrGone) || !strings.HasPrefix(err.Error(), "three=3.0:arm64, four=4.0:arm64: ") || !strings.Contains(err.Error(), "-update-lock") {
		t.Errorf("error %v", err)
	}
}

func TestParseURIs(t *testing.T) {
	const line = "'http://m/libusb_1.0.26-1_arm64.deb' libusb-1.0-0_2%3a1.0.26-1_arm64.deb 62 SHA256:" + sumA + "\n"
	m, err := parseURIs("Reading...\n" + line)
	if want := (offered{"2:1.0.26-1", sumA, "libusb-1.0-0_2%3a1.0.26-1_arm64.deb"}); err != nil || m["libusb-1.0-0"] != want {
		t.Errorf("%v, %v", m, err)
	}
	for _, bad := range []string{
		strings.Replace(line, "SHA256", "MD5Sum", 1),
		strings.Replace(line, "libusb-1.0-0_2%3a1.0.26-1_arm64", "libusb", 1),
		"'http://m/x.deb'\n",
	} {
		if m, err := parseURIs(bad); err == nil {
			t.Errorf("%q was read as %v", bad, m)
		}
	}
}
