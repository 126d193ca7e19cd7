package journal

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain is also the child that is killed, and the stranger who may not
// write.
func TestMain(m *testing.M) {
	switch dir := os.Getenv("JOURNAL_TEST_DIR"); os.Getenv("JOURNAL_TEST_CHILD") {
	case "append":
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "open":
		_, errOpen := Open(dir, Options{})
		_, errCreate := Create(dir+"2", small)
		fmt.Println(errOpen)
		fmt.Println(errCreate)
	case "mounted":
		if err := mounted(dir); err != nil {
			fmt.Println(err)
		}
	case "ext4":
		if err := ext4(dir); err != nil {
			fmt.Println(err)
		}
	default:
		os.Exit(m.Run())
	}
}

// child appends until it is killed, and says what is acknowledged.
func child(dir string) error {
	j, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	for seq, _ := j.Head(); ; {
		if _, err := j.Append(payload(seq + 1)); err != nil {
			return err
		}
		seq++
		fmt.Println(seq)
	}
}

func start(t *testing.T, what, dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "JOURNAL_TEST_CHILD="+what, "JOURNAL_TEST_DIR="+dir,
		"GORACE=atexit_sleep_ms=0") // or the race detector waits a second at its end
	cmd.Stderr = os.Stderr
	return cmd
}

// kill -9 at random moments: the page cache survives, so this proves only
// that Open copes with what a killed process leaves, lock included.
func TestKill(t *testing.T) {
	t.Parallel()
	big := small
	big.Segments = 60
	j, dir := create(t, big)
	j.Close()
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	acked, healed := uint64(0), 0
	for range 12 {
		cmd := start(t, "append", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop := uint64(1 + r.IntN(20))
		lines, n := bufio.NewScanner(out), uint64(0)
		for lines.Scan() {
			if acked, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
				t.Fatalf("child says %q", lines.Text())
			}
			if n++; n == 1 { // a slow machine reaches the time before the number
				time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
			}
			if n == stop {
				time.Sleep(time.Duration(r.IntN(2000)) * time.Microsecond)
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		if n == 0 {
			t.Fatal("child acknowledged nothing")
		}
		j := reopen(t, dir, Options{})
		seq, _ := j.Head()
		if seq < acked || seq > acked+1 {
			t.Fatalf("%d records, %d acknowledged", seq, acked)
		}
		if err := intact(j, seq); err != nil {
			t.Fatal(err)
		}
		healed += len(j.Healed())
		j.Close()
	}
	t.Logf("%d records, %d healings", acked, healed)
}

// A folder that belongs to somebody else.
func TestNotOurs(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to become somebody else")
	}
	j, dir := create(t, small)
	j.Close()
	for p := filepath.Dir(dir); p != os.TempDir() && p != "/"; p = filepath.Dir(p) {
		os.Chmod(p, 0o755)
	}
	for _, mode := range []os.FileMode{0o700, 0o755} {
		os.Chmod(dir, mode)
		exe := filepath.Join(filepath.Dir(dir), "child")
		b, err := os.ReadFile(os.Args[0])
		if err == nil {
			err = os.WriteFile(exe, b, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
		cmd := start(t, "open", dir)
		cmd.Path, cmd.Dir = exe, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("journal: open %s: read-only: open %[1]s", dir)
		want2 := fmt.Sprintf("journal: create %s2: read-only: mkdir %[1]s2.new: permission denied\n", dir)
		if got := string(out); len(got) < len(want)+len(want2) || got[:len(want)] != want || got[len(got)-len(want2):] != want2 {
			t.Errorf("mode %v: %s", mode, got)
		}
	}
}

// mounted runs in a mount namespace of its own: a file system that is too
// small, and one that turns read-only.
func mounted(dir string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		return err
	}
	name := filepath.Join(dir, "journal")
	if _, err := Create(name, small); !errors.Is(err, ErrFull) {
		return fmt.Errorf("create on a small disk: %w", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		return fmt.Errorf("left behind: %v", left)
	}
	less := small
	less.Segments = 1
	j, err := Create(name, less)
	if err != nil {
		return err
	}
	if _, err := j.Append(payload(1)); err != nil {
		return err
	}
	j.Close()
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return err
	}
	if _, err := Open(name, Options{}); !errors.Is(err, ErrReadOnly) {
		return fmt.Errorf("open read-only: %w", err)
	}
	if _, err := Create(name+"2", less); !errors.Is(err, ErrReadOnly) {
		return fmt.Errorf("create read-only: %w", err)
	}
	if j, err = Open(name, Options{ReadOnly: true}); err != nil {
		return err
	}
	return intact(j, 1)
}

func TestMounted(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount")
	}
	cmd := start(t, "mounted", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.Output()
	// EINVAL: in a chroot, "/" is no mount point that could be made private.
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL) || strings.Contains(string(out), "operation not permitted") {
		t.Skipf("SKIPPED: may not mount here: %v %s", err, out)
	}
	if err != nil || len(out) > 0 {
		t.Errorf("%v %s", err, out)
	}
}
