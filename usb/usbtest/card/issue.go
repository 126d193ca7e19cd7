package card

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"
)

// IssuedID is the CKA_ID of the key pair and the certificate that Issue makes.
const IssuedID = 0x01

// Where OpenSC puts the first key pair and its certificate in the application DF.
const (
	idFirstKey         = 0x4b01
	idFirstPublic      = 0x5501
	idFirstCertificate = 0x4301
	issuedBits         = 2048
)

// Issue makes of an initialised card one as an office hands it out: an RSA-2048
// key generated on the card and a certificate for it. issue gets the public key
// as SubjectPublicKeyInfo and returns the certificate, both DER. What is on the
// card afterwards is what these leave through OpenSC 0.23:
//
//	pkcs11-tool --login --keypairgen --key-type rsa:2048 --id 01 --label LABEL
//	pkcs11-tool --login --write-object FILE --type cert --id 01 --label LABEL
func (c *Card) Issue(pin, label string, issue func(spki []byte) ([]byte, error)) (certificate []byte, err error) {
	if label == "" || len(label) > 100 {
		return nil, fmt.Errorf("card: issue: label %q", label)
	}
	c.Reset()
	defer c.Reset()
	if err := c.do("generate",
		step{insSelect, 0x080c, []byte{idApplication >> 8, idApplication & 0xff}},
		step{insVerify, userReference, padded(pin)},
		step{insCreateFile, 0, keyTemplate(idFirstKey, RSAKey, issuedBits)},
		step{insGenerate, 0, []byte{0x30, 5, 0x81, 3, 1, 0, 1}},
	); err != nil {
		return nil, err
	}
	n := c.current.key.rsa.n
	spki, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: int(rsaExponent.Int64())})
	if err != nil {
		return nil, fmt.Errorf("card: issue: %w", err)
	}
	if certificate, err = issue(spki); err != nil {
		return nil, fmt.Errorf("card: issue: %w", err)
	}
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, fmt.Errorf("card: issue: %w", err)
	}
	for _, f := range issuedFiles(label, n, parsed) {
		if err := c.do(fmt.Sprintf("file %04x", f.id), f.steps()...); err != nil {
			return nil, err
		}
	}
	for _, f := range issuedEntries(label, parsed.RawSubject) {
		to := []byte{idApplication >> 8, idApplication & 0xff, byte(f.id >> 8), byte(f.id)}
		if err := c.do(fmt.Sprintf("directory %04x", f.id), append([]step{{insSelect, 0x080c, to}}, f.updates()...)...); err != nil {
			return nil, err
		}
	}
	return certificate, nil
}

func (c *Card) do(what string, steps ...step) error {
	for _, s := range steps {
		if status := s.run(c); status != OK {
			return fmt.Errorf("card: issue: %s: command %02x %04x: %v", what, s.instruction, s.parameters, status)
		}
	}
	return nil
}

func keyTemplate(id uint16, kind Kind, bits int) []byte {
	t := tlv(0x81, byte(bits>>8), byte(bits))
	t = append(t, tlv(0x82, byte(kind))...)
	t = append(t, tlv(0x83, byte(id>>8), byte(id))...)
	return tlv(0x62, append(t, tlv(0x86, 0x11, 0x11, 0xff)...)...)
}

// issuedFiles are the public key (PKCS #1) and the certificate.
func issuedFiles(label string, n *big.Int, certificate *x509.Certificate) []profileFile {
	public := x509.MarshalPKCS1PublicKey(&rsa.PublicKey{N: n, E: int(rsaExponent.Int64())})
	df, access := []byte{idApplication >> 8, idApplication & 0xff}, Access{0x01, 0x1f, 0xff}
	return []profileFile{
		{df, idFirstPublic, len(public), access, public},
		{df, idFirstCertificate, len(certificate.Raw), access, certificate.Raw},
	}
}

// issuedEntries are what stands in the directory files PrKDF, PuKDF and CDF
// (PKCS #15, 6.4, 6.5 and 6.7): label and flags, ID and usage, path.
func issuedEntries(label string, subject []byte) []profileFile {
	name := tlv(0x0c, []byte(label)...)
	join := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	sequence := func(parts ...[]byte) []byte { return tlv(0x30, join(parts...)...) }
	id := tlv(0x04, IssuedID)
	path := func(file uint16) []byte {
		return sequence(tlv(0x04, idMF>>8, idMF&0xff, idApplication>>8, idApplication&0xff, byte(file>>8), byte(file)))
	}
	size := tlv(0x02, issuedBits>>8, issuedBits&0xff)
	private := sequence(
		sequence(name, tlv(0x03, 0x06, 0xc0), tlv(0x04, 0x01)), // private, modifiable; the user's PIN
		sequence(id, tlv(0x03, 0x04, 0x70), tlv(0x02, 0x01)),   // decrypt, sign, signRecover; reference
		tlv(0xa0, sequence(subject)...),                        //
		tlv(0xa1, sequence(path(idFirstKey), size)...),         //
	)
	public := sequence(
		sequence(name, tlv(0x03, 0x06, 0x40)),
		sequence(id, tlv(0x03, 0x00, 0x83), tlv(0x01, 0x00), tlv(0x02, 0x00)), // usage, not native, reference
		tlv(0xa1, sequence(path(idFirstPublic), size)...),
	)
	certificate := sequence(
		sequence(name, tlv(0x03, 0x06, 0x40)),
		sequence(id),
		tlv(0xa1, sequence(path(idFirstCertificate))...),
	)
	return []profileFile{{id: 0x4402, content: private}, {id: 0x4404, content: public}, {id: 0x4403, content: certificate}}
}
