package trial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mohr.internal/appliance/powercut/internal/disk"
)

// cannot says why disks cannot be served here.
var cannot error

// The test binary is the worker too, and starts itself again in a mount
// namespace of its own.
func TestMain(m *testing.M) {
	if IsWorker() {
		if err := Work(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if dir := os.Getenv(victimVariable); dir != "" {
		os.Setenv("TMPDIR", dir)
		if err := errors.Join(Isolate(), Run(context.Background(), Options{Points: 1 << 20, Workers: 2, Only: -1, Out: os.Stdout})); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	if cannot = Need(); cannot == nil {
		cannot = Isolate()
	}
	if cannot != nil {
		fmt.Fprintln(os.Stderr, "*** SKIPPED, no power is cut:", cannot, "***")
		os.Exit(m.Run())
	}
	os.Exit(inMemory(m.Run))
}

// inMemory has the tests' folders in memory: this is not where disks are tried.
func inMemory(run func() int) int {
	dir, err := os.MkdirTemp("", "powercut-test-")
	if err == nil {
		defer os.Remove(dir)
		err = unix.Mount("powercut-test", dir, "tmpfs", 0, "size=512m")
	}
	if err != nil {
		return run()
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	os.Setenv("TMPDIR", dir)
	return run()
}

func needDisks(t *testing.T) {
	t.Helper()
	if cannot != nil {
		t.Skip("NOT TESTED: ", cannot)
	}
}

// A small run of everything: all is survived, and the controls are not.
func TestRun(t *testing.T) {
	needDisks(t)
	var out bytes.Buffer
	err := Run(t.Context(), Options{Points: 24, Seed: 3, Workers: 2, Only: -1, Out: &out})
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{`every flush boundary +[1-9]`, `error at every call +[1-9]`, `cut again in recovery +[1-9]`,
		`garbage 64 KiB +[1-9]`, `CONTROL without fdatasync +20 +(19|20) `, `\n24 passed, 0 failed\n`} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if mounts, _ := os.ReadFile("/proc/self/mounts"); strings.Contains(string(mounts), "mohr-powercut") {
		t.Errorf("left behind:\n%s", mounts)
	}
}

// An interrupted run ends soon, says so, and leaves nothing mounted.
func TestInterrupted(t *testing.T) {
	needDisks(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var out bytes.Buffer
	err := Run(ctx, Options{Points: 100000, Seed: 3, Workers: 2, Only: -1, Out: &out})
	if err == nil || strings.Contains(out.String(), "\n100000 passed") {
		t.Errorf("%v\n%s", err, out.String())
	}
	if mounts, _ := os.ReadFile("/proc/self/mounts"); strings.Contains(string(mounts), "mohr-powercut") {
		t.Errorf("left behind:\n%s", mounts)
	}
}

// victimVariable makes the test binary a run without end, to be killed.
const victimVariable = "MOHR_POWERCUT_VICTIM"

// A run that is killed at any moment leaves no loop device and no process.
func TestKilled(t *testing.T) {
	needDisks(t)
	for _, after := range []time.Duration{300 * time.Millisecond, 1500 * time.Millisecond, 2200 * time.Millisecond} {
		dir := t.TempDir()
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{victimVariable + "=" + dir, "PATH=" + os.Getenv("PATH")}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.WaitDelay = time.Second
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after)
		cmd.Process.Kill()
		cmd.Wait()
		left := loops(t, dir)
		for n := 0; len(left) > 0 && n < 1200; n++ {
			time.Sleep(50 * time.Millisecond)
			left = loops(t, dir)
		}
		if len(left) > 0 || !strings.HasPrefix(cmd.ProcessState.String(), "signal: killed") {
			t.Fatalf("killed after %v: %v is left; %v\n%s", after, left, cmd.ProcessState, out.String())
		}
	}
}

// loops are the loop devices on files below dir.
func loops(t *testing.T, dir string) (out []string) {
	t.Helper()
	names, err := filepath.Glob("/dev/loop[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		info, err := unix.IoctlLoopGetStatus64(int(f.Fd()))
		f.Close()
		if err == nil && strings.Contains(unix.ByteSliceToString(info.File_name[:]), dir) {
			out = append(out, name)
		}
	}
	return out
}

// A worker that dies is a bad point, not the end of the run.
func TestWorkerDies(t *testing.T) {
	needDisks(t)
	s, err := newSite(1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	b := s.benches[0]
	r := &recording{}
	if err := b.record(r, disk.Features); err != nil {
		t.Fatal(err)
	}
	end := len(r.Log.Events)
	p := point{Row: honest, Cut: disk.Cut{At: end}}
	for _, kill := range []bool{false, true, false} {
		if kill {
			b.worker.cmd.Process.Kill()
		}
		v, err := b.try(r, p)
		if err != nil || (v.Outcome == Bad) != kill {
			t.Fatalf("killed %v: %+v, %v", kill, v, err)
		}
	}
}

// A power cut in the middle of the superblock's write, at every sector, when the
// file system is mounted again: why the ext4 has no metadata_csum.
func TestTornSuperblock(t *testing.T) {
	needDisks(t)
	for _, c := range []struct {
		features string
		mounts   bool
	}{{disk.Features, true}, {"metadata_csum", false}} {
		t.Run(c.features, func(t *testing.T) {
			s, err := newSite(1, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			b := s.benches[0]
			r := &recording{}
			if err := b.record(r, c.features); err != nil {
				t.Fatal(err)
			}
			end := len(r.Log.Events)
			image, _ := r.Log.Rebuild(disk.Cut{At: end})
			b.disk.Load(image)
			b.disk.Record()
			if res, err := b.do(order{Notes: r.known(end)}); err != nil || res.Outcome != Good {
				t.Fatalf("%+v, %v", res, err)
			}
			mount := b.disk.Stop()
			image, tried, failed := mount.Base.Clone(), 0, 0
			for _, e := range mount.Events {
				if e.Kind == disk.Note {
					break
				}
				for torn := disk.SectorSize; e.Kind == disk.Write && e.Off == 0 && torn < len(e.Data) && torn <= 2048; torn += disk.SectorSize {
					cut := image.Clone()
					if _, err := cut.WriteAt(e.Data[:torn], 0); err != nil {
						t.Fatal(err)
					}
					b.disk.Load(cut)
					res, err := b.do(order{Notes: r.known(end)})
					if tried++; err != nil || res.Outcome == Bad || res.Outcome == Refused {
						t.Fatalf("torn at %d: %+v, %v", torn, res, err)
					}
					if res.Outcome == NoMount {
						failed++
					}
				}
				if e.Kind == disk.Write {
					if _, err := image.WriteAt(e.Data, e.Off); err != nil {
						t.Fatal(err)
					}
				}
			}
			t.Logf("%d of %d torn superblocks do not mount", failed, tried)
			if tried == 0 || (failed == 0) != c.mounts {
				t.Errorf("%d of %d torn superblocks do not mount", failed, tried)
			}
		})
	}
}
