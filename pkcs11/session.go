package pkcs11

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"runtime"
	"unicode/utf8"
)

// Session is one conversation with one worker. Its methods may be called from
// several goroutines and run one after the other.
//
// The first loss of the worker ends the session: the connection is closed, which
// kills the worker behind it, and every later call fails at once with
// ErrRemoved. So does a call whose context ends before the reply, since the
// worker cannot be asked to stop.
type Session struct {
	conn      io.ReadWriteCloser
	deadlines Deadlines
	turn      chan struct{} // holds one value while nobody talks
	id        uint32
	over      error // why the session is over
}

// Option changes how a Session behaves.
type Option func(*Session)

// WithDeadlines overrides the time each verb may take.
func WithDeadlines(d Deadlines) Option { return func(s *Session) { s.deadlines = d } }

// NewSession starts a conversation on conn, which belongs to the Session from
// then on. Closing conn has to end a Read that is blocked, and has to end the
// worker on the other side (Worker.Conn does both).
func NewSession(conn io.ReadWriteCloser, opts ...Option) *Session {
	s := &Session{conn: conn, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	for _, o := range opts {
		o(s)
	}
	return s
}

var errClosed = errors.New("session closed")

// call sends one request and waits for its reply. What goes wrong on the way is
// an *Error and ends the session.
func (s *Session) call(ctx context.Context, verb Verb, req, reply message) error {
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
		return fmt.Errorf("pkcs11: %v: %w", verb, context.Cause(ctx))
	}
	if s.over != nil {
		return &Error{Verb: verb, Kind: ErrRemoved, Text: "session is over", err: s.over}
	}
	if ctx.Err() != nil { // nothing was sent: the session goes on
		return fmt.Errorf("pkcs11: %v: %w", verb, context.Cause(ctx))
	}
	ctx, cancel := context.WithTimeout(ctx, s.deadlines.For(verb))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { s.conn.Close() })
	reported, err := s.exchange(verb, req, reply)
	if !stop() && err != nil {
		err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	if err != nil {
		var lost *Error
		if !errors.As(err, &lost) {
			lost = &Error{Verb: verb, Kind: ErrRemoved, err: err}
			if verb.SpendsTry() {
				lost.Kind = ErrOutcomeUnknown
			}
		}
		s.end(lost)
		return lost
	}
	if errors.Is(reported, ErrRemoved) || errors.Is(reported, ErrOutcomeUnknown) {
		s.end(reported)
	} else if ctx.Err() != nil { // the connection was closed behind a complete reply, which counts
		s.end(context.Cause(ctx))
	}
	return reported
}

// exchange is one frame out, one frame in. The request's PIN does not outlive
// it on this side.
func (s *Session) exchange(verb Verb, req, reply message) (reported, lost error) {
	if verb.SpendsTry() {
		runtime.LockOSThread() // for the wipe, see scrub
		defer runtime.UnlockOSThread()
	}
	s.id++
	out := Frame{Verb: verb, ID: s.id, Payload: encode(req)}
	n, err := WriteFrame(s.conn, out)
	size := 4 + headerLen + len(out.Payload)
	out.Wipe()
	if err != nil {
		if n < size { // no whole frame left this side, so nothing was tried
			return nil, &Error{Verb: verb, Kind: ErrRemoved, err: err}
		}
		return nil, err
	}
	in, err := ReadFrame(s.conn)
	if err != nil {
		return nil, err
	}
	if !in.Reply || in.Verb != verb || in.ID != s.id {
		in.Wipe()
		return nil, fmt.Errorf("frame %d of %v (reply: %t) for request %d: %w", in.ID, in.Verb, in.Reply, s.id, ErrFrame)
	}
	return getReply(verb, in.Payload, reply)
}

func (s *Session) end(why error) {
	s.over = why
	s.conn.Close()
}

// lie ends the session over a reply that was well-formed but cannot be true.
func (s *Session) lie(verb Verb, format string, args ...any) error {
	<-s.turn
	defer func() { s.turn <- struct{}{} }()
	err := &Error{Verb: verb, Kind: ErrRemoved, Text: "worker lies", err: fmt.Errorf(format, args...)}
	s.end(err)
	return err
}

func invalid(verb Verb, format string, args ...any) error {
	return &Error{Verb: verb, Kind: ErrInvalid, Text: fmt.Sprintf(format, args...)}
}

// Tokens lists the initialised tokens of the module. The caller refuses none and
// more than one, or calls Select. A token listed alone is the session's: if it is
// gone later, even if another is in its place, that is ErrRemoved.
func (s *Session) Tokens(ctx context.Context) ([]Token, error) {
	var reply tokensReply
	err := s.call(ctx, VerbTokens, &nothing{}, &reply)
	return reply.tokens, err
}

// Select binds the session to one token. Without it the other verbs use the only
// token present and fail with ErrNoToken or ErrManyTokens.
func (s *Session) Select(ctx context.Context, name TokenName) error {
	for _, v := range []string{name.Serial, name.Label, name.Manufacturer} {
		if !textFits(v) {
			return invalid(VerbSelect, "token name")
		}
	}
	return s.call(ctx, VerbSelect, &name, &nothing{})
}

// Objects lists certificates and keys; private keys show after Login.
func (s *Session) Objects(ctx context.Context) ([]Object, error) {
	var list []Object
	for {
		var page objectsReply
		if err := s.call(ctx, VerbObjects, &objectsRequest{uint16(len(list))}, &page); err != nil {
			return nil, err
		}
		list = append(list, page.objects...)
		switch {
		case len(list) == int(page.total):
			return list, nil
		case len(list) > int(page.total), len(page.objects) == 0:
			return nil, s.lie(VerbObjects, "%d of %d objects", len(list), page.total)
		}
	}
}

// Login makes at most one PIN try and wipes pin. A refusal is a *PINError; a
// second Login without Logout is ErrAlreadyLoggedIn, whatever the PIN.
func (s *Session) Login(ctx context.Context, pin []byte) (PINState, error) {
	defer Wipe(pin)
	if len(pin) == 0 || len(pin) > maxPIN { // no PIN at all would mean "ask on the token's own pad"
		return PINState{TriesLeft: -1}, invalid(VerbLogin, "PIN of %d bytes", len(pin))
	}
	state := PINState{TriesLeft: -1}
	err := s.call(ctx, VerbLogin, &loginRequest{pin}, &state)
	var refused *PINError
	if errors.As(err, &refused) {
		state = refused.State
	}
	return state, err
}

// Logout ends the login.
func (s *Session) Logout(ctx context.Context) error {
	return s.call(ctx, VerbLogout, &nothing{}, &nothing{})
}

// LoginState tells whether the session is logged in, and the PIN flags.
func (s *Session) LoginState(ctx context.Context) (LoginState, error) {
	state := LoginState{PIN: PINState{TriesLeft: -1}}
	err := s.call(ctx, VerbLoginState, &nothing{}, &state)
	return state, err
}

// GenerateKey makes a key pair on the token and returns its public key. If a
// pair with this CKA_ID is there, it is returned and none is made.
func (s *Session) GenerateKey(ctx context.Context, spec KeySpec) (spki []byte, err error) {
	if len(spec.ID) == 0 || len(spec.ID) > maxID || !textFits(spec.Label) || (spec.Algorithm != RSA2048 && spec.Algorithm != P256) {
		return nil, invalid(VerbGenerateKey, "%v with an ID of %d bytes", spec.Algorithm, len(spec.ID))
	}
	reply := blob{max: maxKey}
	if err := s.call(ctx, VerbGenerateKey, &spec, &reply); err != nil {
		return nil, err
	}
	pub, err := x509.ParsePKIXPublicKey(reply.b)
	if err != nil {
		return nil, s.lie(VerbGenerateKey, "public key: %w", err)
	}
	if !spec.Algorithm.Matches(pub) {
		return nil, s.lie(VerbGenerateKey, "%T for %v", pub, spec.Algorithm)
	}
	return reply.b, nil
}

// Sign signs a digest in X.509 form: PKCS#1 v1.5, or ECDSA in DER. The worker
// has verified the signature with the key named; Signer verifies it here too.
func (s *Session) Sign(ctx context.Context, key KeyID, hash crypto.Hash, digest []byte) ([]byte, error) {
	if !hashes[hash] || len(digest) != hash.Size() {
		return nil, invalid(VerbSign, "%v digest of %d bytes", hash, len(digest))
	}
	reply := blob{max: maxSignature}
	if err := s.call(ctx, VerbSign, &signRequest{key, hash, digest}, &reply); err != nil {
		return nil, err
	}
	return reply.b, nil
}

// WriteCertificate puts a certificate beside its key, under the key's CKA_ID,
// reads it back and compares. One that is there already is success.
func (s *Session) WriteCertificate(ctx context.Context, key KeyID, label string, der []byte) error {
	if len(der) == 0 || len(der) > MaxCertificate || !textFits(label) {
		return invalid(VerbWriteCertificate, "certificate of %d bytes", len(der))
	}
	spki, err := CertificateKey(der)
	if err != nil {
		return invalid(VerbWriteCertificate, "%v", err)
	}
	if KeyIDOf(spki) != key {
		return invalid(VerbWriteCertificate, "certificate for another key")
	}
	return s.call(ctx, VerbWriteCertificate, &writeRequest{key, label, der}, &nothing{})
}

// ReadCertificate reads all certificates for a key from the token, none being no
// error.
func (s *Session) ReadCertificate(ctx context.Context, key KeyID) (ders [][]byte, err error) {
	var reply certificatesReply
	if err := s.call(ctx, VerbReadCertificates, &keyRequest{key}, &reply); err != nil {
		return nil, err
	}
	for _, der := range reply.ders {
		spki, err := CertificateKey(der)
		if err != nil || KeyIDOf(spki) != key {
			return nil, s.lie(VerbReadCertificates, "certificate for another key")
		}
	}
	return reply.ders, nil
}

// ChangePIN changes the user PIN: at most one try of the old one. Both slices
// are wiped. The login state afterwards is as before. Log in first: without it
// some modules say ErrNotLoggedIn, having tried nothing.
func (s *Session) ChangePIN(ctx context.Context, old, new []byte) error {
	defer Wipe(old)
	defer Wipe(new)
	if len(old) == 0 || len(old) > maxPIN || len(new) == 0 || len(new) > maxPIN {
		return invalid(VerbChangePIN, "PINs of %d and %d bytes", len(old), len(new))
	}
	return s.call(ctx, VerbChangePIN, &changePINRequest{old, new}, &nothing{})
}

// Retire deletes a key pair with its certificates. The worker refuses with
// ErrKeepsLast unless it finds the named certificate of another key on the token
// and that key makes a good signature.
func (s *Session) Retire(ctx context.Context, r Retirement) error {
	if r.Old == r.Kept {
		return &Error{Verb: VerbRetire, Kind: ErrKeepsLast, Text: "old and kept key are the same"}
	}
	return s.call(ctx, VerbRetire, &r, &nothing{})
}

// Random reads n bytes (at most 1024) from the token's generator, or fails with
// ErrUnsupported.
func (s *Session) Random(ctx context.Context, n int) ([]byte, error) {
	if n <= 0 || n > maxRandom {
		return nil, invalid(VerbRandom, "%d bytes", n)
	}
	reply := blob{max: maxRandom}
	if err := s.call(ctx, VerbRandom, &randomRequest{uint16(n)}, &reply); err != nil {
		return nil, err
	}
	if len(reply.b) != n {
		return nil, s.lie(VerbRandom, "%d bytes for %d", len(reply.b), n)
	}
	return reply.b, nil
}

// Close asks the worker to log out and exit, waits for that, and closes the
// connection. Its error tells that the worker did not end in good order; the
// session is over in any case, and a second Close does nothing.
func (s *Session) Close() error {
	<-s.turn
	ended := s.over
	s.turn <- struct{}{}
	if ended != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.deadlines.For(VerbExit))
	defer cancel()
	err := s.call(ctx, VerbExit, &nothing{}, &nothing{})

	<-s.turn
	defer func() { s.turn <- struct{}{} }()
	if err == nil {
		// The worker ends after its reply; its end of the pipe closes with it.
		stop := context.AfterFunc(ctx, func() { s.conn.Close() })
		if n, end := io.ReadFull(s.conn, make([]byte, 1)); n != 0 {
			err = &Error{Verb: VerbExit, Kind: ErrRemoved, err: fmt.Errorf("bytes after the last reply: %w", ErrFrame)}
		} else if !stop() {
			err = &Error{Verb: VerbExit, Kind: ErrRemoved, err: fmt.Errorf("worker did not end: %w", end)}
		}
	}
	if s.over == nil {
		s.end(errClosed)
	}
	return err
}

func textFits(s string) bool { return len(s) <= maxText && utf8.ValidString(s) }
