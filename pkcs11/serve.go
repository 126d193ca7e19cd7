package pkcs11

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Backend is what answers in a worker: the real module, or a software token. It
// is called from one goroutine. Errors are *Error or *PINError; anything else is
// reported as ErrDevice. Slices it is given are wiped after the call.
type Backend interface {
	Finder
	Authenticator
	Keys
	// Close logs out, closes all sessions and lets go of the module.
	Close() error
}

// Finder finds the token.
type Finder interface {
	// Tokens lists the initialised tokens present, and binds the backend to the
	// one it finds alone.
	Tokens() ([]Token, error)
	// Select binds the backend to one of them. Without either, the only token
	// present is used.
	Select(TokenName) error
}

// Authenticator handles the PIN.
type Authenticator interface {
	// Login makes at most one try. It fails if already logged in.
	Login(pin []byte) (PINState, error)
	Logout() error
	LoginState() (LoginState, error)
	ChangePIN(old, new []byte) error
}

// Keys handles what is on the token.
type Keys interface {
	Objects() ([]Object, error)
	GenerateKey(KeySpec) (spki []byte, err error)
	Sign(key KeyID, hash crypto.Hash, digest []byte) ([]byte, error)
	WriteCertificate(key KeyID, label string, der []byte) error
	ReadCertificates(key KeyID) ([][]byte, error)
	Retire(Retirement) error
	Random(n int) ([]byte, error)
}

// Serve answers requests until the exit verb, the end of the connection or a
// malformed request, then closes the backend. It returns nil after exit and
// after an end between two frames.
func Serve(conn io.ReadWriter, b Backend) error {
	s := server{b: b}
	for {
		f, err := ReadFrame(conn)
		if err != nil {
			if closed := b.Close(); errors.Is(err, io.EOF) {
				return closed
			}
			return err
		}
		if f.Reply {
			b.Close()
			return fmt.Errorf("pkcs11: reply to %v for a request: %w", f.Verb, ErrFrame)
		}
		payload := s.answer(f)
		f.Wipe()
		_, err = WriteFrame(conn, Frame{Reply: true, Verb: f.Verb, ID: f.ID, Payload: payload})
		Wipe(payload)
		if err != nil {
			b.Close()
			return fmt.Errorf("pkcs11: reply to %v: %w", f.Verb, err)
		}
		if f.Verb == VerbExit {
			return nil
		}
	}
}

type server struct {
	b    Backend
	list []Object // the reading of the token that Objects is paging through
}

// answer gives the payload of the reply.
func (s *server) answer(f Frame) []byte {
	req := requests[f.Verb]()
	var w writer
	reply, err := message(nil), decode(f.Payload, req)
	if err != nil {
		err = &Error{Kind: ErrInvalid, Text: err.Error()}
	} else {
		reply, err = s.do(req, f.Verb)
	}
	if err == nil {
		w.u8(0)
		reply.put(&w)
		if len(w.b) <= MaxPayload {
			return w.b
		}
		err = &Error{Kind: ErrTooLarge, Text: fmt.Sprintf("reply of %d bytes", len(w.b))}
		w.b = w.b[:0]
	}
	putError(&w, err)
	return w.b
}

func (s *server) do(req message, verb Verb) (message, error) {
	switch m := req.(type) {
	case *TokenName:
		return &nothing{}, s.b.Select(*m)
	case *objectsRequest:
		return s.objects(int(m.first))
	case *loginRequest:
		state, err := s.b.Login(m.pin)
		return &state, err
	case *changePINRequest:
		return &nothing{}, s.b.ChangePIN(m.old, m.new)
	case *KeySpec:
		spki, err := s.b.GenerateKey(*m)
		return &blob{b: spki}, err
	case *signRequest:
		sig, err := s.b.Sign(m.key, m.hash, m.digest)
		return &blob{b: sig}, err
	case *writeRequest:
		return &nothing{}, s.b.WriteCertificate(m.key, m.label, m.der)
	case *keyRequest:
		ders, err := s.b.ReadCertificates(m.key)
		return &certificatesReply{ders}, err
	case *Retirement:
		return &nothing{}, s.b.Retire(*m)
	case *randomRequest:
		b, err := s.b.Random(int(m.n))
		return &blob{b: b}, err
	}
	switch verb {
	case VerbTokens:
		tokens, err := s.b.Tokens()
		for i := range tokens {
			tokens[i].clean()
		}
		return &tokensReply{tokens[:min(len(tokens), maxTokens)]}, err
	case VerbLogout:
		return &nothing{}, s.b.Logout()
	case VerbLoginState:
		state, err := s.b.LoginState()
		return &state, err
	case VerbExit:
		return &nothing{}, s.b.Close()
	}
	return nil, &Error{Kind: ErrInvalid, Text: verb.String()}
}

// objects gives one page. The first page reads the token, the others are of the
// same reading.
func (s *server) objects(first int) (message, error) {
	if first == 0 {
		list, err := s.b.Objects()
		if err != nil {
			return nil, err
		}
		if len(list) > maxObjects {
			return nil, &Error{Kind: ErrTooLarge, Text: fmt.Sprintf("%d objects", len(list))}
		}
		s.list = list
	}
	if first > len(s.list) {
		return nil, &Error{Kind: ErrInvalid, Text: fmt.Sprintf("object %d of %d", first, len(s.list))}
	}
	page := &objectsReply{total: uint16(len(s.list))}
	size := 5
	for _, o := range s.list[first:] {
		o.clean()
		if size += len(encode(&o)); size > MaxPayload {
			break
		}
		page.objects = append(page.objects, o)
	}
	return page, nil
}

// clean brings what a module said within the bounds of the protocol.
func (t *Token) clean() {
	t.Label, t.Manufacturer = cleanText(t.Label), cleanText(t.Manufacturer)
	t.Model, t.Serial = cleanText(t.Model), cleanText(t.Serial)
}

func (o *Object) clean() {
	o.Label, o.Problem = cleanText(o.Label), cleanText(o.Problem)
	if len(o.ID) > maxID {
		o.ID, o.Problem = nil, fmt.Sprintf("CKA_ID of %d bytes", len(o.ID))
	}
	if len(o.CertificateDER) > MaxCertificate {
		o.CertificateDER, o.Problem = nil, fmt.Sprintf("certificate of %d bytes", len(o.CertificateDER))
	}
	if len(o.PublicKeyDER) > maxKey {
		o.PublicKeyDER, o.Problem = nil, fmt.Sprintf("public key of %d bytes", len(o.PublicKeyDER))
	}
}

// cleanText gives valid UTF-8 of at most maxText bytes.
func cleanText(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxText {
		return s
	}
	s = s[:maxText]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}
