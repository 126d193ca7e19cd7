package station

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/desk"
	"mohr.internal/display"
	"mohr.internal/display/panel"
	"mohr.internal/kiosk"
	"mohr.internal/kiosk/words"
)

// Each way in which the partition can be unfit has its rule, and a fit one has none.
func TestPermCheck(t *testing.T) {
	dir := t.TempDir()
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	device := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	root := "1 0 0:2 / / ro,relatime - squashfs /dev/root ro\n"
	line := func(device, at, options, kind, super string) string {
		return fmt.Sprintf("30 1 %s / %s %s shared:1 - %s /dev/mmcblk0p4 %s\n", device, at, options, kind, super)
	}
	good := root + line(device, dir, "rw,relatime", "ext4", "rw,data=ordered")
	room := unix.Statfs_t{Bsize: 4096, Bavail: 1000, Files: 100, Ffree: 10}
	for _, row := range []struct {
		name, dir, mounts string
		fs                unix.Statfs_t
		want              string
	}{
		{"good", dir, good, room, ""},
		{"file system without inodes", dir, good, unix.Statfs_t{Bsize: 4096, Bavail: 1000}, ""},
		{"exactly enough", dir, good, unix.Statfs_t{Bsize: 4096, Bavail: 256}, ""},
		{"no folder", dir + "/none", good, room, RulePermMissing},
		{"a file", file, good, room, RulePermMissing},
		{"only a folder", dir, root, room, RulePermNotMounted},
		{"no mountinfo", dir, "", room, RulePermNotMounted},
		{"garbage", dir, "1 2 3\n\n - - -\n" + dir, room, RulePermNotMounted},
		{"mounted below", dir, root + line(device, dir+"/x", "rw", "ext4", "rw"), room, RulePermNotMounted},
		{"another device", dir, root + line("9:9", dir, "rw", "ext4", "rw"), room, RulePermNotMounted},
		{"in memory", dir, root + line(device, dir, "rw", "tmpfs", "rw"), room, RulePermNotMounted},
		{"mounted read-only", dir, root + line(device, dir, "ro,relatime", "ext4", "rw"), room, RulePermReadOnly},
		{"made read-only", dir, root + line(device, dir, "rw,relatime", "ext4", "ro,data=ordered"), room, RulePermReadOnly},
		{"made read-only, newer kernels", dir, root + line(device, dir, "rw", "ext4", "rw,emergency_ro"), room, RulePermReadOnly},
		{"read-only on top", dir, good + line(device, dir, "ro", "ext4", "rw"), room, RulePermReadOnly},
		{"an option that begins with ro", dir, root + line(device, dir, "rw,rootcontext=x", "ext4", "rw"), room, ""},
		{"full", dir, good, unix.Statfs_t{Bsize: 4096, Bavail: 255}, RulePermFull},
		{"no inode left", dir, good, unix.Statfs_t{Bsize: 4096, Bavail: 1000, Files: 100}, RulePermFull},
		{"no answer", dir, good, unix.Statfs_t{Type: -1}, RulePermNotMounted},
	} {
		p := Perm{
			Dir:    row.dir,
			mounts: func() ([]byte, error) { return []byte(row.mounts), nil },
			statfs: func(_ string, fs *unix.Statfs_t) error {
				if *fs = row.fs; row.fs.Type == -1 {
					return syscall.EIO
				}
				return nil
			},
		}
		if row.mounts == "" {
			p.mounts = func() ([]byte, error) { return nil, os.ErrNotExist }
		}
		err := p.Check()
		if got := troubleRule(err); err == nil && row.want != "" || err != nil && got != row.want {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}
}

// A name with a space is written \040 in mountinfo.
func TestFindMount(t *testing.T) {
	m, ok := findMount([]byte("30 1 8:4 / /a\\040b rw - ext4 /dev/sda4 rw\n"), "/a b")
	if want := (mount{"8:4", "ext4", "rw", "rw"}); !ok || m != want {
		t.Errorf("%+v, %v", m, ok)
	}
}

// Every rule of the partition has words.
func TestPermWords(t *testing.T) {
	for _, rule := range []string{RulePermMissing, RulePermNotMounted, RulePermReadOnly, RulePermFull, RulePermSite} {
		for _, lang := range words.Languages {
			if !words.In(lang).Has("why." + rule) {
				t.Errorf("%s: no words in %s", rule, lang)
			}
		}
	}
}

// A configuration that would keep state elsewhere is refused by its key.
func TestPermSite(t *testing.T) {
	screen := config.Panel{Kind: "framebuffer", Path: "/dev/fb0"}
	good := config.Kioskd{Perm: "/perm/mohr", Journal: config.Journal{Dir: "/perm/mohr/journal"}, Panel: screen}
	good.Panel.Keypad = &config.Keypad{Port: "1-3"}
	p := Perm{Dir: "/perm"}
	if err := p.Site(&good, screen); err != nil {
		t.Error(err)
	}
	for key, spoil := range map[string]func(*config.Kioskd){
		"perm":        func(c *config.Kioskd) { c.Perm = "/permanent" },
		"journal.dir": func(c *config.Kioskd) { c.Journal.Dir = "/perm/journal" },
		"panel":       func(c *config.Kioskd) { c.Panel = config.Panel{Kind: "socket", Path: "/run/panel"} },
	} {
		bad := good
		spoil(&bad)
		err := p.Site(&bad, screen)
		var k *config.KeyError
		if !errors.As(err, &k) || k.Key != key || troubleRule(err) != RulePermSite {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// The service ends between two citizens, not while one is served.
func TestPermWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Perm{Dir: "/nonexistent"}
		var mu sync.Mutex
		screen := "receipt"
		up := func(id string) { mu.Lock(); screen = id; mu.Unlock() }
		ended := make(chan error, 1)
		var out lockedBuffer
		go p.watch(t.Context(), func() bool { mu.Lock(); defer mu.Unlock(); return between(screen) },
			func(err error) { ended <- err }, slog.New(slog.NewTextHandler(&out, nil)))
		time.Sleep(time.Minute)
		if len(ended) > 0 {
			t.Error("ended with a receipt on the screen")
		}
		up(idleScreen)
		start := time.Now()
		if rule := troubleRule(<-ended); rule != RulePermMissing || time.Since(start) > permCheck {
			t.Errorf("%s after %v", rule, time.Since(start))
		}
		if n := strings.Count(out.String(), "partition"); n != 1 {
			t.Errorf("said %d times:\n%s", n, out.String())
		}
	})
}

// lockedBuffer takes the log of several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// wall is a panel that keeps what was shown.
type wall struct {
	events chan panel.Event
	mu     sync.Mutex
	shown  []display.Screen
}

func (w *wall) Show(s display.Screen, _ *display.Frame) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shown = append(w.shown, s)
	return nil
}

func (w *wall) Events() <-chan panel.Event { return w.events }
func (w *wall) Size() image.Point          { return image.Pt(800, 480) }
func (w *wall) Close() error               { return nil }

// rule is the one on the screen now, or else the screen's ID.
func (w *wall) rule() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.shown) == 0 {
		return ""
	}
	s := w.shown[len(w.shown)-1]
	if len(s.Facts) > 0 {
		return s.Facts[0].Value
	}
	return s.ID
}

func newRun(o Options) (*run, *wall) {
	w := &wall{events: make(chan panel.Event)}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &run{Options: o, panel: w, surface: NewSurface(w, o.Log, nil)}, w
}

// While nothing is known of the office the screen says what is wrong in one language
// after the other, and is drawn only when it changes; the log says it once.
func TestTroubleInBothLanguages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		r, w := newRun(Options{Perm: &Perm{Dir: "/nonexistent"}, Log: slog.New(slog.NewTextHandler(&out, nil))})
		ctx, cancel := context.WithTimeout(t.Context(), 4*troubleTurn*troubleWait-time.Millisecond)
		defer cancel()
		if err := r.lives(ctx); err != nil {
			t.Fatal(err)
		}
		var langs []string
		for _, s := range w.shown {
			langs = append(langs, s.Lang)
			if s.ID != "trouble" || s.Facts[0].Value != RulePermMissing {
				t.Errorf("%s: %s", s.ID, s.Text())
			}
		}
		if !slices.Equal(langs, []string{"fa", "en", "fa", "en"}) {
			t.Errorf("shown in %q", langs)
		}
		if n := strings.Count(out.String(), "out of service"); n != 1 {
			t.Errorf("said %d times", n)
		}
		close(w.events)
	})
}

// A whole station on a real ext4, with every other file system read-only: it serves,
// and says what is wrong as the partition is taken away, made read-only and filled.
func TestPermMounted(t *testing.T) {
	const child = "MOHR_PERM_MOUNTED"
	if dir := os.Getenv(child); dir != "" {
		permMounted(t, dir)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: what kioskd writes outside /perm; needs root, to mount")
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Skip("SKIPPED, NOT TESTED: what kioskd writes outside /perm; needs mkfs.ext4 (e2fsprogs): ", err)
	}
	dir := t.TempDir()
	place, err := desk.ProvisionSite(t.Context(), desk.SiteOptions{
		Dir: filepath.Join(dir, "place"), Time: time.Now(), CA: "http://127.0.0.1:9/cmp", Kinds: []desk.Kind{desk.Citizen, desk.Officer},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(place.Site(), "kioskd.json")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.ReplaceAll(b, []byte(desk.Perm), []byte(filepath.Join(dir, "perm/mohr")))
	b = bytes.ReplaceAll(b, []byte("/run/mohr/"), []byte(filepath.Join(dir, "run/mohr")+"/"))
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	tree := filepath.Join(dir, "tree")
	for _, d := range []string{tree, filepath.Join(dir, "perm"), filepath.Join(dir, "run"), filepath.Join(dir, "store")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(place.Site(), filepath.Join(tree, "mohr")); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "^metadata_csum", "-d", tree, filepath.Join(dir, "store/image"), "96M").CombinedOutput()
	if err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPermMounted$", "-test.v")
	cmd.Env = append(os.Environ(), child+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err = cmd.CombinedOutput()
	// EINVAL: in a chroot, "/" is no mount point that could be made private.
	if errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EINVAL) || bytes.Contains(out, []byte("SKIPPED")) {
		t.Skipf("SKIPPED, NOT TESTED: what kioskd writes outside /perm; may not mount here: %v\n%s", err, out)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// permMounted runs in a mount namespace of its own.
func permMounted(t *testing.T, dir string) {
	perm, runDir := filepath.Join(dir, "perm"), filepath.Join(dir, "run")
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	// The image is reached through a mount that is taken away again: what is open for
	// writing keeps its mount from becoming read-only.
	store := filepath.Join(dir, "store")
	if err := unix.Mount(store, store, "", unix.MS_BIND, ""); err != nil {
		t.Skip("SKIPPED: bind: ", err)
	}
	loop, err := exec.Command("losetup", "-f", "--show", filepath.Join(store, "image")).Output()
	if err != nil {
		t.Skip("SKIPPED: losetup: ", err)
	}
	device := strings.TrimSpace(string(loop))
	if err := unix.Mount(device, perm, "ext4", 0, "errors=remount-ro"); err != nil {
		exec.Command("losetup", "-d", device).Run()
		t.Skip("SKIPPED: ext4: ", err)
	}
	must("losetup -d", exec.Command("losetup", "-d", device).Run()) // goes by itself when nobody uses it
	must("umount", unix.Unmount(store, unix.MNT_DETACH))
	if err := unix.Mount("none", runDir, "tmpfs", 0, ""); err != nil {
		t.Skip("SKIPPED: tmpfs: ", err)
	}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		t.Skip("SKIPPED: mount_setattr: ", err)
	}
	for _, path := range []string{perm, runDir, "/sys"} {
		must("mount_setattr "+path, unix.MountSetattr(unix.AT_FDCWD, path, 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}))
	}
	for _, d := range []string{dir, os.TempDir(), "/", "/run"} {
		if f, err := os.CreateTemp(d, "x"); err == nil {
			t.Fatalf("%s can be written", f.Name())
		}
	}

	var out lockedBuffer
	screen := config.Panel{Kind: "framebuffer", Path: "/dev/fb0"}
	file := filepath.Join(perm, "mohr/kioskd.json")
	r, w := newRun(Options{
		Load:  func() (*config.Kioskd, error) { return config.LoadKioskd(file) },
		Panel: screen, Perm: &Perm{Dir: perm}, Log: slog.New(slog.NewTextHandler(io.MultiWriter(&out, os.Stderr), nil)),
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.lives(ctx) }()
	says := func(rule string) {
		t.Helper()
		for start := time.Now(); w.rule() != rule; time.Sleep(20 * time.Millisecond) {
			if time.Since(start) > time.Minute {
				t.Fatalf("on the screen: %q, want %q\n%s", w.rule(), rule, out.String())
			}
		}
	}
	const serving = kiosk.RuleTokensAway // there is no tokend
	says(serving)

	filler := filepath.Join(perm, "filler")
	f, err := os.Create(filler)
	must("filler", err)
	for chunk := make([]byte, 1<<20); err == nil; {
		_, err = f.Write(chunk)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	must("close", f.Close())
	says(RulePermFull)
	must("rename", os.Rename(file, file+".away"))
	must("remove", os.Remove(filler))
	says(RulePermSite)
	must("rename", os.Rename(file+".away", file))
	says(serving)

	// The kernel makes the file system read-only when it meets an error in it.
	must("trigger", os.WriteFile(filepath.Join("/sys/fs/ext4", filepath.Base(device), "trigger_fs_error"), []byte("a test"), 0))
	says(RulePermReadOnly)
	must("umount", unix.Unmount(perm, unix.MNT_DETACH))
	says(RulePermNotMounted)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
