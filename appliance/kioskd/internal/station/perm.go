package station

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mohr.internal/appliance/config"
	"mohr.internal/kiosk"
)

// Rules of the partition that holds everything this terminal must not lose. They are
// looked at in this order.
const (
	RulePermMissing    = "PERM-MISSING"     // no such folder
	RulePermNotMounted = "PERM-NOT-MOUNTED" // a folder only: no file system, or one that it could not mount
	RulePermReadOnly   = "PERM-READONLY"    // also one that the kernel made read-only after an error
	RulePermFull       = "PERM-FULL"
	RulePermSite       = "PERM-SITE" // no usable configuration on it
)

const (
	permCheck = 2 * time.Second
	permFree  = 1 << 20 // bytes that must be free; the journal has its room from the start
	maxMounts = 1 << 20 // bytes of mountinfo
)

// Perm watches the partition at Dir without ever writing to it.
type Perm struct {
	Dir string

	mounts func() ([]byte, error)                           // nil: this process's own
	statfs func(path string, st *unix.Statfs_t) (err error) // nil: the real one
}

// Check says what is wrong with the partition, by rule.
func (p *Perm) Check() error {
	fail := func(rule, format string, args ...any) error {
		return &kiosk.Refusal{Rule: rule, Err: fmt.Errorf("station: %s: "+format, append([]any{p.Dir}, args...)...)}
	}
	var st unix.Stat_t
	if err := unix.Stat(p.Dir, &st); err != nil {
		return fail(RulePermMissing, "%w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return fail(RulePermMissing, "is no folder")
	}
	mounts := p.mounts
	if mounts == nil {
		mounts = ownMounts
	}
	info, err := mounts()
	if err != nil {
		return fail(RulePermNotMounted, "%w", err)
	}
	m, ok := findMount(info, p.Dir)
	switch {
	case !ok:
		return fail(RulePermNotMounted, "is not a mount")
	case m.device != fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)):
		return fail(RulePermNotMounted, "another file system (%s) is mounted over device %s", m.kind, m.device)
	case m.kind == "tmpfs" || m.kind == "ramfs":
		return fail(RulePermNotMounted, "is a %s, which forgets", m.kind)
	case m.readOnly():
		return fail(RulePermReadOnly, "is mounted %s, %s", m.options, m.super)
	}
	statfs := p.statfs
	if statfs == nil {
		statfs = unix.Statfs
	}
	var fs unix.Statfs_t
	if err := statfs(p.Dir, &fs); err != nil {
		return fail(RulePermNotMounted, "%w", err)
	}
	if free := fs.Bavail * uint64(max(fs.Bsize, 1)); free < permFree || fs.Files > 0 && fs.Ffree == 0 {
		return fail(RulePermFull, "%d bytes and %d files are free", free, fs.Ffree)
	}
	return nil
}

// mount is one line of mountinfo (proc_pid_mountinfo(5)).
type mount struct{ device, kind, options, super string }

// readOnly says whether writing fails. A file system that met an error in its data is
// still mounted rw, but its own options say ro, or emergency_ro in newer kernels.
func (m mount) readOnly() bool {
	has := func(list, option string) bool { return slices.Contains(strings.Split(list, ","), option) }
	return has(m.options, "ro") || has(m.super, "ro") || has(m.super, "emergency_ro") || has(m.super, "shutdown")
}

func ownMounts() ([]byte, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxMounts))
}

// findMount returns what is mounted at a folder: the last line counts, as it lies on
// top.
func findMount(info []byte, dir string) (m mount, ok bool) {
	lines := bufio.NewScanner(bytes.NewReader(info))
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		at, how := strings.Fields(before), strings.Fields(after)
		if len(at) >= 6 && len(how) >= 3 && unescape.Replace(at[4]) == dir {
			m, ok = mount{device: at[2], options: at[5], kind: how[0], super: how[2]}, true
		}
	}
	return m, ok
}

// unescape undoes what mountinfo does to spaces in names.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// Site says whether a configuration keeps all state on the partition and belongs on
// this appliance.
func (p *Perm) Site(c *config.Kioskd, screen config.Panel) error {
	fail := func(key, format string, args ...any) error {
		return &kiosk.Refusal{Rule: RulePermSite, Err: &config.KeyError{Key: key, Problem: fmt.Sprintf(format, args...)}}
	}
	within := func(dir, path string) bool {
		rel, err := filepath.Rel(dir, path)
		return err == nil && filepath.IsLocal(rel)
	}
	switch {
	case !within(p.Dir, c.Perm):
		return fail("perm", "%q is not on %s", c.Perm, p.Dir)
	case !within(c.Perm, c.Journal.Dir):
		return fail("journal.dir", "%q is not in %s", c.Journal.Dir, c.Perm)
	case c.Panel.Kind != screen.Kind || c.Panel.Path != screen.Path:
		return fail("panel", "%s %s, but the appliance's screen is %s %s", c.Panel.Kind, c.Panel.Path, screen.Kind, screen.Path)
	}
	return nil
}

// watch ends a life of the station when the partition can no longer be used. It does
// so between two citizens: one who is being served is told by the ceremony itself,
// when the journal does not take the next record, and a receipt stays up.
func (p *Perm) watch(ctx context.Context, between func() bool, end func(error), log *slog.Logger) {
	tick := time.NewTicker(permCheck)
	defer tick.Stop()
	var said string
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := p.Check()
		if err == nil {
			said = ""
			continue
		}
		if err.Error() != said {
			said = err.Error()
			log.Error("partition", "err", err)
		}
		if between() {
			end(err)
			return
		}
	}
}

// asSite makes an error of reading the configuration one of the partition.
func asSite(err error) error {
	var refusal *kiosk.Refusal
	if err == nil || errors.As(err, &refusal) {
		return err
	}
	return &kiosk.Refusal{Rule: RulePermSite, Err: err}
}
