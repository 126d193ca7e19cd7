package card

// maxTransparent is as far as the 15-bit offset of READ BINARY reaches.
const maxTransparent = 0x7fff

// span is the part of the current transparent EF that READ BINARY or UPDATE
// BINARY is about. Bit 8 of P1 would address a short EF identifier, of which the
// card has none.
func (c *Card) span(cmd Command, r right) (*file, int, Status) {
	f, offset := c.current, int(cmd.P1)<<8|int(cmd.P2)
	switch {
	case cmd.P1&0x80 != 0:
		return nil, 0, WrongParameters
	case f == nil || f.kind != Transparent:
		return nil, 0, NoSuchElement
	case !c.allowed(f, r):
		return nil, 0, NotAllowed
	}
	return f, offset, OK
}

// readBinary is READ BINARY (ISO/IEC 7816-4, 7.2.3). Fewer bytes than asked for
// end the file and are no warning.
func (c *Card) readBinary(cmd Command) ([]byte, Status) {
	f, offset, status := c.span(cmd, readRight)
	switch {
	case status != OK:
		return nil, status
	case len(cmd.Data) > 0:
		return nil, WrongLength
	case offset > len(f.data) || offset == len(f.data) && offset > 0:
		return nil, WrongOffset
	}
	b := f.data[offset:]
	return append([]byte(nil), b[:min(len(b), cmd.Le)]...), OK
}

// updateBinary is UPDATE BINARY (ISO/IEC 7816-4, 7.2.5).
func (c *Card) updateBinary(cmd Command) ([]byte, Status) {
	f, offset, status := c.span(cmd, updateRight)
	switch {
	case status != OK:
		return nil, status
	case len(cmd.Data) == 0:
		return nil, WrongLength
	case offset+len(cmd.Data) > len(f.data):
		return nil, Full
	}
	copy(f.data[offset:], cmd.Data)
	c.touch()
	return nil, OK
}
