package card

import (
	"bytes"
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
)

// environment is the current security environment (ISO/IEC 7816-4, 6.3):
// what for, how, with which key.
type environment struct {
	purpose   byte // templateSign or templateDecipher
	algorithm byte
	key       *file
}

const (
	templateSign     = 0xb6 // digital signature template
	templateDecipher = 0xb8 // confidentiality template

	algorithmRSARaw   = 0x00
	algorithmRSAPKCS1 = 0x02
	algorithmEC       = 0x04
)

// setEnvironment is MANAGE SECURITY ENVIRONMENT SET (ISO/IEC 7816-4, 7.5.11):
// 80 algorithm, 81 key file, 84 key in the file, always 00. Without 81 the
// selected key file is meant.
func (c *Card) setEnvironment(cmd Command) ([]byte, Status) {
	c.env = nil
	if cmd.P1 != 0x41 || cmd.P2 != templateSign && cmd.P2 != templateDecipher {
		return nil, WrongParameters
	}
	objects, ok := readTLVs(cmd.Data)
	if !ok {
		return nil, WrongData
	}
	e := &environment{purpose: cmd.P2, key: c.current}
	for tag, value := range objects {
		switch {
		case tag == 0x80 && len(value) == 1:
			e.algorithm = value[0]
		case tag == 0x81 && len(value) == 2:
			if e.key = c.find(binary.BigEndian.Uint16(value)); e.key == nil {
				return nil, FileNotFound
			}
		case tag == 0x84 && len(value) == 1 && value[0] == 0:
		default:
			return nil, WrongData
		}
	}
	if e.key == nil || e.key.kind != RSAKey && e.key.kind != ECKey {
		return nil, NotNow
	}
	switch e.algorithm {
	case algorithmRSARaw, algorithmRSAPKCS1:
		ok = e.key.kind == RSAKey
	case algorithmEC:
		ok = e.key.kind == ECKey && e.purpose == templateSign
	default:
		return nil, WrongData // SHA-1 on the card (bit 10) and symmetric ciphers
	}
	if !ok {
		return nil, NotNow
	}
	c.env = e
	return nil, OK
}

// perform is PERFORM SECURITY OPERATION (ISO/IEC 7816-8, 5.2): COMPUTE DIGITAL
// SIGNATURE 9E9A and DECIPHER 8086. A key that wants consent wants its PIN
// presented again for each operation.
func (c *Card) perform(cmd Command) ([]byte, Status) {
	e := c.env
	sign := cmd.P1 == 0x9e && cmd.P2 == 0x9a
	switch {
	case !sign && (cmd.P1 != 0x80 || cmd.P2 != 0x86):
		return nil, WrongParameters
	case e == nil || sign != (e.purpose == templateSign) || e.key.key == nil:
		return nil, NotNow
	case !c.allowed(e.key, cryptoRight):
		return nil, NotAllowed
	}
	if ref := e.key.consent(); c.active && ref != 0 {
		if ref > maxReference || !c.fresh[ref] {
			return nil, NotAllowed
		}
		c.fresh[ref] = false
	}
	switch {
	case !sign:
		return e.key.key.rsa.decipher(e.algorithm, cmd.Data)
	case e.algorithm == algorithmEC:
		return c.signEC(e.key, cmd.Data)
	}
	return e.key.key.rsa.sign(e.algorithm, cmd.Data)
}

// power is the RSA private operation. A block of the wrong length is 6700, one
// that is not less than the modulus 6A80.
func (k *rsaKey) power(block []byte) ([]byte, Status) {
	size := (k.n.BitLen() + 7) / 8
	x := new(big.Int).SetBytes(block)
	switch {
	case len(block) != size:
		return nil, WrongLength
	case x.Cmp(k.n) >= 0:
		return nil, WrongData
	}
	return x.Exp(x, k.d, k.n).FillBytes(make([]byte, size)), OK
}

// sign signs a whole block, or what PKCS#1 block type 1 (RFC 8017, 9.2) is put
// around.
func (k *rsaKey) sign(algorithm byte, data []byte) ([]byte, Status) {
	if algorithm == algorithmRSARaw {
		return k.power(data)
	}
	size := (k.n.BitLen() + 7) / 8
	if len(data) == 0 || len(data) > size-11 {
		return nil, WrongLength
	}
	block := bytes.Repeat([]byte{0xff}, size)
	block[0], block[1], block[size-len(data)-1] = 0, 1, 0
	copy(block[size-len(data):], data)
	return k.power(block)
}

// decipher takes 00 and a cryptogram; PKCS#1 block type 2 (RFC 8017, 7.2.2) is
// taken off for algorithm 02.
func (k *rsaKey) decipher(algorithm byte, data []byte) ([]byte, Status) {
	if len(data) == 0 || data[0] != 0 {
		return nil, WrongData
	}
	block, status := k.power(data[1:])
	if status != OK || algorithm == algorithmRSARaw {
		return block, status
	}
	end := bytes.IndexByte(block[2:], 0)
	if block[0] != 0 || block[1] != 2 || end < 8 {
		return nil, WrongData
	}
	return block[2+end+1:], OK
}

// signEC is ECDSA (FIPS 186-5, 6.4.1) on a hash that the other side has padded
// with zeros on the left to the length of the field. The answer is a DER
// SEQUENCE of two INTEGERs. The nonce's point is made by crypto/ecdh.
func (c *Card) signEC(f *file, hash []byte) ([]byte, Status) {
	if len(hash) != (f.size+7)/8 {
		return nil, WrongLength
	}
	n, d := order(f.size), new(big.Int).SetBytes(f.key.ec.Bytes())
	z := new(big.Int).SetBytes(hash)
	for range 100 {
		nonce, err := generateEC(c.rand, f.size)
		if err != nil {
			return nil, NoDiagnosis
		}
		k := new(big.Int).SetBytes(nonce.Bytes())
		x := nonce.PublicKey().Bytes()[1 : 1+(f.size+7)/8]
		r := new(big.Int).SetBytes(x)
		r.Mod(r, n)
		s := new(big.Int).Mul(r, d)
		s.Add(s, z).Mul(s, k.ModInverse(k, n)).Mod(s, n)
		if r.Sign() == 0 || s.Sign() == 0 {
			continue
		}
		der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
		if err != nil {
			return nil, NoDiagnosis
		}
		return der, OK
	}
	return nil, NoDiagnosis
}

// order is the order of the base point (FIPS 186-5 refers to SP 800-186, 3.2.1).
func order(bits int) *big.Int {
	switch bits {
	case 256:
		return elliptic.P256().Params().N
	case 384:
		return elliptic.P384().Params().N
	}
	return elliptic.P521().Params().N
}
