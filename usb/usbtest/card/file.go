package card

import "encoding/binary"

// Kind is the file descriptor byte (ISO/IEC 7816-4, 5.3.3, tag 82; the key
// kinds are MyEID's).
type Kind byte

const (
	Transparent Kind = 0x01
	RSAKey      Kind = 0x11
	ECKey       Kind = 0x22
	Directory   Kind = 0x38
)

// Access is the three bytes of security attributes, tag 86 (MyEID reference
// manual, file control information): nibbles, 0 free, 1 to 14 a PIN's
// reference, 15 never. What a nibble stands for depends on the kind of file.
type Access [3]byte

const never = 15

// Rights, by their nibble in Access.
type right int

const (
	readRight     right = 0 // transparent
	updateRight   right = 1 // transparent
	cryptoRight   right = 0 // key
	generateRight right = 3 // key
	createRight   right = 0 // directory
	deleteRight   right = 2 // all
)

func (a Access) reference(r right) int {
	if r%2 == 0 {
		return int(a[r/2] >> 4)
	}
	return int(a[r/2] & 15)
}

// file is an EF or a DF (ISO/IEC 7816-4, 5.3.1).
type file struct {
	id     uint16
	kind   Kind
	size   int // bytes; bits of a key
	access Access
	prop   [2]byte
	name   []byte // of a DF

	data     []byte // transparent
	key      *key   // nil until generated
	children []*file
	parent   *file
}

// Proprietary byte 0, high nibble: the PIN to be presented for each use of the
// key (user consent).
func (f *file) consent() int { return int(f.prop[0] >> 4) }

const (
	idMF          = 0x3f00
	idApplication = 0x5015
	maxDepth      = 8
	fileOverhead  = 32
)

// aid names the application, DF 5015, and selects the applet.
var aid = []byte("\xa0\x00\x00\x00\x63PKCS-15")

func (f *file) child(id uint16) *file {
	for _, c := range f.children {
		if c.id == id {
			return c
		}
	}
	return nil
}

func (f *file) named(name []byte) *file {
	if f.kind == Directory && len(name) > 0 && string(f.name) == string(name) {
		return f
	}
	for _, c := range f.children {
		if hit := c.named(name); hit != nil {
			return hit
		}
	}
	return nil
}

func (f *file) depth() int {
	n := 0
	for ; f.parent != nil; f = f.parent {
		n++
	}
	return n
}

// room is what the file costs of the card's memory: that of an RSA key is taken
// as five halves of the modulus, as is usual for the Chinese remainder form.
func (f *file) room() int {
	n := fileOverhead
	switch f.kind {
	case Transparent:
		n += f.size
	case RSAKey:
		n += f.size / 8 * 5 / 2
	case ECKey:
		n += (f.size + 7) / 8 * 3
	}
	for _, c := range f.children {
		n += c.room()
	}
	return n
}

// Used is how many bytes of the card's memory are taken.
func (c *Card) Used() int { return c.root.room() }

// Capacity is the size of the card's memory.
func (c *Card) Capacity() int { return c.capacity }

// SetCapacity makes the card larger or smaller, but not smaller than what is in
// it; 0 makes it full.
func (c *Card) SetCapacity(n int) { c.capacity, c.changed = max(n, c.Used()), true }

// format wipes the card: MF and application DF anew, no PINs, creation state.
func (c *Card) format(mf, df Access) {
	c.root = &file{id: idMF, kind: Directory, access: mf}
	c.root.children = []*file{{id: idApplication, kind: Directory, access: df, name: aid, parent: c.root}}
	c.pins, c.active = [maxReference + 1]*pin{}, false
	c.touch()
	c.Reset()
}

// allowed says whether the right is free or its PIN verified. In creation state
// nothing is checked.
func (c *Card) allowed(f *file, r right) bool {
	if !c.active {
		return true
	}
	switch ref := f.access.reference(r); ref {
	case 0:
		return true
	case never:
		return false
	default:
		return c.verified[ref]
	}
}

// fci is the file control information (ISO/IEC 7816-4, 5.3.3, template 6F).
func (c *Card) fci(f *file) []byte {
	size, status := byte(0x81), byte(0x01)
	if f.kind == Transparent {
		size = 0x80
	}
	if c.active {
		status = 0x05
	}
	b := tlv(size, byte(f.size>>8), byte(f.size))
	b = append(b, tlv(0x82, byte(f.kind))...)
	b = append(b, tlv(0x83, byte(f.id>>8), byte(f.id))...)
	b = append(b, tlv(0x86, f.access[:]...)...)
	b = append(b, tlv(0x85, f.prop[:]...)...)
	b = append(b, tlv(0x8a, status)...)
	if len(f.name) > 0 {
		b = append(b, tlv(0x84, f.name...)...)
	}
	return tlv(0x6f, b...)
}

// fileFrom reads the template 62 of CREATE FILE, which has the same objects as
// the FCI.
func fileFrom(template []byte) (*file, Status) {
	tag, inner, rest, ok := nextTLV(template)
	if !ok || tag != 0x62 || len(rest) != 0 {
		return nil, WrongData
	}
	objects, ok := readTLVs(inner)
	if !ok {
		return nil, WrongData
	}
	lengths := map[byte]int{0x80: 2, 0x81: 2, 0x82: 1, 0x83: 2, 0x85: 2, 0x86: 3, 0x8a: 1}
	for tag, value := range objects {
		if n, known := lengths[tag]; tag == 0x84 && (len(value) == 0 || len(value) > 16) || tag != 0x84 && (!known || len(value) != n) {
			return nil, WrongData
		}
	}
	if objects[0x82] == nil || objects[0x83] == nil || objects[0x86] == nil {
		return nil, WrongData
	}
	f := &file{id: binary.BigEndian.Uint16(objects[0x83]), kind: Kind(objects[0x82][0]), name: objects[0x84]}
	copy(f.access[:], objects[0x86])
	copy(f.prop[:], objects[0x85])
	size := objects[0x81]
	if f.kind == Transparent {
		size = objects[0x80]
	}
	if size != nil {
		f.size = int(binary.BigEndian.Uint16(size))
	}
	return f, f.check()
}

// check holds for every file, from a command or from a state file.
func (f *file) check() Status {
	if f.id == 0 || f.id == 0x3fff || f.id == 0xffff || len(f.name) > 16 || f.kind != Directory && len(f.name) > 0 {
		return WrongData
	}
	switch f.kind {
	case Transparent:
		if f.size > maxTransparent {
			return Full
		}
	case RSAKey, ECKey:
		if !supported(f.kind, f.size) {
			return WrongData
		}
	case Directory:
		if f.size != 0 {
			return WrongData
		}
	default:
		return WrongData
	}
	return OK
}

// createFile is CREATE FILE (ISO/IEC 7816-9, 6.1). The new file is current.
func (c *Card) createFile(cmd Command) ([]byte, Status) {
	if cmd.P1 != 0 || cmd.P2 != 0 {
		return nil, WrongParameters
	}
	f, status := fileFrom(cmd.Data)
	if f != nil && f.kind == Directory {
		f.size = 0 // what a DF announces is of no use
		status = f.check()
	}
	switch {
	case status != OK:
		return nil, status
	case !c.allowed(c.dir, createRight):
		return nil, NotAllowed
	case f.id == idMF || c.dir.child(f.id) != nil || c.root.named(f.name) != nil:
		return nil, AlreadyThere
	case c.dir.depth() >= maxDepth || c.Used()+f.room() > c.capacity:
		return nil, Full
	}
	f.name = append([]byte(nil), f.name...)
	if f.kind == Transparent {
		f.data = make([]byte, f.size)
	}
	f.parent = c.dir
	c.dir.children = append(c.dir.children, f)
	c.touch()
	c.enter(f)
	return nil, OK
}

// deleteFile is DELETE FILE (ISO/IEC 7816-9, 6.2) for the current EF or DF with
// all that is in it. Afterwards the parent is current.
func (c *Card) deleteFile(cmd Command) ([]byte, Status) {
	f := c.current
	if f == nil {
		f = c.dir
	}
	switch {
	case cmd.P1 != 0 || cmd.P2 != 0:
		return nil, WrongParameters
	case len(cmd.Data) > 0:
		return nil, WrongLength
	case f == c.root:
		return nil, NoSuchElement
	case !c.allowed(f, deleteRight):
		return nil, NotAllowed
	}
	kept := f.parent.children[:0]
	for _, other := range f.parent.children {
		if other != f {
			kept = append(kept, other)
		}
	}
	clear(f.parent.children[len(kept):])
	f.parent.children = kept
	c.env = nil // its key may be gone
	c.touch()
	c.enter(f.parent)
	return nil, OK
}
