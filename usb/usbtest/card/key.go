package card

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"io"
	"math/big"
)

// key is what a key file holds once it is generated: one of the two. Keys are
// kept as numbers and not as crypto/rsa and crypto/ecdsa values, because these
// no longer take a source of randomness and the card works on raw blocks.
type key struct {
	rsa *rsaKey
	ec  *ecdh.PrivateKey
}

var curves = map[int]ecdh.Curve{256: ecdh.P256(), 384: ecdh.P384(), 521: ecdh.P521()}

// supported tells which sizes in bits the card makes keys of.
func supported(kind Kind, bits int) bool {
	if kind == RSAKey {
		return bits >= 1024 && bits <= 4096 && bits%256 == 0
	}
	return kind == ECKey && curves[bits] != nil
}

// rsaExponent is the only public exponent.
var rsaExponent = big.NewInt(65537)

// rsaKey is an RSA key by its primes.
type rsaKey struct{ p, q, n, d *big.Int }

func newRSA(p, q *big.Int) (*rsaKey, bool) {
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	k := &rsaKey{p: p, q: q, n: new(big.Int).Mul(p, q)}
	k.d = new(big.Int).ModInverse(rsaExponent, phi)
	return k, k.d != nil && p.Cmp(q) != 0
}

// generateRSA draws primes with the two top bits set, so that the modulus has
// its full length.
func generateRSA(random io.Reader, bits int) (*rsaKey, error) {
	for range 100 {
		p, err := prime(random, bits/2)
		if err != nil {
			return nil, err
		}
		q, err := prime(random, bits/2)
		if err != nil {
			return nil, err
		}
		if k, ok := newRSA(p, q); ok {
			return k, nil
		}
	}
	return nil, errors.New("card: the random source gives no two primes")
}

// prime draws odd numbers until one is a prime; one in 0.35 bits is. A source that
// repeats itself is broken.
func prime(random io.Reader, bits int) (*big.Int, error) {
	b, last, p := make([]byte, bits/8), []byte(nil), new(big.Int)
	for range 8 * bits {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, err
		}
		if bytes.Equal(b, last) {
			break
		}
		last = append(last[:0], b...)
		b[0] |= 0xc0
		b[len(b)-1] |= 1
		if p.SetBytes(b).ProbablyPrime(8) {
			return p, nil
		}
	}
	return nil, errors.New("card: the random source gives no prime")
}

// generateEC draws a private scalar; one outside the range is drawn again.
func generateEC(random io.Reader, bits int) (*ecdh.PrivateKey, error) {
	b := make([]byte, (bits+7)/8)
	for range 100 {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, err
		}
		if bits%8 != 0 {
			b[0] &= 1<<(bits%8) - 1
		}
		if k, err := curves[bits].NewPrivateKey(b); err == nil {
			return k, nil
		}
	}
	return nil, errors.New("card: the random source gives no scalar")
}

// generate is GENERATE ASYMMETRIC KEY PAIR (ISO/IEC 7816-8, 5.1) into the
// selected key file: 3005 8103 010001 for RSA, no data for EC. What the file
// held before is gone.
func (c *Card) generate(cmd Command) ([]byte, Status) {
	f := c.current
	switch {
	case cmd.P1 != 0 || cmd.P2 != 0:
		return nil, WrongParameters
	case f == nil || f.kind != RSAKey && f.kind != ECKey:
		return nil, NotNow
	case !c.allowed(f, generateRight):
		return nil, NotAllowed
	case f.kind == RSAKey && !bytes.Equal(cmd.Data, []byte{0x30, 5, 0x81, 3, 1, 0, 1}), f.kind == ECKey && len(cmd.Data) != 0:
		return nil, WrongData
	}
	made, err := &key{}, error(nil)
	if f.kind == RSAKey {
		made.rsa, err = generateRSA(c.rand, f.size)
	} else {
		made.ec, err = generateEC(c.rand, f.size)
	}
	if err != nil {
		return nil, NoDiagnosis
	}
	f.key = made
	c.touch()
	return nil, OK
}

// publicKey is GET DATA 0101 (modulus, as long as the key), 0102 (exponent) and
// 0186 (point of an EC key, in an object 86) of the selected key file.
func (c *Card) publicKey(object byte) ([]byte, Status) {
	f := c.current
	if f == nil || f.kind != RSAKey && f.kind != ECKey {
		return nil, NotNow
	}
	switch {
	case f.key == nil, (f.kind == ECKey) != (object == 0x86):
		return nil, DataNotFound
	case object == 0x86:
		return tlv(0x86, f.key.ec.PublicKey().Bytes()...), OK
	case object == 0x02:
		return rsaExponent.Bytes(), OK
	}
	return f.key.rsa.n.FillBytes(make([]byte, f.size/8)), OK
}
