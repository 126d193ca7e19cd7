package card

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"
	"testing"
)

// send sends a command, by chaining if it is long and by GET RESPONSE if the
// answer is.
func send(t *testing.T, c *Card, head string, data []byte) []byte {
	t.Helper()
	h := unhex(t, head)
	for len(data) > 255 {
		raw := append([]byte{h[0] | 0x10, h[1], h[2], h[3], 255}, data[:255]...)
		if answer := c.Transmit(raw); !bytes.Equal(answer, []byte{0x90, 0}) {
			t.Fatalf("%s: a piece of the chain: %X", head, answer)
		}
		data = data[255:]
	}
	if len(data) > 0 {
		h = append(append(h, byte(len(data))), data...)
	}
	answer := c.Transmit(append(h, 0))
	all := answer[:len(answer)-2]
	for answer[len(answer)-2] == 0x61 {
		answer = c.Transmit([]byte{0, insGetResponse, 0, 0, answer[len(answer)-1]})
		all = append(all, answer[:len(answer)-2]...)
	}
	if Status(answer[len(answer)-2])<<8|Status(answer[len(answer)-1]) != OK {
		t.Fatalf("%s: %X", head, answer)
	}
	return all
}

// withKey is a blank card with a generated key, selected; nothing needs a right.
func withKey(t *testing.T, kind Kind, bits int) *Card {
	t.Helper()
	c := blank()
	send(t, c, "00E00000", unhex(t, fmt.Sprintf("62178102%04X8201%02X83024B0186031111FF850200008A0100", bits, byte(kind))))
	var exponent []byte
	if kind == RSAKey {
		exponent = unhex(t, "30058103010001")
	}
	send(t, c, "00460000", exponent)
	return c
}

func publicRSA(t *testing.T, c *Card, bits int) *rsa.PublicKey {
	t.Helper()
	n := send(t, c, "00CA0101", nil)
	if len(n) != bits/8 || n[0] < 0x80 {
		t.Fatalf("modulus of %d bytes, %02x", len(n), n[0])
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
}

func TestSignRSA(t *testing.T) {
	for _, bits := range []int{1024, 2048} {
		c := withKey(t, RSAKey, bits)
		pub := publicRSA(t, c, bits)
		digest := sha256.Sum256([]byte("request"))
		info := append(unhex(t, "3031300d060960864801650304020105000420"), digest[:]...)

		send(t, c, "002241B6", unhex(t, "80010281024B01840100"))
		padded := send(t, c, "002A9E9A", info)
		if err := rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], padded); err != nil {
			t.Errorf("%d bits, padded on the card: %v", bits, err)
		}

		block := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, bits/8)...)[:bits/8]
		copy(block[bits/8-len(info)-1:], append([]byte{0}, info...))
		send(t, c, "002241B6", unhex(t, "80010081024B01840100"))
		if raw := send(t, c, "002A9E9A", block); !bytes.Equal(raw, padded) {
			t.Errorf("%d bits: the raw block gives another signature", bits)
		}
		if _, status := c.env.key.key.rsa.power(pub.N.Bytes()); status != WrongData {
			t.Errorf("%d bits: a block not less than the modulus: %v", bits, status)
		}
		if _, status := c.env.key.key.rsa.power(block[1:]); status != WrongLength {
			t.Errorf("%d bits: a short block: %v", bits, status)
		}
		if _, status := c.env.key.key.rsa.sign(algorithmRSAPKCS1, make([]byte, bits/8-10)); status != WrongLength {
			t.Errorf("%d bits: too much to pad: %v", bits, status)
		}
	}
}

func TestDecipher(t *testing.T) {
	c := withKey(t, RSAKey, 1024)
	pub := publicRSA(t, c, 1024)
	cryptogram := func(block []byte) []byte {
		x := new(big.Int).SetBytes(block)
		return append([]byte{0}, x.Exp(x, big.NewInt(65537), pub.N).FillBytes(make([]byte, 128))...)
	}
	block := append([]byte{0, 2}, bytes.Repeat([]byte{0x55}, 126)...)
	block[100] = 0
	send(t, c, "002241B8", unhex(t, "80010281024B01840100"))
	if plain := send(t, c, "002A8086", cryptogram(block)); !bytes.Equal(plain, block[101:]) {
		t.Errorf("plain value %x", plain)
	}
	block[3] = 0 // fewer than eight bytes of padding
	if _, status := c.env.key.key.rsa.decipher(algorithmRSAPKCS1, cryptogram(block)); status != WrongData {
		t.Errorf("bad padding: %v", status)
	}
	send(t, c, "002241B8", unhex(t, "80010081024B01840100"))
	if plain := send(t, c, "002A8086", cryptogram(block)); !bytes.Equal(plain, block) {
		t.Errorf("raw block %x", plain)
	}
}

func TestSignEC(t *testing.T) {
	for bits, curve := range map[int]elliptic.Curve{256: elliptic.P256(), 384: elliptic.P384(), 521: elliptic.P521()} {
		c := withKey(t, ECKey, bits)
		_, point, rest, ok := nextTLV(send(t, c, "00CA0186", nil))
		if !ok || len(rest) > 0 {
			t.Fatal("no point")
		}
		pub, err := ecdsa.ParseUncompressedPublicKey(curve, point)
		if err != nil {
			t.Fatal(err)
		}
		send(t, c, "002241B6", unhex(t, "80010481024B01840100"))
		for i := range 8 {
			digest := sha256.Sum256([]byte{byte(i)})
			hash := append(make([]byte, (bits+7)/8-32), digest[:]...)
			if sig := send(t, c, "002A9E9A", hash); !ecdsa.VerifyASN1(pub, digest[:], sig) {
				t.Errorf("P-%d: signature %x does not verify", bits, sig)
			}
		}
	}
}

// A source of randomness that is broken breaks nothing else.
func TestBrokenRandom(t *testing.T) {
	for name, random := range map[string]*bytes.Reader{"empty": bytes.NewReader(nil), "zeros": bytes.NewReader(make([]byte, 1<<20))} {
		for _, kind := range []Kind{RSAKey, ECKey} {
			c := withKey(t, ECKey, 256)
			c.rand = random
			c.current.kind, c.current.size, c.current.key = kind, 1024, nil
			if kind == ECKey {
				c.current.size = 256
			}
			raw := unhex(t, "00460000")
			if kind == RSAKey {
				raw = unhex(t, "00460000 07 30058103010001")
			}
			if answer := c.Transmit(raw); !bytes.Equal(answer, []byte{0x6f, 0}) {
				t.Errorf("%s, kind %x: %X", name, kind, answer)
			}
		}
	}
}
