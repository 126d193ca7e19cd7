package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestMain is also the child with a store.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childFlag {
		main()
		return
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // or each child waits a second at its end
	os.Exit(m.Run())
}

// memory is a folder where nothing waits for a disk, if there is such a place.
func memory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "peers")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// The commands run; what they measure is nobody's business here.
func TestCommands(t *testing.T) {
	defer func(n int) { damaged = n }(damaged)
	damaged = 20
	for _, args := range [][]string{
		{"bench", "-n", "3", "-rounds", "1"},
		{"damage", "-trials", "1"},
		{"year", "-records", "50"},
	} {
		if err := run(append(args, "-dir", memory(t))); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
	for _, args := range [][]string{nil, {"nothing"}, {"bench", "more"}} {
		if run(args) == nil {
			t.Errorf("%q: no error", args)
		}
	}
}

// Each store gives back what was put in, and the journal says that it healed.
func TestStores(t *testing.T) {
	for _, k := range kinds {
		dir := memory(t)
		if err := childFill(k, dir, 30); err != nil {
			t.Errorf("%s: %v", k.name, err)
			continue
		}
		v, died, err := readStore(k, dir, 30)
		if err != nil || died != "" || v.Right != 30 || judge(v, died) != "no effect" {
			t.Errorf("%s: %+v %s %v", k.name, v, died, err)
		}
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		v    verdict
		died string
		want string
	}{
		{verdict{Right: 9}, "", "no effect"},
		{verdict{Right: 9, Healed: 1}, "", "healed"},
		{verdict{Right: 8, Missing: 1, Healed: 1}, "", "lost quietly"},
		{verdict{Right: 8, Missing: 1, Err: "x"}, "", "refused"},
		{verdict{Right: 8, Wrong: 1, Err: "x"}, "", "wrong data, no error"},
		{verdict{Right: 9}, "signal: bus error", "crash"},
	} {
		if got := judge(c.v, c.died); got != c.want {
			t.Errorf("%+v: %s, want %s", c.v, got, c.want)
		}
	}
}

// No program of the kiosk is linked with what the journal is compared with.
func TestNotInProducts(t *testing.T) {
	for _, program := range []string{"kioskd", "syncd", "tokend", "mohrctl"} {
		out, err := exec.Command("go", "list", "-deps", "mohr.internal/appliance/"+program).Output()
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(strings.Fields(string(out)), func(dep string) bool {
			return strings.HasPrefix(dep, "go.etcd.io/bbolt") || strings.HasPrefix(dep, "modernc.org/") || strings.HasSuffix(dep, "journal/peers")
		}); i >= 0 {
			t.Errorf("%s is linked with %s", program, strings.Fields(string(out))[i])
		}
	}
}
