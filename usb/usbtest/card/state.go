package card

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
)

// format names the form of a state and its version. A change of what is below
// is a new version.
const format = "mohr card 1"

// maxState bounds a state file before it is read.
const maxState = 4 << 20

// hexBytes are bytes that a person can read in a state file.
type hexBytes []byte

func (b hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, b), nil }

func (b *hexBytes) UnmarshalText(text []byte) error {
	*b = nil
	if len(text) == 0 {
		return nil
	}
	raw, err := hex.AppendDecode(nil, text)
	*b = raw
	return err
}

// state is a card as JSON: what a power cycle does not take away. PINs and keys
// are in the clear; it is a card for tests.
type state struct {
	Format   string     `json:"format"`
	Serial   hexBytes   `json:"serial"`
	Capacity int        `json:"capacity"`
	Counter  uint16     `json:"counter"`
	Active   bool       `json:"active"`
	PINs     []pinState `json:"pins,omitempty"`
	Files    fileState  `json:"files"`
}

type pinState struct {
	Reference   int      `json:"reference"`
	PIN         hexBytes `json:"pin"`
	PUK         hexBytes `json:"puk"`
	Tries       int      `json:"tries"`
	MaxTries    int      `json:"maxTries"`
	PUKTries    int      `json:"pukTries"`
	MaxPUKTries int      `json:"maxPUKTries"`
}

type fileState struct {
	ID       hexBytes    `json:"id"`
	Kind     Kind        `json:"kind"`
	Size     int         `json:"size,omitempty"`
	Access   hexBytes    `json:"access"`
	Prop     hexBytes    `json:"prop"`
	Name     hexBytes    `json:"name,omitempty"`
	Data     hexBytes    `json:"data,omitempty"`
	P        hexBytes    `json:"p,omitempty"`
	Q        hexBytes    `json:"q,omitempty"`
	D        hexBytes    `json:"d,omitempty"`
	Children []fileState `json:"children,omitempty"`
}

// Marshal is the card's state.
func (c *Card) Marshal() ([]byte, error) {
	s := state{Format: format, Serial: c.serial[:], Capacity: c.capacity, Counter: c.counter, Active: c.active, Files: c.root.state()}
	for ref, p := range c.pins {
		if p != nil {
			s.PINs = append(s.PINs, pinState{ref, p.pin[:], p.puk[:], p.tries, p.maxTries, p.pukTries, p.maxPUKTries})
		}
	}
	b, err := json.MarshalIndent(s, "", "\t")
	return append(b, '\n'), err
}

func (f *file) state() fileState {
	s := fileState{ID: hexBytes{byte(f.id >> 8), byte(f.id)}, Kind: f.kind, Size: f.size, Access: f.access[:], Prop: f.prop[:], Name: f.name, Data: f.data}
	switch {
	case f.key == nil:
	case f.key.rsa != nil:
		s.P, s.Q = f.key.rsa.p.Bytes(), f.key.rsa.q.Bytes()
	default:
		s.D = f.key.ec.Bytes()
	}
	for _, child := range f.children {
		s.Children = append(s.Children, child.state())
	}
	return s
}

// Parse is the card of a state, switched on. Only what Marshal writes is
// accepted, byte for byte. Randomness is random, or crypto/rand if nil.
func Parse(b []byte, random io.Reader) (*Card, error) {
	if len(b) > maxState {
		return nil, fmt.Errorf("card: state of %d bytes", len(b))
	}
	var s state
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return nil, fmt.Errorf("card: state: %w", err)
	}
	if s.Format != format {
		return nil, fmt.Errorf("card: state of format %q, want %q", s.Format, format)
	}
	c, err := s.card()
	if err != nil {
		return nil, fmt.Errorf("card: state: %w", err)
	}
	again, err := c.Marshal()
	if err != nil || !bytes.Equal(again, b) {
		return nil, errors.New("card: state is not as it was written")
	}
	if c.rand = random; random == nil {
		c.rand = rand.Reader
	}
	c.Reset()
	return c, nil
}

func (s state) card() (*Card, error) {
	c := &Card{capacity: s.Capacity, counter: s.Counter, active: s.Active}
	if copy(c.serial[:], s.Serial) != len(s.Serial) {
		return nil, fmt.Errorf("serial of %d bytes", len(s.Serial))
	}
	for _, p := range s.PINs {
		if err := p.check(); err != nil {
			return nil, err
		}
		q := &pin{tries: p.Tries, maxTries: p.MaxTries, pukTries: p.PUKTries, maxPUKTries: p.MaxPUKTries}
		copy(q.pin[:], p.PIN)
		copy(q.puk[:], p.PUK)
		c.pins[p.Reference] = q
	}
	root, err := s.Files.file(nil)
	if err != nil {
		return nil, err
	}
	c.root = root
	if root.id != idMF || root.kind != Directory || c.Used() > c.capacity {
		return nil, fmt.Errorf("root %04x of kind %02x, %d bytes of %d used", root.id, byte(root.kind), c.Used(), c.capacity)
	}
	return c, nil
}

func (p pinState) check() error {
	ok := p.Reference >= 1 && p.Reference <= maxReference && len(p.PIN) == pinSize && len(p.PUK) == pinSize &&
		p.Tries >= 0 && p.Tries <= p.MaxTries && p.MaxTries <= 15 && p.PUKTries >= 0 && p.PUKTries <= p.MaxPUKTries && p.MaxPUKTries <= 15
	if !ok {
		return fmt.Errorf("PIN %d", p.Reference)
	}
	return nil
}

func (s fileState) file(parent *file) (*file, error) {
	if len(s.ID) != 2 || len(s.Access) != 3 || len(s.Prop) != 2 || s.Size < 0 {
		return nil, errors.New("malformed file")
	}
	f := &file{id: uint16(s.ID[0])<<8 | uint16(s.ID[1]), kind: s.Kind, size: s.Size, access: Access(s.Access), prop: [2]byte(s.Prop),
		name: s.Name, data: s.Data, parent: parent}
	if f.check() != OK || f.depth() > maxDepth+1 || f.kind == Transparent && f.size != len(f.data) ||
		f.kind != Transparent && len(f.data) > 0 || f.kind != Directory && len(s.Children) > 0 {
		return nil, fmt.Errorf("file %04x", f.id)
	}
	for _, child := range s.Children {
		g, err := child.file(f)
		if err != nil {
			return nil, err
		}
		if f.child(g.id) != nil {
			return nil, fmt.Errorf("two files %04x", g.id)
		}
		f.children = append(f.children, g)
	}
	key, err := s.key(f)
	f.key = key
	return f, err
}

func (s fileState) key(f *file) (*key, error) {
	switch {
	case len(s.P) == 0 && len(s.Q) == 0 && len(s.D) == 0:
		return nil, nil
	case f.kind == ECKey:
		ec, err := curves[f.size].NewPrivateKey(s.D)
		return &key{ec: ec}, err
	case f.kind == RSAKey:
		p, q := new(big.Int).SetBytes(s.P), new(big.Int).SetBytes(s.Q)
		if p.BitLen() == f.size/2 && q.BitLen() == f.size/2 && p.ProbablyPrime(0) && q.ProbablyPrime(0) {
			if k, ok := newRSA(p, q); ok && k.n.BitLen() == f.size {
				return &key{rsa: k}, nil
			}
		}
	}
	return nil, fmt.Errorf("key in file %04x", f.id)
}

// Load reads a state file.
func Load(path string, random io.Reader) (*Card, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return nil, err
	}
	c, err := Parse(b, random)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Save replaces a state file in one step. It survives the death of this
// process, which is the power cut of a virtual card, not that of the machine:
// nothing is synced.
func (c *Card) Save(path string) error {
	b, err := c.Marshal()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	c.changed = false
	return nil
}
