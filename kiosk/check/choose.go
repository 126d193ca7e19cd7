package check

import (
	"bytes"
	"crypto/x509"
	"slices"

	"mohr.internal/kiosk/profile"
)

// Object is one thing on the token: a certificate, a key, or both as the token
// layer joined them.
type Object struct {
	ID             []byte // CKA_ID
	Label          string
	CertificateDER []byte // empty for a bare key
	PublicKeyDER   []byte // SubjectPublicKeyInfo if the token tells it
	HasPrivate     bool
}

// Candidate is a holder's certificate that could be renewed.
type Candidate struct {
	Certificate *x509.Certificate
	Holder      Holder
	Object      int  // index of its object
	HasPrivate  bool // its private key was seen; without a login it may be hidden
}

// Choice is what Choose makes of a token.
type Choice struct {
	Findings
	Candidates []Candidate         // one: this is it; more: the holder chooses; newest first
	Holders    []*x509.Certificate // all holders' certificates, for Input.Holders
	CAs        []*x509.Certificate // for Input.Extra
	KeyOnly    []int               // objects with a key and no certificate
}

// maxObjects bounds what is looked at; no token holds that many certificates.
const maxObjects = 256

// Choose finds the certificate to renew among a token's objects. loggedIn
// says whether private objects could be seen: before the PIN a missing key
// means nothing.
//
// CA certificates and duplicates are set apart; a certificate counts with a
// private key under its CKA_ID and with its public key. Of several for the same
// subject from the same issuer the newest is taken. Those whose key usage can
// protect a request and whose issuer is pinned go before others.
func Choose(p *profile.Profile, objects []Object, loggedIn bool, clock Clock) Choice {
	var c Choice
	objects = objects[:min(len(objects), maxObjects)]
	for i, o := range objects {
		if len(o.CertificateDER) == 0 {
			continue
		}
		cert, err := ParseCertificate(o.CertificateDER)
		switch {
		case err != nil:
			c.add(TokenBadCertificate, Warn, "object %d: %v", i, err)
		case cert.IsCA:
			c.CAs = append(c.CAs, cert)
		case slices.ContainsFunc(c.Holders, cert.Equal):
			c.add(TokenDuplicate, Info, "object %d", i)
			c.join(objects, cert, i)
		default:
			c.Holders = append(c.Holders, cert)
			holder, _ := Subject(p, cert)
			c.Candidates = append(c.Candidates, Candidate{Certificate: cert, Holder: holder, Object: i})
			c.join(objects, cert, i)
		}
	}
	c.bareKeys(objects)
	if len(c.Holders) == 0 {
		if len(c.KeyOnly) > 0 {
			c.add(TokenNoCertificate, Refuse, "%d keys", len(c.KeyOnly))
		} else {
			c.add(TokenEmpty, Refuse, "no holder's certificate")
		}
		return c
	}
	if loggedIn && !c.dropKeyless() {
		c.add(TokenNoKey, Refuse, "%d certificates", len(c.Holders))
		return c
	}
	c.narrow(p, clock)
	if len(c.Candidates) > 1 {
		c.add(TokenChoose, Info, "%d certificates", len(c.Candidates))
	}
	return c
}

// join looks for the private key of a certificate in object at.
func (c *Choice) join(objects []Object, cert *x509.Certificate, at int) {
	mismatch := false
	for _, o := range objects {
		if !o.HasPrivate || len(o.ID) == 0 && len(o.PublicKeyDER) == 0 {
			continue
		}
		sameID := len(o.ID) > 0 && bytes.Equal(o.ID, objects[at].ID)
		sameKey := bytes.Equal(o.PublicKeyDER, cert.RawSubjectPublicKeyInfo)
		switch {
		case sameKey, sameID && len(o.PublicKeyDER) == 0:
			for i := range c.Candidates {
				if c.Candidates[i].Certificate.Equal(cert) {
					c.Candidates[i].HasPrivate = true
				}
			}
			return
		case sameID:
			mismatch = true
		}
	}
	if mismatch {
		c.add(TokenMismatch, Warn, "object %d: another key under its CKA_ID", at)
	}
}

// bareKeys lists private keys to which no certificate belongs. Those under a
// certificate's CKA_ID are found already, as TOKEN-MISMATCH.
func (c *Choice) bareKeys(objects []Object) {
	found := 0
	for i, o := range objects {
		if !o.HasPrivate || len(o.CertificateDER) > 0 {
			continue
		}
		if !slices.ContainsFunc(c.Candidates, func(one Candidate) bool {
			return belongs(o, objects[one.Object].ID, one.Certificate)
		}) {
			c.KeyOnly = append(c.KeyOnly, i)
			if !slices.ContainsFunc(c.Candidates, func(one Candidate) bool {
				return len(o.ID) > 0 && bytes.Equal(o.ID, objects[one.Object].ID)
			}) {
				found++
			}
		}
	}
	if found > 0 && len(c.Holders) > 0 {
		c.add(TokenKeyOnly, Info, "%d keys", found)
	}
}

func belongs(key Object, id []byte, cert *x509.Certificate) bool {
	if len(key.PublicKeyDER) > 0 {
		return bytes.Equal(key.PublicKeyDER, cert.RawSubjectPublicKeyInfo)
	}
	return len(id) > 0 && bytes.Equal(key.ID, id)
}

// dropKeyless sets certificates without a key apart; false if that leaves none.
func (c *Choice) dropKeyless() bool {
	keyless := func(one Candidate) bool { return !one.HasPrivate }
	all := len(c.Candidates)
	c.Candidates = slices.DeleteFunc(c.Candidates, keyless)
	if n := all - len(c.Candidates); n > 0 && n < all {
		c.add(TokenCertificateOnly, Info, "%d certificates", n)
	}
	return len(c.Candidates) > 0
}

// narrow keeps the best candidates: usable ones before others, then the newest
// of each subject and issuer.
func (c *Choice) narrow(p *profile.Profile, clock Clock) {
	best := 0
	rank := func(one Candidate) int {
		n := 0
		var f Findings
		if usage(one.Certificate, &f); f == nil {
			n++
		}
		in := Input{Profile: p, Leaf: one.Certificate, Extra: c.CAs, Clock: clock}
		if _, err := chainAt(in, one.Certificate.NotBefore); err == nil {
			n += 2
		}
		return n
	}
	for _, one := range c.Candidates {
		best = max(best, rank(one))
	}
	c.Candidates = slices.DeleteFunc(c.Candidates, func(one Candidate) bool { return rank(one) < best })
	slices.SortStableFunc(c.Candidates, func(a, b Candidate) int {
		return b.Certificate.NotBefore.Compare(a.Certificate.NotBefore)
	})
	var kept []Candidate
	for _, one := range c.Candidates {
		if !slices.ContainsFunc(kept, func(k Candidate) bool {
			return bytes.Equal(k.Certificate.RawSubject, one.Certificate.RawSubject) &&
				bytes.Equal(k.Certificate.RawIssuer, one.Certificate.RawIssuer)
		}) {
			kept = append(kept, one)
		}
	}
	c.Candidates = kept
}
