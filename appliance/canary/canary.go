package canary

import (
	"bytes"
	"fmt"
	"io"
	"slices"
)

// Secret is a word that must not be found, and what to call it.
type Secret struct{ Name, Word string }

// Form is one way in which a secret may be written.
type Form struct {
	Secret Secret
	Name   string
	Bytes  []byte
}

// least is the length of the shortest form: five bytes are found by chance in one
// of 50,000 disks of 20 MB.
const least = 5

// Scanner looks for the forms of some secrets.
type Scanner struct {
	forms   []Form
	longest int
	begin   [1 << 16 / 64]uint64 // the first two bytes of any form
	byHead  map[[4]byte][]int    // forms by their first four bytes
}

// New makes a scanner. A word that is too short to tell from chance is an error.
func New(secrets ...Secret) (*Scanner, error) {
	s := &Scanner{byHead: map[[4]byte][]int{}}
	known := map[string]bool{}
	for _, secret := range secrets {
		if len(secret.Word) < least {
			return nil, fmt.Errorf("canary: %s has %d bytes, want at least %d", secret.Name, len(secret.Word), least)
		}
		forms(secret.Word, func(name string, b []byte) {
			if len(b) >= least && !known[string(b)] {
				known[string(b)] = true
				s.forms = append(s.forms, Form{secret, name, b})
			}
		})
	}
	slices.SortFunc(s.forms, func(a, b Form) int { return bytes.Compare(a.Bytes, b.Bytes) })
	for i, f := range s.forms {
		head := uint(f.Bytes[0])<<8 | uint(f.Bytes[1])
		s.begin[head/64] |= 1 << (head % 64)
		s.byHead[[4]byte(f.Bytes)] = append(s.byHead[[4]byte(f.Bytes)], i)
		s.longest = max(s.longest, len(f.Bytes))
	}
	return s, nil
}

// Forms are all that is looked for.
func (s *Scanner) Forms() []Form { return slices.Clone(s.forms) }

// Hit is a form that was found.
type Hit struct {
	Form
	Offset int64
}

// String names the secret and does not show it.
func (h Hit) String() string {
	return fmt.Sprintf("%s (%s) at byte %d", h.Secret.Name, h.Form.Name, h.Offset)
}

// Bytes calls found for every form in b.
func (s *Scanner) Bytes(b []byte, found func(Hit)) { s.scan(b, 0, found) }

func (s *Scanner) scan(b []byte, at int64, found func(Hit)) {
	for i := 0; i+least <= len(b); i++ {
		head := uint(b[i])<<8 | uint(b[i+1])
		if s.begin[head/64]&(1<<(head%64)) == 0 {
			continue
		}
		for _, n := range s.byHead[[4]byte(b[i:])] {
			if bytes.HasPrefix(b[i:], s.forms[n].Bytes) {
				found(Hit{s.forms[n], at + int64(i)})
			}
		}
	}
}

// Read scans size bytes of a disk or a file. A form may be reported twice.
func (s *Scanner) Read(r io.ReaderAt, size int64, found func(Hit)) error {
	const window = 1 << 20
	b := make([]byte, window+s.longest)
	for off := int64(0); off < size; off += window {
		n, err := r.ReadAt(b[:min(int64(len(b)), size-off)], off)
		if err != nil && err != io.EOF {
			return fmt.Errorf("canary: %w", err)
		}
		s.scan(b[:n], off, found)
	}
	return nil
}
