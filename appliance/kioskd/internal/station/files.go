package station

import (
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"time"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/signed"
	"mohr.internal/kiosk"
	"mohr.internal/kiosk/check"
	"mohr.internal/kiosk/profile"
)

// maxFile bounds key, certificate and profile files.
const maxFile = 1 << 20

// readFile reads a file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("station: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("station: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("station: %s is larger than %d bytes", path, limit)
	}
	return b, nil
}

// readPEM returns the blocks of one type; at least one must be there.
func readPEM(path, kind string) ([][]byte, error) {
	rest, err := readFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	var blocks [][]byte
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == kind {
			blocks = append(blocks, block.Bytes)
		}
	}
	if len(blocks) == 0 {
		return nil, fmt.Errorf("station: no %s in %s", kind, path)
	}
	return blocks, nil
}

func readKey(path string) (crypto.Signer, error) {
	blocks, err := readPEM(path, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(blocks[0])
	if err != nil {
		return nil, fmt.Errorf("station: %s: %w", path, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("station: %s: %T does not sign", path, key)
	}
	return signer, nil
}

func readCertificates(path string) ([]*x509.Certificate, error) {
	blocks, err := readPEM(path, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for _, b := range blocks {
		c, err := check.ParseCertificate(b)
		if err != nil {
			return nil, fmt.Errorf("station: %s: %w", path, err)
		}
		certs = append(certs, c)
	}
	return certs, nil
}

// readKeys loads the kiosk's own keys.
func readKeys(c config.Keys) (keys kiosk.Keys, err error) {
	if keys.RA, err = readKey(c.RA.Key); err != nil {
		return keys, err
	}
	certs, err := readCertificates(c.RA.Certificate)
	if err != nil {
		return keys, err
	}
	keys.RACert = certs[0]
	if keys.RAChain, err = readCertificates(c.RA.Chain); err != nil {
		return keys, err
	}
	keys.Receipt, err = readKey(c.Receipt.Key)
	return keys, err
}

// readProfile opens the signed profile and asks whether it may be served by.
func readProfile(c config.Profile, clock check.Clock) (*profile.Profile, error) {
	publisher, err := signed.Key(c.PublisherKey)
	if err != nil {
		return nil, err
	}
	file, err := readFile(c.File, profile.MaxSize)
	if err != nil {
		return nil, err
	}
	sig, err := readFile(c.Signature, ed25519.SignatureSize)
	if err != nil {
		return nil, err
	}
	var now time.Time // zero: the clock is not proven, age is not judged
	if clock.Proven {
		now = clock.Now
	}
	p, err := profile.Open(file, sig, publisher, 0, now)
	if err != nil {
		return nil, err
	}
	return p, check.Serve(p, clock).Err()
}

// crls returns a function that reads the CRL file anew each time: syncing brings
// newer ones. A file that is missing or bad is as good as no CRL, which the checks
// report as a warning.
func crls(path string, bad func(error)) func() []*x509.RevocationList {
	return func() []*x509.RevocationList {
		b, err := readFile(path, check.MaxCRL)
		if err == nil {
			var list *x509.RevocationList
			if list, err = check.ParseCRL(b); err == nil {
				return []*x509.RevocationList{list}
			}
		}
		bad(err)
		return nil
	}
}

// recipient is the DER name of the CA that requests go to.
func recipient(p *profile.Profile, commonName string) ([]byte, error) {
	for _, list := range [][]profile.Certificate{p.Anchors, p.Chain} {
		for _, c := range list {
			if c.Subject.CommonName == commonName {
				return c.RawSubject, nil
			}
		}
	}
	return nil, fmt.Errorf("station: profile %s has no CA certificate with the common name %q", p.ID, commonName)
}
