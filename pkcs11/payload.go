package pkcs11

import "crypto"

// message is the payload of one verb in one direction.
type message interface {
	put(*writer)
	get(*reader)
}

// requests makes an empty request for each verb.
var requests = map[Verb]func() message{
	VerbTokens:           func() message { return &nothing{} },
	VerbSelect:           func() message { return &TokenName{} },
	VerbObjects:          func() message { return &objectsRequest{} },
	VerbLogin:            func() message { return &loginRequest{} },
	VerbLogout:           func() message { return &nothing{} },
	VerbLoginState:       func() message { return &nothing{} },
	VerbGenerateKey:      func() message { return &KeySpec{} },
	VerbSign:             func() message { return &signRequest{} },
	VerbWriteCertificate: func() message { return &writeRequest{} },
	VerbReadCertificates: func() message { return &keyRequest{} },
	VerbChangePIN:        func() message { return &changePINRequest{} },
	VerbRetire:           func() message { return &Retirement{} },
	VerbRandom:           func() message { return &randomRequest{} },
	VerbExit:             func() message { return &nothing{} },
}

// encode gives the bytes of a message.
func encode(m message) []byte {
	var w writer
	m.put(&w)
	return w.b
}

// decode fills a message from all of b.
func decode(b []byte, m message) error {
	r := reader{b: b}
	m.get(&r)
	return r.end()
}

type nothing struct{}

func (*nothing) put(*writer) {}
func (*nothing) get(*reader) {}

// blob is a reply of one byte string.
type blob struct {
	b   []byte
	max int
}

func (m *blob) put(w *writer) { w.long(m.b) }
func (m *blob) get(r *reader) { m.b = r.long(1, m.max) }

func (n *TokenName) put(w *writer) {
	w.text(n.Serial)
	w.text(n.Label)
	w.text(n.Manufacturer)
}

func (n *TokenName) get(r *reader) {
	*n = TokenName{Serial: r.text(), Label: r.text(), Manufacturer: r.text()}
}

func (s *PINState) put(w *writer) {
	w.bool(s.Low)
	w.bool(s.Final)
	w.bool(s.Locked)
	w.bool(s.ToBeChanged)
	w.u8(uint8(s.TriesLeft)) // -1 becomes 255
}

func (s *PINState) get(r *reader) {
	*s = PINState{Low: r.bool(), Final: r.bool(), Locked: r.bool(), ToBeChanged: r.bool(), TriesLeft: int(r.u8())}
	if s.TriesLeft == 255 {
		s.TriesLeft = -1
	}
}

func (s *LoginState) put(w *writer) { w.bool(s.LoggedIn); s.PIN.put(w) }
func (s *LoginState) get(r *reader) { s.LoggedIn = r.bool(); s.PIN.get(r) }

func (t *Token) put(w *writer) {
	w.text(t.Label)
	w.text(t.Manufacturer)
	w.text(t.Model)
	w.text(t.Serial)
	w.u16(uint16(t.MinPIN))
	w.u16(uint16(t.MaxPIN))
	w.u64(uint64(t.FreePublic))
	w.u64(uint64(t.FreePrivate))
	t.PIN.put(w)
	w.bool(t.Initialised)
	w.bool(t.WriteProtected)
	w.bool(t.RSA)
	w.bool(t.EC)
}

func (t *Token) get(r *reader) {
	*t = Token{Label: r.text(), Manufacturer: r.text(), Model: r.text(), Serial: r.text(),
		MinPIN: int(r.u16()), MaxPIN: int(r.u16()), FreePublic: int64(r.u64()), FreePrivate: int64(r.u64())}
	if t.FreePublic < -1 || t.FreePrivate < -1 {
		r.fail("negative memory")
	}
	t.PIN.get(r)
	t.Initialised, t.WriteProtected, t.RSA, t.EC = r.bool(), r.bool(), r.bool(), r.bool()
}

type tokensReply struct{ tokens []Token }

func (m *tokensReply) put(w *writer) {
	w.u8(uint8(len(m.tokens)))
	for i := range m.tokens {
		m.tokens[i].put(w)
	}
}

func (m *tokensReply) get(r *reader) {
	n := int(r.u8())
	if n > maxTokens {
		r.fail("%d tokens", n)
	}
	for i := 0; i < n && r.err == nil; i++ {
		var t Token
		t.get(r)
		m.tokens = append(m.tokens, t)
	}
}

// objectsRequest asks for a page that starts at First. 0 reads the token; later
// pages are of that reading.
type objectsRequest struct{ first uint16 }

func (m *objectsRequest) put(w *writer) { w.u16(m.first) }
func (m *objectsRequest) get(r *reader) { m.first = r.u16() }

type objectsReply struct {
	total   uint16
	objects []Object
}

func (m *objectsReply) put(w *writer) {
	w.u16(m.total)
	w.u16(uint16(len(m.objects)))
	for i := range m.objects {
		m.objects[i].put(w)
	}
}

func (m *objectsReply) get(r *reader) {
	m.total = r.u16()
	n := int(r.u16())
	if m.total > maxObjects || n > int(m.total) {
		r.fail("%d of %d objects", n, m.total)
	}
	for i := 0; i < n && r.err == nil; i++ {
		var o Object
		o.get(r)
		m.objects = append(m.objects, o)
	}
}

func (o *Object) put(w *writer) {
	w.short(o.ID)
	w.text(o.Label)
	w.long(o.CertificateDER)
	w.long(o.PublicKeyDER)
	w.bool(o.HasPublic)
	w.bool(o.HasPrivate)
	w.text(o.Problem)
}

func (o *Object) get(r *reader) {
	*o = Object{ID: r.short(0, maxID), Label: r.text(), CertificateDER: r.long(0, MaxCertificate),
		PublicKeyDER: r.long(0, maxKey), HasPublic: r.bool(), HasPrivate: r.bool(), Problem: r.text()}
}

type loginRequest struct{ pin []byte }

func (m *loginRequest) put(w *writer) { w.b = make([]byte, 0, 1+len(m.pin)); w.short(m.pin) }
func (m *loginRequest) get(r *reader) { m.pin = r.short(1, maxPIN) }

type changePINRequest struct{ old, new []byte }

func (m *changePINRequest) put(w *writer) {
	w.b = make([]byte, 0, 2+len(m.old)+len(m.new)) // never grown: append would leave a copy behind
	w.short(m.old)
	w.short(m.new)
}
func (m *changePINRequest) get(r *reader) { m.old, m.new = r.short(1, maxPIN), r.short(1, maxPIN) }

func (k *KeySpec) put(w *writer) { w.short(k.ID); w.text(k.Label); w.u8(uint8(k.Algorithm)) }

func (k *KeySpec) get(r *reader) {
	*k = KeySpec{ID: r.short(1, maxID), Label: r.text(), Algorithm: KeyAlgorithm(r.u8())}
	if k.Algorithm != RSA2048 && k.Algorithm != P256 {
		r.fail("%v", k.Algorithm)
	}
}

// hashes are those a token is asked to sign; SHA-1 is not among them. The number
// on the wire is crypto.Hash's own.
var hashes = map[crypto.Hash]bool{crypto.SHA256: true, crypto.SHA384: true, crypto.SHA512: true}

type signRequest struct {
	key    KeyID
	hash   crypto.Hash
	digest []byte
}

func (m *signRequest) put(w *writer) { w.raw(m.key[:]); w.u8(uint8(m.hash)); w.short(m.digest) }

func (m *signRequest) get(r *reader) {
	m.key, m.hash, m.digest = r.key(), crypto.Hash(r.u8()), r.short(1, maxDigest)
	if r.err == nil && (!hashes[m.hash] || m.hash.Size() != len(m.digest)) {
		r.fail("hash %d of %d bytes", uint(m.hash), len(m.digest))
	}
}

type keyRequest struct{ key KeyID }

func (m *keyRequest) put(w *writer) { w.raw(m.key[:]) }
func (m *keyRequest) get(r *reader) { m.key = r.key() }

type writeRequest struct {
	key   KeyID
	label string
	der   []byte
}

func (m *writeRequest) put(w *writer) { w.raw(m.key[:]); w.text(m.label); w.long(m.der) }
func (m *writeRequest) get(r *reader) {
	m.key, m.label, m.der = r.key(), r.text(), r.long(1, MaxCertificate)
}

type certificatesReply struct{ ders [][]byte }

func (m *certificatesReply) put(w *writer) {
	w.u8(uint8(len(m.ders)))
	for _, der := range m.ders {
		w.long(der)
	}
}

func (m *certificatesReply) get(r *reader) {
	for n := int(r.u8()); n > 0 && r.err == nil; n-- {
		m.ders = append(m.ders, r.long(1, MaxCertificate))
	}
}

func (t *Retirement) put(w *writer) { w.raw(t.Old[:]); w.raw(t.Kept[:]); w.raw(t.KeptCertificate[:]) }
func (t *Retirement) get(r *reader) {
	*t = Retirement{Old: r.key(), Kept: r.key(), KeptCertificate: r.key()}
}

type randomRequest struct{ n uint16 }

func (m *randomRequest) put(w *writer) { w.u16(m.n) }
func (m *randomRequest) get(r *reader) {
	if m.n = r.u16(); r.err == nil && (m.n == 0 || m.n > maxRandom) {
		r.fail("%d random bytes", m.n)
	}
}
