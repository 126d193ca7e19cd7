package card

import "encoding/binary"

// Command is a command APDU (ISO/IEC 7816-4, 5.1).
type Command struct {
	Class, Instruction, P1, P2 byte

	Data []byte
	Le   int // as many bytes as the answer may have, 1 to 65536
}

// Instructions (ISO/IEC 7816-4, 5.1.2; 7816-8 and 7816-9 for generation,
// security operations, creation and deletion).
const (
	insVerify       = 0x20
	insSetSecEnv    = 0x22
	insChange       = 0x24
	insPerform      = 0x2a
	insResetRetry   = 0x2c
	insLogout       = 0x2e // MyEID's own
	insActivate     = 0x44
	insGenerate     = 0x46
	insGetChallenge = 0x84
	insSelect       = 0xa4
	insReadBinary   = 0xb0
	insGetResponse  = 0xc0
	insGetData      = 0xca
	insUpdateBinary = 0xd6
	insPutData      = 0xda
	insCreateFile   = 0xe0
	insDeleteFile   = 0xe4
)

// Class bits (ISO/IEC 7816-4, 5.1.1). Others are not looked at: OpenSC sends
// DELETE FILE with class A0.
const (
	classChain   = 0x10
	classInvalid = 0xff
)

// parse reads a command APDU in short or extended form (ISO/IEC 7816-4, 5.1).
// T=0 blurs two cases (ISO/IEC 7816-3, 12.2): a command without data arrives
// with a fifth byte 00, and case 4 without its Le. Hence an absent Le is taken
// as the largest short one, and P3 = 00 alone is no data.
func parse(b []byte) (Command, bool) {
	if len(b) < 4 {
		return Command{}, false
	}
	c := Command{Class: b[0], Instruction: b[1], P1: b[2], P2: b[3], Le: 256}
	body := b[4:]
	switch {
	case len(body) == 0:
		return c, true
	case len(body) == 1:
		c.Le = short(body[0])
		return c, true
	case body[0] == 0:
		return c.extended(body[1:])
	}
	n := int(body[0])
	switch body = body[1:]; len(body) {
	case n:
	case n + 1:
		c.Le = short(body[n])
	default:
		return Command{}, false
	}
	c.Data = body[:n]
	return c, true
}

// extended reads what follows the byte 00 of extended length fields.
func (c Command) extended(body []byte) (Command, bool) {
	if len(body) < 2 {
		return Command{}, false
	}
	n := int(binary.BigEndian.Uint16(body))
	if body = body[2:]; len(body) == 0 {
		c.Le = long(n)
		return c, true
	}
	switch len(body) {
	case n:
	case n + 2:
		c.Le = long(int(binary.BigEndian.Uint16(body[n:])))
	default:
		return Command{}, false
	}
	if n == 0 {
		return Command{}, false
	}
	c.Data = body[:n]
	return c, true
}

func short(le byte) int {
	if le == 0 {
		return 256
	}
	return int(le)
}

func long(le int) int {
	if le == 0 {
		return 65536
	}
	return le
}
