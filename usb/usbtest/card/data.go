package card

// Version is the applet version that GET DATA 01A0 tells. From 4.5 on OpenSC
// chains commands; before, raw RSA blocks arrive in pieces with prefixes.
var Version = [3]byte{4, 5, 5}

// features is the answer to GET DATA 01AA (MyEID reference manual, card
// capabilities): version 01, features RSA (01) and ECC (08), then the greatest
// sizes of RSA, DES, AES and ECC keys in bits.
var features = []byte{0x01, 0x00, 0x09, 4096 >> 8, 4096 & 0xff, 0, 0, 0, 0, 521 >> 8, 521 & 0xff}

// getData is GET DATA (ISO/IEC 7816-4, 7.4.2; the objects are MyEID's).
func (c *Card) getData(cmd Command) ([]byte, Status) {
	if cmd.P1 != 0x01 {
		return nil, DataNotFound
	}
	if len(cmd.Data) != 0 {
		return nil, WrongLength
	}
	switch cmd.P2 {
	case 0xa0: // applet information, 20 bytes exactly
		b := append([]byte{0xa0, 0x00, 0x00, 0x00, 0x63}, Version[:]...)
		b = append(b, c.serial[:]...)
		return append(b, byte(c.counter>>8), byte(c.counter)), OK
	case 0xa1: // ids of the files in the current DF
		b := []byte{}
		for _, f := range c.dir.children {
			b = append(b, byte(f.id>>8), byte(f.id))
		}
		return b, OK
	case 0xaa:
		return features, OK
	case 0x01, 0x02, 0x86:
		return c.publicKey(cmd.P2)
	}
	return nil, DataNotFound
}

// putData is PUT DATA (ISO/IEC 7816-4, 7.4.3; the objects are MyEID's). The
// import of keys, 0180 to 0189, is not implemented.
func (c *Card) putData(cmd Command) ([]byte, Status) {
	switch {
	case cmd.P1 != 0x01:
		return nil, DataNotFound
	case cmd.P2 >= 1 && cmd.P2 <= maxReference:
		return nil, c.putPIN(cmd.P2, cmd.Data)
	case cmd.P2 == 0xe0:
		return nil, c.initialise(cmd.Data)
	}
	return nil, DataNotFound
}
