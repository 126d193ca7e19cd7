package card

import (
	"crypto/rand"
	"io"
)

// Card is the chip: what it keeps and what it has in mind until the next reset.
// It is not safe for concurrent use; Token is.
type Card struct {
	rand     io.Reader
	serial   [10]byte
	capacity int

	counter uint16 // the change counter of GET DATA 01A0
	active  bool   // ACTIVATE was given: access conditions are in force
	root    *file
	pins    [maxReference + 1]*pin

	changed bool // since the state was last taken
	session
}

// session is lost by a reset.
type session struct {
	dir      *file // current DF, never nil
	current  *file // current EF, or nil
	verified [maxReference + 1]bool
	fresh    [maxReference + 1]bool // verified, and no consent spent on it yet
	env      *environment
	chain    *chain
	rest     []byte // what GET RESPONSE serves
}

// Options of a new card.
type Options struct {
	Serial   [10]byte
	Capacity int       // bytes of memory, DefaultCapacity if 0
	Rand     io.Reader // keys, nonces, challenges; crypto/rand if nil
}

// DefaultCapacity is about that of a MyEID card, which is sold with 72 to 144 KiB.
const DefaultCapacity = 128 << 10

// New is a card as it leaves the factory: applet there, nothing in it, in
// creation state, where nothing needs a right.
func New(o Options) *Card {
	c := &Card{rand: o.Rand, serial: o.Serial, capacity: o.Capacity}
	if c.rand == nil {
		c.rand = rand.Reader
	}
	if c.capacity == 0 {
		c.capacity = DefaultCapacity
	}
	c.format(Access{0x00, 0x0f, 0xff}, Access{0x00, 0x0f, 0xff})
	c.counter, c.changed = 0, true
	return c
}

// Reset is a power cycle or a warm reset (ISO/IEC 7816-3, 6.2): selection,
// verified PINs, security environment and unfinished chains are forgotten.
func (c *Card) Reset() { c.session = session{dir: c.root} }

// instructions is the card's command set.
var instructions = map[byte]struct {
	name string
	run  func(*Card, Command) ([]byte, Status)
}{
	insVerify:       {"VERIFY", (*Card).verify},
	insChange:       {"CHANGE REFERENCE DATA", (*Card).change},
	insResetRetry:   {"RESET RETRY COUNTER", (*Card).resetRetry},
	insLogout:       {"LOG OUT", (*Card).logout},
	insSetSecEnv:    {"MANAGE SECURITY ENVIRONMENT", (*Card).setEnvironment},
	insPerform:      {"PERFORM SECURITY OPERATION", (*Card).perform},
	insActivate:     {"ACTIVATE", (*Card).activate},
	insGenerate:     {"GENERATE KEY PAIR", (*Card).generate},
	insGetChallenge: {"GET CHALLENGE", (*Card).challenge},
	insSelect:       {"SELECT", (*Card).selectFile},
	insReadBinary:   {"READ BINARY", (*Card).readBinary},
	insUpdateBinary: {"UPDATE BINARY", (*Card).updateBinary},
	insGetData:      {"GET DATA", (*Card).getData},
	insPutData:      {"PUT DATA", (*Card).putData},
	insCreateFile:   {"CREATE FILE", (*Card).createFile},
	insDeleteFile:   {"DELETE FILE", (*Card).deleteFile},
}

// Transmit answers one command APDU.
func (c *Card) Transmit(raw []byte) []byte {
	cmd, ok := parse(raw)
	switch {
	case !ok:
		return WrongLength.answer(nil)
	case cmd.Class == classInvalid:
		return ClassUnsupported.answer(nil)
	case cmd.Instruction == insGetResponse:
		return c.getResponse(cmd)
	}
	c.rest = nil
	cmd, status, done := c.join(cmd)
	if !done {
		return status.answer(nil)
	}
	ins, ok := instructions[cmd.Instruction]
	if !ok {
		return UnknownCommand.answer(nil)
	}
	data, status := ins.run(c, cmd)
	return c.answer(data, status, cmd.Le)
}

// touch notes a change of the card's contents.
func (c *Card) touch() { c.counter, c.changed = c.counter+1, true }

// challenge is GET CHALLENGE (ISO/IEC 7816-4, 7.5.3): random bytes.
func (c *Card) challenge(cmd Command) ([]byte, Status) {
	if cmd.P1 != 0 || cmd.P2 != 0 {
		return nil, WrongParameters
	}
	b := make([]byte, min(cmd.Le, 256))
	if _, err := io.ReadFull(c.rand, b); err != nil {
		return nil, NoDiagnosis
	}
	return b, OK
}
