package card

import "bytes"

// initialise is PUT DATA 01E0 (MyEID reference manual, INITIALISE APPLET):
// FFFF, then the access conditions of MF and application DF. It wipes everything
// and puts the card into creation state. On an active card it needs the right
// to delete the MF.
func (c *Card) initialise(data []byte) Status {
	switch {
	case len(data) != 8:
		return WrongLength
	case data[0] != 0xff || data[1] != 0xff:
		return WrongData
	case !c.allowed(c.root, deleteRight):
		return NotAllowed
	}
	c.format(Access(data[2:5]), Access(data[5:8]))
	return OK
}

// activate is ACTIVATE with the applet's name (ISO/IEC 7816-9, 6.4; life
// cycle in 7816-4, 5.3.3): from now on access conditions are in force. Single files
// have no life cycle of their own.
func (c *Card) activate(cmd Command) ([]byte, Status) {
	switch {
	case cmd.P1 != 0x04 || cmd.P2 != 0:
		return nil, WrongParameters
	case !bytes.Equal(cmd.Data, aid):
		return nil, FileNotFound
	case c.active:
		return nil, NotNow
	}
	c.active = true
	c.touch()
	return nil, OK
}

// Active says whether access conditions are in force.
func (c *Card) Active() bool { return c.active }
