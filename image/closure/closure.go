// Package closure checks, before an image is built, that every ELF file in it will
// find what it needs when it is loaded there: its libraries (DT_NEEDED), the symbol
// versions it wants of them (the .gnu.version_r section), and its loader. In an image
// without a package manager a library that is missing shows only at run time, at the
// counter.
//
// It follows ld.so(8) as far as Debian's loader does without a cache: DT_RUNPATH and
// DT_RPATH with $ORIGIN, then the built-in folders. What is loaded by name (dlopen)
// cannot be seen; the caller gives these names.
package closure

import (
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// File is a file of the image.
type File struct {
	Name string // in the image, without a leading slash
	Host string // content on this machine, unless it is a link
	Link string
}

// Target is the machine that the image is for.
type Target struct {
	Machine elf.Machine
	Triplet string
	Loader  string // path of the dynamic loader; under its own name it is always loaded
}

// object is what matters of one ELF file.
type object struct {
	interp  string
	needed  []string
	runpath []string
	wants   map[string][]string // by library: symbol versions
	has     map[string]bool     // symbol versions that it defines
}

// Check returns what is wrong, one sentence each, sorted; nothing if the files are
// complete. byName are libraries that must be there though no file names them.
func Check(target Target, files []File, byName []string) ([]string, error) {
	c := checker{target: target, files: map[string]File{}, objects: map[string]*object{}}
	for _, f := range files {
		c.files[f.Name] = f
	}
	for _, f := range files {
		if f.Link != "" {
			continue
		}
		src, err := os.Open(f.Host)
		if err != nil {
			return nil, err
		}
		o, problem := read(target, src)
		src.Close()
		if problem != "" {
			c.bad("%s: %s", f.Name, problem)
		}
		if o != nil {
			c.objects[f.Name] = o
		}
	}
	for name, o := range c.objects {
		c.check(name, o)
	}
	for _, n := range byName {
		if c.find(n, nil) == "" {
			c.bad("%s is missing; it is loaded by name", n)
		}
	}
	slices.Sort(c.problems)
	return slices.Compact(c.problems), nil
}

type checker struct {
	target   Target
	files    map[string]File
	objects  map[string]*object
	problems []string
}

func (c *checker) bad(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

func (c *checker) check(name string, o *object) {
	if o.interp != "" && c.follow(strings.TrimPrefix(o.interp, "/")) == "" {
		c.bad("%s: its loader %s is missing", name, o.interp)
	}
	for _, lib := range o.needed {
		found := c.find(lib, expand(o.runpath, path.Dir(name)))
		if found == "" {
			c.bad("%s: needs %s, which is not in the image", name, lib)
			continue
		}
		for _, v := range o.wants[lib] {
			if !c.objects[found].has[v] {
				c.bad("%s: needs %s with version %s, which the image's does not have", name, lib, v)
			}
		}
	}
}

// find returns the name of the ELF file that the loader would take for lib, or "".
func (c *checker) find(lib string, first []string) string {
	if lib == path.Base(c.target.Loader) && c.objects[c.target.Loader] != nil {
		return c.target.Loader
	}
	t := c.target.Triplet
	for _, dir := range append(first, "lib/"+t, "usr/lib/"+t, "lib", "usr/lib") {
		if name := c.follow(path.Join(dir, lib)); name != "" && c.objects[name] != nil {
			return name
		}
	}
	return ""
}

// follow returns the name of the regular file behind name, or "".
func (c *checker) follow(name string) string {
	for range 8 {
		f, ok := c.files[name]
		if !ok {
			return ""
		}
		if f.Link == "" {
			return name
		}
		if path.IsAbs(f.Link) {
			name = path.Clean(f.Link)[1:]
		} else {
			name = path.Join(path.Dir(name), f.Link)
		}
	}
	return ""
}

func expand(runpath []string, origin string) []string {
	var out []string
	for _, list := range runpath {
		for dir := range strings.SplitSeq(list, ":") {
			dir = strings.ReplaceAll(strings.ReplaceAll(dir, "${ORIGIN}", "$ORIGIN"), "$ORIGIN", "/"+origin)
			if path.IsAbs(dir) {
				out = append(out, path.Clean(dir)[1:])
			}
		}
	}
	return out
}

// read returns nil for a file that is not ELF.
func read(target Target, src io.ReaderAt) (_ *object, problem string) {
	magic := make([]byte, len(elf.ELFMAG))
	if n, _ := src.ReadAt(magic, 0); n < len(magic) || string(magic) != elf.ELFMAG {
		return nil, ""
	}
	f, err := elf.NewFile(src)
	if err != nil {
		return nil, fmt.Sprintf("not a readable ELF file: %v", err)
	}
	if f.Machine != target.Machine || f.Class != elf.ELFCLASS64 || f.Data != elf.ELFDATA2LSB {
		return nil, fmt.Sprintf("is built for %s %s, the image is %s", f.Class, f.Machine, target.Machine)
	}
	o, err := inspect(f)
	if err != nil {
		return nil, fmt.Sprintf("not a readable ELF file: %v", err)
	}
	return o, ""
}

// Static tells whether an ELF file runs without a loader and without libraries.
func Static(host string) (bool, error) {
	f, err := elf.Open(host)
	if err != nil {
		return false, err
	}
	defer f.Close()
	o, err := inspect(f)
	if err != nil {
		return false, fmt.Errorf("%s: %w", host, err)
	}
	return o.interp == "" && len(o.needed) == 0, nil
}

func inspect(f *elf.File) (*object, error) {
	o := &object{wants: map[string][]string{}, has: map[string]bool{}}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP && p.Filesz < 4096 {
			b := make([]byte, p.Filesz)
			if _, err := p.ReadAt(b, 0); err != nil {
				return nil, err
			}
			o.interp = strings.TrimRight(string(b), "\x00")
		}
	}
	if f.SectionByType(elf.SHT_DYNAMIC) == nil {
		return o, nil // static
	}
	var err error
	if o.needed, err = f.ImportedLibraries(); err != nil {
		return nil, err
	}
	for _, tag := range []elf.DynTag{elf.DT_RUNPATH, elf.DT_RPATH} {
		paths, err := f.DynString(tag)
		if err != nil {
			return nil, err
		}
		o.runpath = append(o.runpath, paths...)
	}
	if f.SectionByType(elf.SHT_GNU_VERNEED) != nil {
		needs, err := f.DynamicVersionNeeds()
		if err != nil {
			return nil, err
		}
		for _, n := range needs {
			for _, d := range n.Needs {
				if d.Flags&elf.VER_FLG_WEAK == 0 {
					o.wants[n.Name] = append(o.wants[n.Name], d.Dep)
				}
			}
		}
	}
	if f.SectionByType(elf.SHT_GNU_VERDEF) != nil {
		defs, err := f.DynamicVersions()
		if err != nil {
			return nil, err
		}
		for _, d := range defs {
			o.has[d.Name] = true
		}
	}
	return o, nil
}
