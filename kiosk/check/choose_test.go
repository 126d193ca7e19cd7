package check

import (
	"crypto"
	"crypto/x509"
	"math/big"
	"slices"
	"testing"
)

// tokenObjects is a set of objects under construction.
type tokenObjects struct {
	w       *world
	objects []Object
}

func (w *world) token() *tokenObjects { return &tokenObjects{w: w} }

// cert adds the world's leaf, after a change, under an ID.
func (o *tokenObjects) cert(id byte, change func(w *world)) *tokenObjects {
	w := *o.w
	change(&w)
	_, _, leaf := w.build()
	o.objects = append(o.objects, Object{ID: []byte{id}, Label: "certificate", CertificateDER: leaf.Raw})
	return o
}

// key adds a private key under an ID; nil: the module tells no public key.
func (o *tokenObjects) key(id byte, pub crypto.PublicKey) *tokenObjects {
	var spki []byte
	if pub != nil {
		var err error
		if spki, err = x509.MarshalPKIXPublicKey(pub); err != nil {
			o.w.t.Fatal(err)
		}
	}
	o.objects = append(o.objects, Object{ID: []byte{id}, Label: "key", PublicKeyDER: spki, HasPrivate: true})
	return o
}

func (o *tokenObjects) choose(loggedIn bool) Choice {
	return Choose(o.w.profile, o.objects, loggedIn, o.w.clock)
}

// chosen builds a token and returns what Choose found after the PIN.
func chosen(build func(o *tokenObjects)) func(w *world) Findings {
	return func(w *world) Findings {
		w.build()
		o := w.token()
		build(o)
		return o.choose(true).Findings
	}
}

// pair is a certificate with its key.
func pair(o *tokenObjects) { o.cert(1, asIs).key(1, leafKey.Public()) }

// another is a certificate of another subject with another key.
func another(w *world) { w.set(oidCommonName, "Other [Sign]"); w.key = otherKey.Public() }

var tokenBoundaries = []boundary{
	{TokenEmpty, Refuse, chosen(pair), chosen(func(o *tokenObjects) {}), nil},
	{TokenEmpty, Refuse, chosen(pair), chosen(func(o *tokenObjects) {
		_, issuing, _ := o.w.build()
		o.objects = append(o.objects, Object{ID: []byte{1}, CertificateDER: issuing.Raw})
	}), nil},
	{TokenNoCertificate, Refuse, chosen(pair), chosen(func(o *tokenObjects) { o.key(1, leafKey.Public()) }), nil},
	{TokenNoKey, Refuse, chosen(pair), chosen(func(o *tokenObjects) { o.cert(1, asIs) }), nil},
	{TokenNoKey, Refuse,
		func(w *world) Findings { w.build(); return w.token().cert(1, asIs).choose(false).Findings },
		chosen(func(o *tokenObjects) { o.cert(1, asIs) }), nil},
	{TokenBadCertificate, Warn, chosen(pair), chosen(func(o *tokenObjects) {
		pair(o)
		o.objects = append(o.objects, Object{ID: []byte{2}, CertificateDER: []byte{0x30, 0}})
	}), nil},
	{TokenCertificateOnly, Info,
		chosen(func(o *tokenObjects) { pair(o); o.cert(2, renewedLeaf).key(2, otherKey.Public()) }),
		chosen(func(o *tokenObjects) { pair(o); o.cert(2, renewedLeaf) }), nil},
	{TokenKeyOnly, Info, chosen(pair), chosen(func(o *tokenObjects) { pair(o); o.key(2, otherKey.Public()) }), nil},
	{TokenMismatch, Warn,
		func(w *world) Findings {
			w.build()
			return w.token().cert(1, asIs).key(1, leafKey.Public()).choose(false).Findings
		},
		func(w *world) Findings {
			w.build()
			return w.token().cert(1, asIs).key(1, otherKey.Public()).choose(false).Findings
		}, nil},
	{TokenDuplicate, Info, chosen(pair), chosen(func(o *tokenObjects) {
		pair(o)
		o.objects = append(o.objects, Object{ID: []byte{2}, CertificateDER: o.objects[0].CertificateDER})
	}), nil},
	{TokenChoose, Info,
		chosen(func(o *tokenObjects) { pair(o); o.cert(2, renewedLeaf).key(2, otherKey.Public()) }),
		chosen(func(o *tokenObjects) { pair(o); o.cert(2, another).key(2, otherKey.Public()) }), nil},
}

// renewedLeaf is a younger certificate of the same subject.
func renewedLeaf(w *world) {
	w.leaf.NotBefore, w.leaf.SerialNumber, w.key = now.Add(-day), big.NewInt(77), otherKey.Public()
}

// TestChoose is about which one is taken.
func TestChoose(t *testing.T) {
	for _, tt := range []struct {
		why      string
		build    func(o *tokenObjects)
		loggedIn bool
		want     []int // objects of the candidates
	}{
		{"one", pair, true, []int{0}},
		{"key found by CKA_ID alone", func(o *tokenObjects) { o.cert(1, asIs).key(1, nil) }, true, []int{0}},
		{"key found by public key under another CKA_ID", func(o *tokenObjects) { o.cert(1, asIs).key(9, leafKey.Public()) }, true, []int{0}},
		{"the younger of two, whatever the order", func(o *tokenObjects) {
			o.cert(1, renewedLeaf).key(1, otherKey.Public()).cert(2, asIs).key(2, leafKey.Public())
		}, true, []int{0}},
		{"the younger without a key is passed over", func(o *tokenObjects) {
			o.cert(1, asIs).key(1, leafKey.Public()).cert(2, renewedLeaf)
		}, true, []int{0}},
		{"before the PIN keys say nothing", func(o *tokenObjects) {
			o.cert(1, asIs).key(1, leafKey.Public()).cert(2, renewedLeaf)
		}, false, []int{2}},
		{"two people, younger first", func(o *tokenObjects) {
			o.cert(1, asIs).cert(2, func(w *world) { another(w); w.leaf.NotBefore = now })
		}, false, []int{1, 0}},
		{"pinned goes before foreign", func(o *tokenObjects) {
			o.cert(1, func(w *world) { another(w); w.issuer = otherKey; w.leaf.NotBefore = now }).cert(2, asIs)
		}, false, []int{1}},
		{"a foreign one alone is still shown, to be refused by name", func(o *tokenObjects) {
			o.cert(1, func(w *world) { w.issuer = otherKey })
		}, false, []int{0}},
		{"signing goes before nonRepudiation", func(o *tokenObjects) {
			o.cert(1, func(w *world) { renewedLeaf(w); w.leaf.KeyUsage = x509.KeyUsageContentCommitment }).cert(2, asIs)
		}, false, []int{1}},
		{"sign and stamp: the holder chooses", func(o *tokenObjects) {
			o.cert(1, asIs).cert(2, func(w *world) { w.set(oidCommonName, "Pars [Stamp]").set(oidSerial, "10380284790") })
		}, false, []int{0, 1}},
		{"CA certificates and the same one twice are no choice", func(o *tokenObjects) {
			_, issuing, _ := o.w.build()
			o.objects = append(o.objects, Object{ID: []byte{1}, CertificateDER: issuing.Raw})
			pair(o)
			o.objects = append(o.objects, o.objects[1])
		}, true, []int{1}},
		{"old and new under one CKA_ID, each with its key", func(o *tokenObjects) {
			o.cert(1, asIs).key(1, leafKey.Public()).cert(1, renewedLeaf).key(1, otherKey.Public())
		}, true, []int{2}},
		{"old and new under one CKA_ID, only the old one's key", func(o *tokenObjects) {
			o.cert(1, asIs).cert(1, renewedLeaf).key(1, leafKey.Public())
		}, true, []int{0}},
		{"a key without a certificate is none", func(o *tokenObjects) {
			o.key(7, otherKey.Public())
			pair(o)
		}, true, []int{1}},
		{"expired ones count", func(o *tokenObjects) { o.cert(1, endsIn(-day)) }, false, []int{0}},
	} {
		w := newWorld(t)
		w.build()
		o := w.token()
		tt.build(o)
		c := o.choose(tt.loggedIn)
		var got []int
		for _, one := range c.Candidates {
			got = append(got, one.Object)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: candidates %v, want %v; %v", tt.why, got, tt.want, c.Findings)
		}
	}
}

// TestChooseLists: what is handed on to the other checks.
func TestChooseLists(t *testing.T) {
	w := newWorld(t)
	_, issuing, _ := w.build()
	o := w.token().cert(1, asIs).key(1, leafKey.Public()).key(3, otherKey.Public())
	o.objects = append(o.objects, Object{CertificateDER: issuing.Raw}, o.objects[0])
	c := o.choose(true)
	if len(c.Holders) != 1 || len(c.CAs) != 1 || !slices.Equal(c.KeyOnly, []int{2}) || !c.Candidates[0].HasPrivate || c.Candidates[0].Holder.ID != "0499370899" {
		t.Errorf("%+v", c)
	}
	many := slices.Repeat([]Object{o.objects[2]}, maxObjects)
	if c := Choose(w.profile, append(many, o.objects[0]), false, w.clock); len(c.Holders) != 0 {
		t.Errorf("looked at more than %d objects", maxObjects)
	}
}
