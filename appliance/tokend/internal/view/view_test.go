package view

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// alone runs f on a thread of its own, as Private needs it.
func alone(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		err := Private()
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; errors.Is(err, unix.EPERM) {
		t.Skipf("SKIPPED: mount namespaces want root: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, pattern string) (all []string) {
	t.Helper()
	hits, err := filepath.Glob(pattern)
	if err != nil {
		t.Error(err)
	}
	for _, hit := range hits {
		all = append(all, filepath.Base(hit))
	}
	return all
}

// Of two devices the thread sees one, and can open it; all others see both.
func TestOnly(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "001/002"), filepath.Join(dir, "001/003")
	if err := os.Mkdir(filepath.Dir(one), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, node := range []string{one, two} {
		if err := unix.Mknod(node, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil { // null
			t.Skipf("SKIPPED: no device nodes here: %v", err)
		}
	}
	alone(t, func() error {
		if err := Only(dir, two); err != nil {
			return err
		}
		if got := names(t, dir+"/*/*"); !slices.Equal(got, []string{"003"}) {
			t.Errorf("sees %q", got)
		}
		if _, err := os.Stat(one); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the other one: %v", err)
		}
		f, err := os.OpenFile(two, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return f.Close()
	})
	if got := names(t, dir+"/*/*"); !slices.Equal(got, []string{"002", "003"}) {
		t.Errorf("others see %q", got)
	}
	alone(t, func() error {
		if err := Only(dir); err != nil {
			return err
		}
		if got := names(t, dir+"/*"); got != nil {
			t.Errorf("sees %q", got)
		}
		return nil
	})
}

// A node that is not there, or is none, is an error and hides nothing.
func TestOnlyRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, node := range []string{file, filepath.Join(dir, "none")} {
		if err := Only(dir, node); err == nil {
			t.Errorf("%s taken", node)
		}
	}
}

func TestBind(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	for _, d := range []string{from, to} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	alone(t, func() error {
		if err := Bind(from, to); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, "socket"), nil, 0o600)
	})
	if got := names(t, to+"/*"); got != nil {
		t.Errorf("others see %q", got)
	}
	if got := names(t, from+"/*"); !slices.Equal(got, []string{"socket"}) {
		t.Errorf("what was made is %q", got)
	}
}
