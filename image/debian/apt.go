package debian

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
)

// Apt runs the machine's apt for one architecture, in a state folder of its own.
type Apt struct {
	Dir  string // its state; made if missing
	Arch string

	updated bool
}

func (a *Apt) options() []string {
	opt := func(k, v string) string { return k + "=" + v }
	var out []string
	for _, o := range []string{
		opt("Dir::State", filepath.Join(a.Dir, "state")),
		opt("Dir::State::status", filepath.Join(a.Dir, "status")), // empty: nothing is installed
		opt("Dir::Cache", filepath.Join(a.Dir, "cache")),
		opt("APT::Architecture", a.Arch),
		opt("APT::Architectures::", a.Arch),
		opt("APT::Sandbox::User", "root"), // for root: _apt may not enter a user's folder
		opt("Acquire::Languages", "none"),
		opt("Acquire::IndexTargets::deb::DEP-11::DefaultEnabled", "false"),
		opt("Acquire::Retries", "3"),
	} {
		out = append(out, "-o", o)
	}
	return out
}

func (a *Apt) run(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "apt-get", append(a.options(), args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("apt-get %s: %w\n%s", args[0], err, strings.TrimSpace(errs.String()))
	}
	return out.Bytes(), nil
}

// update fetches the indexes, once.
func (a *Apt) update(ctx context.Context) error {
	if a.updated {
		return nil
	}
	for _, d := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.Dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(a.Dir, "status"), nil, 0o644); err != nil {
		return err
	}
	if _, err := a.run(ctx, a.Dir, "update", "-q"); err != nil {
		return err
	}
	a.updated = true
	return nil
}

// offered is what the mirrors have now.
type offered struct {
	version, sha256, file string
}

var uriLine = regexp.MustCompile(`^'[^']+' (\S+) [0-9]+ SHA256:([0-9a-f]{64})$`)

// parseURIs reads what "apt-get download --print-uris" prints: one line per package,
// 'address' file size hash. The version in a file's name has no epoch.
func parseURIs(out string) (map[string]offered, error) {
	m := map[string]offered{}
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "'") {
			continue
		}
		f := uriLine.FindStringSubmatch(line)
		if f == nil {
			return nil, fmt.Errorf("apt-get download: %q has no SHA-256", line)
		}
		part := strings.Split(strings.TrimSuffix(f[1], ".deb"), "_")
		if len(part) != 3 {
			return nil, fmt.Errorf("apt-get download: %q is not name_version_arch.deb", f[1])
		}
		m[part[0]] = offered{version: strings.ReplaceAll(part[1], "%3a", ":"), sha256: f[2], file: f[1]}
	}
	return m, nil
}

// Newest is a lock of the newest version of each name that the mirrors have for the
// architecture.
func (a *Apt) Newest(ctx context.Context, names []string) (Lock, error) {
	if err := a.update(ctx); err != nil {
		return nil, err
	}
	out, err := a.run(ctx, a.Dir, append([]string{"download", "--print-uris"}, names...)...)
	if err != nil {
		return nil, err
	}
	have, err := parseURIs(string(out))
	if err != nil {
		return nil, err
	}
	var l Lock
	for _, n := range names {
		o, ok := have[n]
		if !ok {
			return nil, fmt.Errorf("%s:%s: not on the mirrors", n, a.Arch)
		}
		l = append(l, Package{Name: n, Version: o.version, Arch: a.Arch, SHA256: o.sha256})
	}
	return l, nil
}

// ErrGone is a locked version that the mirrors no longer have.
var ErrGone = errors.New("no longer on the mirrors")

// download gets the packages into dir. It returns their files, by package name, also
// with an error: some of them may have come.
func (a *Apt) download(ctx context.Context, dir string, list []Package) (map[string]string, error) {
	if err := a.update(ctx); err != nil {
		return nil, err
	}
	var want []string
	for _, p := range list {
		want = append(want, p.Name+"="+p.Version)
	}
	out, err := a.run(ctx, a.Dir, append([]string{"download", "--print-uris"}, want...)...)
	if err != nil {
		return nil, a.explain(ctx, want, err)
	}
	have, err := parseURIs(string(out))
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, p := range list {
		o, ok := have[p.Name]
		if !ok {
			return nil, fmt.Errorf("%s=%s:%s: apt-get names no file", p.Name, p.Version, a.Arch)
		}
		files[p.Name] = filepath.Join(dir, o.file)
	}
	_, err = a.run(ctx, dir, append([]string{"download", "-q"}, want...)...)
	return files, err
}

// explain finds out which of the wanted versions cannot be had.
func (a *Apt) explain(ctx context.Context, want []string, err error) error {
	var gone []string
	for _, w := range want {
		if _, err := a.run(ctx, a.Dir, "download", "--print-uris", w); err != nil {
			gone = append(gone, w+":"+a.Arch)
		}
	}
	if len(gone) == 0 {
		return err
	}
	return fmt.Errorf("%s: %w. Where Debian has replaced a version, refresh the lock (go run ./image/build -update-lock), "+
		"look at what changed and commit it", strings.Join(gone, ", "), ErrGone)
}
