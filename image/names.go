package image

import (
	_ "embed"
	"fmt"
	"path"
	"slices"
	"strings"
)

// The files of the root, one name a line; "*" stands for the characters of one name.
//
//go:embed root.txt
var rootNames string

// maybe is the one file that depends on the building machine: gokrazy copies it if it
// is there. Nothing in the image reads it.
const maybe = "etc/localtime"

// Names returns the patterns that the root's file names must match.
func (i Instance) Names() []string {
	var out []string
	for line := range strings.Lines(rootNames) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		only, name, found := strings.Cut(line, " ")
		if !found {
			name = only
		} else if only != i.Name {
			continue
		}
		name = strings.ReplaceAll(name, "TRIPLET", i.Arch.Triplet)
		out = append(out, strings.ReplaceAll(name, "LOADER", i.Arch.Loader))
	}
	return out
}

// CheckNames compares the files of a root with the list: none too many, none too few.
// more are names that are there besides, such as vendors' modules.
func (i Instance) CheckNames(names, more []string) error {
	var problems []string
	used := map[string]bool{}
	for _, n := range names {
		if slices.Contains(more, n) {
			used[n] = true
			continue
		}
		found := false
		for _, p := range i.Names() {
			if match(p, n) {
				used[p], found = true, true
			}
		}
		if !found {
			problems = append(problems, n+" is not expected")
		}
	}
	for _, p := range append(i.Names(), more...) {
		if !used[p] && p != maybe {
			problems = append(problems, p+" is missing")
		}
	}
	if len(problems) == 0 {
		return nil
	}
	slices.Sort(problems)
	return fmt.Errorf("the root differs from image/root.txt:\n%s", strings.Join(problems, "\n"))
}

// match is path.Match, but a pattern ending in /** takes everything below.
func match(pattern, name string) bool {
	if dir, ok := strings.CutSuffix(pattern, "/**"); ok {
		return strings.HasPrefix(name, dir+"/")
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}
