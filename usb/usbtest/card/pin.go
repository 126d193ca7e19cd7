package card

import "crypto/subtle"

// maxReference is the highest PIN reference; 15 in an access condition is never.
const maxReference = 14

// pinSize is the stored form: padded with FF to eight bytes.
const pinSize = 8

// pin is a PIN with its PUK and the tries left of both (ISO/IEC 7816-4, 7.5,
// verification data and retry counter).
type pin struct {
	pin, puk              [pinSize]byte
	tries, maxTries       int
	pukTries, maxPUKTries int
}

// PINTries says how many tries a PIN and its PUK have left, and whether there is
// such a PIN.
func (c *Card) PINTries(reference int) (pin, puk int, ok bool) {
	if reference < 1 || reference > maxReference || c.pins[reference] == nil {
		return 0, 0, false
	}
	return c.pins[reference].tries, c.pins[reference].pukTries, true
}

// pinCommand checks what the PIN commands have in common: P1 is 00, P2 the
// reference, the data of one of two lengths.
func (c *Card) pinCommand(cmd Command, sizes ...int) (*pin, Status) {
	switch {
	case cmd.P1 != 0:
		return nil, WrongParameters
	case cmd.P2 == 0 || cmd.P2 > maxReference || c.pins[cmd.P2] == nil:
		return nil, DataNotFound
	}
	for _, n := range sizes {
		if len(cmd.Data) == n {
			return c.pins[cmd.P2], OK
		}
	}
	return nil, WrongLength
}

// try compares a presented PIN or PUK. The try is spent before the comparison.
// The status 6983 comes already with the try that blocks.
func try(tries *int, most int, presented []byte, right *[pinSize]byte) Status {
	if *tries == 0 {
		return Blocked
	}
	*tries--
	switch {
	case subtle.ConstantTimeCompare(presented, right[:]) == 1:
		*tries = most
		return OK
	case *tries == 0:
		return Blocked
	}
	return WrongPIN | Status(*tries)
}

// present is one try at the PIN itself; its outcome is the verified state.
func (c *Card) present(reference byte, presented []byte) Status {
	p := c.pins[reference]
	status := try(&p.tries, p.maxTries, presented, &p.pin)
	c.verified[reference], c.fresh[reference] = status == OK, status == OK
	c.changed = true
	return status
}

// verify is VERIFY (ISO/IEC 7816-4, 7.5.6). Without data it asks for the state
// and never costs a try.
func (c *Card) verify(cmd Command) ([]byte, Status) {
	p, status := c.pinCommand(cmd, 0, pinSize)
	switch {
	case status != OK:
		return nil, status
	case len(cmd.Data) > 0:
		return nil, c.present(cmd.P2, cmd.Data)
	case c.verified[cmd.P2]:
		return nil, OK
	case p.tries == 0:
		return nil, Blocked
	}
	return nil, WrongPIN | Status(p.tries)
}

// change is CHANGE REFERENCE DATA (ISO/IEC 7816-4, 7.5.7): old PIN, new PIN.
func (c *Card) change(cmd Command) ([]byte, Status) {
	p, status := c.pinCommand(cmd, 2*pinSize)
	if status != OK {
		return nil, status
	}
	if status = c.present(cmd.P2, cmd.Data[:pinSize]); status == OK {
		copy(p.pin[:], cmd.Data[pinSize:])
	}
	return nil, status
}

// resetRetry is RESET RETRY COUNTER (ISO/IEC 7816-4, 7.5.10): PUK, new PIN. The
// PUK has a counter of its own. The new PIN is not thereby verified.
func (c *Card) resetRetry(cmd Command) ([]byte, Status) {
	p, status := c.pinCommand(cmd, 2*pinSize)
	if status != OK {
		return nil, status
	}
	status = try(&p.pukTries, p.maxPUKTries, cmd.Data[:pinSize], &p.puk)
	c.changed = true
	if status == OK {
		copy(p.pin[:], cmd.Data[pinSize:])
		p.tries = p.maxTries
		c.verified[cmd.P2], c.fresh[cmd.P2] = false, false
	}
	return nil, status
}

// logout forgets that a PIN was verified, or all of them for reference 00
// (MyEID reference manual, DE-AUTHENTICATE).
func (c *Card) logout(cmd Command) ([]byte, Status) {
	switch {
	case cmd.P1 != 0:
		return nil, WrongParameters
	case cmd.P2 > maxReference:
		return nil, DataNotFound
	case cmd.P2 == 0:
		clear(c.verified[:])
		clear(c.fresh[:])
	}
	c.verified[cmd.P2], c.fresh[cmd.P2] = false, false
	return nil, OK
}

// putPIN is PUT DATA 01nn: PIN, PUK, tries of both, 00. An active card takes new
// references only.
func (c *Card) putPIN(reference byte, data []byte) Status {
	const size = 2*pinSize + 3
	switch {
	case len(data) != size:
		return WrongLength
	case c.active && c.pins[reference] != nil:
		return NotAllowed
	}
	p := &pin{tries: int(data[16]), maxTries: int(data[16]), pukTries: int(data[17]), maxPUKTries: int(data[17])}
	if p.tries < 1 || p.tries > 15 || p.pukTries < 1 || p.pukTries > 15 || data[18] != 0 {
		return WrongData
	}
	copy(p.pin[:], data)
	copy(p.puk[:], data[pinSize:])
	c.pins[reference] = p
	c.verified[reference], c.fresh[reference] = false, false
	c.changed = true
	return OK
}
