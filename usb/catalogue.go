package usb

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Answer is yes, no or not known. Of arm64 modules, "no" means that none was
// found, not that none can exist.
type Answer string

const (
	Yes     Answer = "yes"
	No      Answer = "no"
	Unknown Answer = "?"
)

// Confidence in the ids of a model: H primary source, M one credible source,
// L a hint, ? none.
type Confidence string

// confidences in the order of trust.
var confidences = []Confidence{"H", "M", "L", "?"}

// Model is one row of the catalogue.
type Model struct {
	Name       string
	VID        uint16   // 0 = not known
	PIDs       []uint16 // none = not known; the model is then never matched
	Classes    ClassRule
	Others     []uint8  // classes of further interfaces the model is known to have, of no use here
	Modules    []string // PKCS#11 modules in the order to try: file names, or absolute paths
	PCSC       Answer   // reached through the PC/SC daemon
	ARM64      Answer   // a module for 64-bit ARM Linux is known
	Confidence Confidence
	Note       string
}

// ForeignTo says whether no machine of an architecture (as in GOARCH) can drive the
// model: there are modules, all of them for x86 processors.
func (m Model) ForeignTo(arch string) bool {
	return len(m.Modules) > 0 && m.ARM64 == No && arch != "amd64" && arch != "386"
}

// State says in words what a machine of an architecture makes of the model. "works"
// is said of modules that Debian has, and means neither that the module is
// installed nor that a physical token was tried.
func (m Model) State(arch string) string {
	debian := slices.ContainsFunc(m.Modules, func(name string) bool { return slices.Contains(debianModules, name) })
	switch {
	case m.Name == softHSM:
		return "software"
	case m.VID == 0 && slices.Equal(m.Classes.OneOf, []uint8{ClassCCID}):
		if debian {
			return "card, works"
		}
		return "card, needs vendor module"
	case m.VID == 0 || len(m.PIDs) == 0:
		return "unknown ID"
	case len(m.Modules) == 0:
		return "no module known"
	case m.ForeignTo(arch):
		return "x86 only"
	case debian && m.ARM64 == Yes:
		return "works"
	}
	return "needs vendor module"
}

const softHSM = "SoftHSM"

// debianModules are the modules that Debian packages for all architectures: of
// opensc-pkcs11 and ykcs11.
var debianModules = []string{"opensc-pkcs11.so", "libykcs11.so", "libykcs11.so.2"}

// ClassRule is what is known of a model's interface classes: one of OneOf must
// be there and Not must not; with both empty nothing is known and all pass.
type ClassRule struct {
	OneOf []uint8
	Not   []uint8
}

func (r ClassRule) match(d Device) bool {
	return (len(r.OneOf) == 0 || slices.ContainsFunc(r.OneOf, d.HasClass)) && !slices.ContainsFunc(r.Not, d.HasClass)
}

// Catalogue is the list of known models.
type Catalogue struct {
	version int
	models  []Model
}

//go:embed catalogue.csv
var catalogueCSV []byte

var builtIn = sync.OnceValues(func() (*Catalogue, error) { return LoadCatalogue(bytes.NewReader(catalogueCSV)) })

// BuiltIn returns the catalogue that is part of the program.
func BuiltIn() (*Catalogue, error) { return builtIn() }

// Version is the number in the catalogue's first line; a newer one has a higher one.
func (c *Catalogue) Version() int { return c.version }

// ErrOlder means that a catalogue is not newer than the one in use.
var ErrOlder = errors.New("usb: catalogue is not newer than the one in use")

// Newer reads a catalogue that came later, whose signature has been checked, and
// refuses one that is not newer.
func (c *Catalogue) Newer(file []byte) (*Catalogue, error) {
	other, err := LoadCatalogue(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	if other.version <= c.version {
		return nil, fmt.Errorf("%w: version %d, in use %d", ErrOlder, other.version, c.version)
	}
	return other, nil
}

// Models returns all rows, also those without USB ids.
func (c *Catalogue) Models() []Model { return slices.Clone(c.models) }

// Cards returns the row of a card that has no USB id of its own because it is used
// in a reader; none if there is no such row.
func (c *Catalogue) Cards(name string) []Model {
	for _, m := range c.models {
		if m.Name == name && m.VID == 0 && slices.Equal(m.Classes.OneOf, []uint8{ClassCCID}) {
			return []Model{m}
		}
	}
	return nil
}

// Lookup returns the models that d may be: same vendor and product id, and the
// interface classes agree. The most trusted row comes first. A device whose
// descriptors could not be read matches nothing.
func (c *Catalogue) Lookup(d Device) []Model {
	if d.VID == 0 || d.Problem != "" || len(d.Interfaces) == 0 {
		return nil
	}
	var found []Model
	for _, m := range c.models {
		if m.VID == d.VID && slices.Contains(m.PIDs, d.PID) && m.Classes.match(d) {
			found = append(found, m)
		}
	}
	slices.SortStableFunc(found, func(a, b Model) int {
		return slices.Index(confidences, a.Confidence) - slices.Index(confidences, b.Confidence)
	})
	return found
}

var header = []string{"model", "vid", "pids", "classes", "others", "modules", "pcsc", "arm64", "confidence", "note"}

// MaxCatalogue bounds a catalogue file.
const MaxCatalogue = 1 << 20

// LoadCatalogue reads a catalogue (CSV, RFC 4180; line 1 is "version" and its
// number, line 2 names the columns) and refuses it as a whole if a row is wrong; the error names the
// line. Lists in a cell are separated by one space, numbers are lower-case
// hexadecimal, "?" means not known. A class with "!" before it must be absent.
func LoadCatalogue(r io.Reader) (*Catalogue, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxCatalogue+1))
	if err != nil {
		return nil, fmt.Errorf("usb: catalogue: %w", err)
	}
	if len(data) > MaxCatalogue {
		return nil, fmt.Errorf("usb: catalogue: larger than %d bytes", MaxCatalogue)
	}
	cr := csv.NewReader(bytes.NewReader(data))
	cr.FieldsPerRecord = 2
	first, err := cr.Read()
	if err != nil {
		return nil, fmt.Errorf("usb: catalogue: %w", err)
	}
	version, err := strconv.Atoi(first[1])
	if first[0] != "version" || err != nil || version < 1 || strconv.Itoa(version) != first[1] {
		return nil, fmt.Errorf("usb: catalogue: line 1: %q, want version and its number", first)
	}
	cr.FieldsPerRecord = len(header)
	head, err := cr.Read()
	if err != nil {
		return nil, fmt.Errorf("usb: catalogue: %w", err)
	}
	if !slices.Equal(head, header) {
		return nil, fmt.Errorf("usb: catalogue: line 2: columns %q, want %q", head, header)
	}
	c := &Catalogue{version: version}
	names := map[string]bool{}
	for {
		rec, err := cr.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("usb: catalogue: %w", err)
		}
		line, _ := cr.FieldPos(0)
		m, err := parseModel(rec)
		if err == nil && names[m.Name] {
			err = errors.New("model given twice")
		}
		if err != nil {
			return nil, fmt.Errorf("usb: catalogue: line %d (%q): %w", line, rec[0], err)
		}
		names[m.Name] = true
		c.models = append(c.models, m)
	}
	if len(c.models) == 0 {
		return nil, errors.New("usb: catalogue: no rows")
	}
	return c, nil
}

func parseModel(rec []string) (Model, error) {
	m := Model{Name: rec[0], PCSC: Answer(rec[6]), ARM64: Answer(rec[7]), Confidence: Confidence(rec[8]), Note: rec[9]}
	if m.Name == "" || printable(m.Name) != m.Name {
		return Model{}, errors.New("model is empty or not printable")
	}
	if rec[1] != "" {
		v, err := hex(rec[1], 4)
		if err != nil || v == 0 {
			return Model{}, fmt.Errorf("vid %q is not four hexadecimal digits", rec[1])
		}
		m.VID = uint16(v)
	}
	for _, s := range split(rec[2]) {
		v, err := hex(s, 4)
		if err != nil {
			return Model{}, fmt.Errorf("pid %q is not four hexadecimal digits", s)
		}
		if slices.Contains(m.PIDs, uint16(v)) {
			return Model{}, fmt.Errorf("pid %q given twice", s)
		}
		m.PIDs = append(m.PIDs, uint16(v))
	}
	if m.VID == 0 && m.PIDs != nil {
		return Model{}, errors.New("pids without a vid")
	}
	if rec[3] != "?" {
		for _, s := range split(rec[3]) {
			digits, not := strings.CutPrefix(s, "!")
			v, err := hex(digits, 2)
			if err != nil {
				return Model{}, fmt.Errorf("class %q is not two hexadecimal digits", s)
			}
			if not {
				m.Classes.Not = append(m.Classes.Not, uint8(v))
			} else {
				m.Classes.OneOf = append(m.Classes.OneOf, uint8(v))
			}
		}
		if rec[3] == "" {
			return Model{}, errors.New("classes are empty; not known is \"?\"")
		}
	}
	for _, s := range split(rec[4]) {
		v, err := hex(s, 2)
		if err != nil || v == ClassHub {
			return Model{}, fmt.Errorf("other class %q is not two hexadecimal digits, or a hub", s)
		}
		m.Others = append(m.Others, uint8(v))
	}
	for _, s := range split(rec[5]) {
		if s == "" || s != filepath.Clean(s) || !filepath.IsAbs(s) && s != filepath.Base(s) || s[0] == '.' {
			return Model{}, fmt.Errorf("module %q is neither a file name nor a clean absolute path", s)
		}
		m.Modules = append(m.Modules, s)
	}
	for _, a := range []Answer{m.PCSC, m.ARM64} {
		if a != Yes && a != No && a != Unknown {
			return Model{}, fmt.Errorf("%q is not yes, no or ?", a)
		}
	}
	if !slices.Contains(confidences, m.Confidence) {
		return Model{}, fmt.Errorf("confidence %q is not H, M, L or ?", m.Confidence)
	}
	if bare := strings.ReplaceAll(m.Note, "\u200c", ""); printable(bare) != bare { // Persian needs the non-joiner
		return Model{}, errors.New("note is not printable")
	}
	return m, nil
}

// split splits a cell; the empty cell is no list.
func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, " ")
}

func hex(s string, digits int) (uint64, error) {
	if len(s) != digits || strings.ToLower(s) != s {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(s, 16, 4*digits)
}
