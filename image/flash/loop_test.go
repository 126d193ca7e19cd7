package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mohr.internal/appliance/journal"
	"mohr.internal/appliance/journal/bounds"
	"mohr.internal/image"
)

// loop makes a real block device of a file, or skips the test.
func loop(t *testing.T, file string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: loop devices want root")
	}
	for _, tool := range []string{"losetup", "mkfs.ext4", "mount", "umount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: no %s (Debian packages mount, e2fsprogs)", tool)
		}
	}
	out, err := exec.Command("losetup", "--find", "--show", file).CombinedOutput()
	if err != nil {
		t.Skipf("SKIPPED: no loop device: %v: %s", err, out)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "-d", dev).CombinedOutput(); err != nil {
			t.Errorf("losetup -d: %v: %s", err, out)
		}
	})
	return dev
}

func must(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

func sparse(t *testing.T, name string, size int64) string {
	t.Helper()
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
	return name
}

// reader is this machine with one thing changed: the loop device can be taken out. All
// else is real: the node, how it is opened, what is mounted.
func reader(t *testing.T, dev string) (*app, *bytes.Buffer) {
	t.Helper()
	m, name := newMachine(t), filepath.Base(dev)
	number, _, err := node(dev)
	if err != nil {
		t.Fatal(err)
	}
	real := filepath.Join("/sys/block", name)
	size, err := sectors(real, "size")
	if err != nil {
		t.Fatal(err)
	}
	m.disk(usb+name, number, size/512, 0, "removable=1", "ro="+attribute(real, "ro"), "diskseq="+attribute(real, "diskseq"))
	out := new(bytes.Buffer)
	return &app{
		host:   host{sys: filepath.Join(m.root, "sys"), proc: "/proc", node: node},
		layout: small, open: openCard, in: strings.NewReader(name + "\n"), out: out, terminal: true, now: ticking(),
	}, out
}

// realImage has a real /perm, with a station's journal in it if records is not zero.
func realImage(t *testing.T, records int) (name, id string) {
	t.Helper()
	dir := t.TempDir()
	name = filepath.Join(dir, "rpi.img")
	img := smallImage()
	if err := os.WriteFile(name, img[:small.perm], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, small.perm+8<<20); err != nil {
		t.Fatal(err)
	}
	site := filepath.Join(dir, "perm")
	if err := os.MkdirAll(filepath.Join(site, "mohr"), 0o700); err != nil {
		t.Fatal(err)
	}
	if records > 0 {
		j, err := journal.Create(filepath.Join(site, "mohr", "journal"), journal.Options{SegmentBytes: bounds.MinSegment, Segments: 1})
		if err != nil {
			t.Fatal(err)
		}
		for i := range records {
			if _, err := j.Append(fmt.Appendf(nil, "record %d", i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		seg, err := os.ReadFile(filepath.Join(site, "mohr", "journal", "a", "0000.seg"))
		if err != nil {
			t.Fatal(err)
		}
		id = fmt.Sprintf("%x", seg[24:32])
	}
	must(t, "mkfs.ext4", "-q", "-F", "-L", "perm", "-b", "4096", "-O", "^metadata_csum", "-E", fmt.Sprintf("offset=%d", small.perm), "-d", site, name, "8M")
	return name, id
}

func TestLoop(t *testing.T) {
	backing := sparse(t, filepath.Join(t.TempDir(), "card"), 32<<20)
	dev := loop(t, backing)
	img, id := realImage(t, 5)

	t.Run("as it is, it cannot be taken out", func(t *testing.T) {
		out := new(bytes.Buffer)
		a := app{host: host{sys: "/sys", proc: "/proc", node: node}, layout: small, open: openCard, in: strings.NewReader(filepath.Base(dev) + "\n"), out: out, terminal: true, now: ticking()}
		if err := a.run(t.Context(), []string{"-dev", dev, "-image", img, "-yes"}); err == nil || !strings.Contains(err.Error(), "FLASH-FIXED") {
			t.Errorf("%v", err)
		}
		if err := a.run(t.Context(), []string{"-list"}); err != nil || strings.Contains(out.String(), dev) {
			t.Errorf("%v\n%s", err, out)
		}
		if b, err := os.ReadFile(backing); err != nil || !bytes.Equal(b, make([]byte, 32<<20)) {
			t.Errorf("it was written: %v", err)
		}
	})

	t.Run("written", func(t *testing.T) {
		a, out := reader(t, dev)
		if err := a.run(t.Context(), []string{"-dev", dev, "-image", img}); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		want, err := os.ReadFile(img)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(backing); err != nil || !bytes.Equal(got[:len(want)], want) {
			t.Errorf("the card has not the image: %v", err)
		}
		if !strings.Contains(out.String(), "with a station's journal "+id+" with 5 records") {
			t.Errorf("the image's station is not told of:\n%s", out)
		}
	})

	t.Run("the journal on it", func(t *testing.T) {
		a, _ := reader(t, dev)
		err := a.run(t.Context(), []string{"-dev", dev, "-image", img, "-yes"})
		if err == nil || !strings.Contains(err.Error(), "journal "+id+" with 5 records") || !strings.HasSuffix(err.Error(), "-lose-journal "+id) {
			t.Fatalf("%v", err)
		}
		empty, _ := realImage(t, 0)
		if err := a.run(t.Context(), []string{"-dev", dev, "-image", empty, "-yes", "-lose-journal", id}); err != nil {
			t.Fatal(err)
		}
		if err := a.run(t.Context(), []string{"-dev", dev, "-image", empty, "-yes"}); err != nil {
			t.Errorf("it was written over, and is still found: %v", err)
		}
	})

	t.Run("mounted", func(t *testing.T) {
		must(t, "mkfs.ext4", "-q", "-F", dev)
		point := t.TempDir()
		must(t, "mount", dev, point)
		defer must(t, "umount", point)
		a, _ := reader(t, dev)
		if err := a.run(t.Context(), []string{"-dev", dev, "-image", img, "-yes"}); err == nil || !strings.Contains(err.Error(), "FLASH-MOUNTED: in use: "+filepath.Base(dev)+" at "+point) {
			t.Errorf("%v", err)
		}
		// A mount that is not to be seen from here is still the kernel's business.
		a.host.proc = filepath.Join(newMachine(t).root, "proc")
		if err := a.run(t.Context(), []string{"-dev", dev, "-image", img, "-yes"}); err == nil || !strings.Contains(err.Error(), "FLASH-BUSY") {
			t.Errorf("%v", err)
		}
	})
}

// A disk that takes the first megabytes and then fails, as a worn card does: the file
// behind it is larger than its file system.
func TestLoopFails(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: loop devices want root")
	}
	point := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", point).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: no tmpfs: %v: %s", err, out)
	}
	t.Cleanup(func() { must(t, "umount", point) })
	backing := sparse(t, filepath.Join(point, "card"), 32<<20)
	dev := loop(t, backing)
	img, _ := realImage(t, 0)
	a, out := reader(t, dev)
	err := a.run(t.Context(), []string{"-dev", dev, "-image", img, "-yes"})
	var u *unusable
	if !errors.As(err, &u) || !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "NOT USABLE") {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, err := os.ReadFile(backing); err != nil || !bytes.Equal(got[:chunk], make([]byte, chunk)) {
		t.Errorf("it has a partition table: %v", err)
	}
}

var product = flag.String("rpi", "", "`FILE` of an image: write this one, too")

// TestProduct writes an image that was really built, at its real size:
//
//	go test ./image/flash -run Product -v -rpi $PWD/out/image/rpi.img
func TestProduct(t *testing.T) {
	if *product == "" {
		t.Skip("SKIPPED: wants -rpi FILE and 5 GB")
	}
	backing := sparse(t, filepath.Join(t.TempDir(), "card"), 4<<30)
	dev := loop(t, backing)
	a, _ := reader(t, dev)
	a.out, a.terminal, a.now = os.Stdout, false, time.Now
	a.layout = layout{root: image.RootOffset, perm: image.PermOffset}
	if err := a.run(t.Context(), []string{"-dev", dev, "-image", *product, "-yes"}); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(*product)
	if err != nil {
		t.Fatal(err)
	}
	must(t, "cmp", "-n", fmt.Sprint(st.Size()), *product, backing)
}
