package card

// chain is a command of which more is to come.
type chain struct {
	head Command
	data []byte
}

// maxChain is more than any command of this card takes: a block of RSA-4096.
const maxChain = 2048

// join collects command chaining (ISO/IEC 7816-4, 5.1.1.1): all pieces but the
// last have the chaining bit in the class and are answered 9000, and the command
// runs on the joined data.
func (c *Card) join(cmd Command) (Command, Status, bool) {
	open := c.chain
	c.chain = nil
	if open == nil && cmd.Class&classChain == 0 {
		return cmd, OK, true
	}
	if open == nil {
		open = &chain{head: cmd}
	} else if h := open.head; h.Instruction != cmd.Instruction || h.P1 != cmd.P1 || h.P2 != cmd.P2 {
		return cmd, ChainExpected, false
	}
	if len(open.data)+len(cmd.Data) > maxChain {
		return cmd, WrongLength, false
	}
	open.data = append(open.data, cmd.Data...)
	if cmd.Class&classChain != 0 {
		c.chain = open
		return cmd, OK, false
	}
	cmd.Data = open.data
	return cmd, OK, true
}

// answer sends what fits into Le and keeps the rest for GET RESPONSE.
func (c *Card) answer(data []byte, status Status, le int) []byte {
	if len(data) <= le {
		return status.answer(data)
	}
	c.rest = data[le:]
	return (MoreData | Status(min(len(c.rest), 256)&0xff)).answer(data[:le])
}

// getResponse is GET RESPONSE (ISO/IEC 7816-4, 7.6.1). It leaves an open chain
// alone.
func (c *Card) getResponse(cmd Command) []byte {
	if cmd.P1 != 0 || cmd.P2 != 0 {
		return WrongParameters.answer(nil)
	}
	data := c.rest
	if c.rest = nil; data == nil {
		return NotNow.answer(nil)
	}
	return c.answer(data, OK, cmd.Le)
}
