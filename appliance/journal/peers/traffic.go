package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// traffic is what reaches the device, file system and its journal included.
type traffic struct {
	FlushesPerCommit  float64
	WrittenPerPayload float64 // bytes
	MadePerPayload    float64 // bytes written by making the store
}

// measureTraffic runs childTraffic in a mount namespace of its own, so that
// nothing stays mounted whatever happens.
func measureTraffic(k kind, dir string, n int) (*traffic, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("needs root, to mount an ext4 of its own")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd, err := spawn("traffic", k, dir, n)
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("no loop device with ext4 here: %w", err)
	}
	t := new(traffic)
	return t, json.Unmarshal(out, t)
}

func childTraffic(k kind, dir string, n int) error {
	image, mnt := filepath.Join(dir, "image"), filepath.Join(dir, "mnt")
	f, err := os.Create(image)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(quota(n)*8+64<<20), f.Close(), os.Mkdir(mnt, 0o700)); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"mkfs.ext4", "-q", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0", image},
		{"mount", "-o", "loop", image, mnt},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", args[0], err, out)
		}
	}
	source, err := exec.Command("findmnt", "-n", "-o", "SOURCE", mnt).Output()
	if err != nil {
		return fmt.Errorf("findmnt: %w", err)
	}
	stat := filepath.Join("/sys/block", filepath.Base(string(bytes.TrimSpace(source))), "stat")
	fresh, err := readCounters(mnt, stat, true)
	if err != nil {
		return err
	}
	var before, flushed, after counters
	if _, err := commit(k, filepath.Join(mnt, "store"), n, func(done bool) (err error) {
		if !done {
			before, err = readCounters(mnt, stat, true)
			return err
		}
		if flushed, err = readCounters(mnt, stat, false); err != nil {
			return err
		}
		after, err = readCounters(mnt, stat, true) // what was not flushed is written all the same
		return err
	}); err != nil {
		return err
	}
	payloads := 0
	for seq := range uint64(n) {
		payloads += len(payload(seq + 1))
	}
	if out, err := exec.Command("umount", mnt).CombinedOutput(); err != nil {
		return fmt.Errorf("umount: %w: %s", err, out)
	}
	return json.NewEncoder(os.Stdout).Encode(traffic{
		FlushesPerCommit:  float64(flushed.flushes-before.flushes) / float64(n),
		WrittenPerPayload: float64(after.written-before.written) / float64(payloads),
		MadePerPayload:    float64(before.written-fresh.written) / float64(payloads),
	})
}

// counters of a block device.
type counters struct{ written, flushes int64 }

// readCounters reads the fields that Linux documents in block/stat: the 7th is
// sectors of 512 bytes written, the 16th flush requests.
func readCounters(mnt, stat string, sync bool) (c counters, err error) {
	if sync {
		f, err := os.Open(mnt)
		if err != nil {
			return c, err
		}
		if err := errors.Join(unix.Syncfs(int(f.Fd())), f.Close()); err != nil {
			return c, err
		}
		time.Sleep(100 * time.Millisecond) // the file system's own clean-up
	}
	b, err := os.ReadFile(stat)
	if err != nil {
		return c, err
	}
	fields := strings.Fields(string(b))
	if len(fields) < 16 {
		return c, fmt.Errorf("%s has no count of flushes", stat)
	}
	if _, err := fmt.Sscan(fields[6]+" "+fields[15], &c.written, &c.flushes); err != nil {
		return c, err
	}
	c.written *= 512
	return c, nil
}
