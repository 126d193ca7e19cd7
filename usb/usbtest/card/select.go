package card

import (
	"bytes"
	"encoding/binary"
)

// enter makes f current: a DF, or an EF and the DF it is in.
func (c *Card) enter(f *file) {
	if f.kind == Directory {
		c.dir, c.current = f, nil
	} else {
		c.dir, c.current = f.parent, f
	}
}

// selectFile is SELECT (ISO/IEC 7816-4, 7.1.1). P2 with bits 0C set asks for no
// answer but the status, all else for the FCI.
func (c *Card) selectFile(cmd Command) ([]byte, Status) {
	var f *file
	switch cmd.P1 {
	case 0x00:
		switch len(cmd.Data) {
		case 0:
			f = c.root
		case 2:
			f = c.find(binary.BigEndian.Uint16(cmd.Data))
		default:
			return nil, WrongLength
		}
	case 0x03:
		if len(cmd.Data) != 0 {
			return nil, WrongLength
		}
		f = c.dir.parent
	case 0x04:
		if f = c.root; !bytes.Equal(cmd.Data, aid) { // the applet shows its MF
			f = c.root.named(cmd.Data)
		}
	case 0x08:
		f = c.walk(c.root, cmd.Data)
	case 0x09:
		f = c.walk(c.dir, cmd.Data)
	default:
		return nil, WrongParameters
	}
	if f == nil {
		return nil, FileNotFound // exactly this: OpenSC looks for free ids by it
	}
	c.enter(f)
	if cmd.P2&0x0c == 0x0c {
		return nil, OK
	}
	return c.fci(f), OK
}

// find looks for an id where SELECT by file identifier does: the MF, the current
// DF, in it, and among its siblings with their parent (ISO/IEC 7816-4, 7.1.1).
func (c *Card) find(id uint16) *file {
	if id == idMF {
		return c.root
	}
	if c.dir.id == id {
		return c.dir
	}
	if f := c.dir.child(id); f != nil || c.dir.parent == nil {
		return f
	}
	if c.dir.parent.id == id {
		return c.dir.parent
	}
	return c.dir.parent.child(id)
}

// walk follows a path of two-byte ids.
func (c *Card) walk(f *file, path []byte) *file {
	if len(path) == 0 || len(path)%2 != 0 {
		return nil
	}
	for ; len(path) > 0 && f != nil; path = path[2:] {
		f = f.child(binary.BigEndian.Uint16(path))
	}
	return f
}
