package pkcs11test

import (
	"crypto/rand"

	"mohr.internal/pkcs11"
)

// backend is one session with a Token.
type backend struct {
	t        *Token
	fault    Fault // of the request being answered
	loggedIn bool
	life     int // the insertion this session belongs to, -1 before its first use
}

var _ pkcs11.Backend = (*backend)(nil)

func fail(kind error, text string) error { return &pkcs11.Error{Kind: kind, Text: text} }

// enter locks the token and checks that it is there; the caller unlocks.
func (b *backend) enter(login bool) error {
	t := b.t
	t.mu.Lock()
	if b.fault.Kind == Pull {
		t.present = false
	}
	switch {
	case b.life == -1 && !t.present:
		return fail(pkcs11.ErrNoToken, "software token not inserted")
	case b.life == -1:
		b.life = t.life
	case !t.present || b.life != t.life:
		return fail(pkcs11.ErrRemoved, "software token pulled")
	}
	if b.fault.Kind == Pull {
		return fail(pkcs11.ErrRemoved, "software token pulled")
	}
	if b.fault.Kind == GeneralError {
		return &pkcs11.Error{Kind: pkcs11.ErrDevice, CKR: 5, Text: "injected"}
	}
	if login && !b.loggedIn {
		return fail(pkcs11.ErrNotLoggedIn, "")
	}
	return nil
}

// leave saves, unlocks, and lets a token go that is pulled after its work.
func (b *backend) leave(err *error) {
	t := b.t
	t.save()
	if b.fault.Kind == PullAfter {
		t.present = false
		*err = fail(pkcs11.ErrRemoved, "software token pulled")
	}
	t.mu.Unlock()
}

func (b *backend) Close() error { b.loggedIn = false; return nil }

func (b *backend) Tokens() (list []pkcs11.Token, err error) {
	t := b.t
	t.mu.Lock()
	defer b.leave(&err)
	if b.fault.Kind == Pull {
		t.present = false
	}
	if !t.present {
		return nil, nil
	}
	if b.life == -1 { // the session is with this token from now on
		b.life = t.life
	}
	free := int64(-1)
	if t.opts.Room > 0 {
		free = int64(t.room())
	}
	o := t.opts
	return []pkcs11.Token{{Label: o.Label, Manufacturer: o.Manufacturer, Model: o.Model, Serial: o.Serial,
		MinPIN: o.MinPIN, MaxPIN: o.MaxPIN, FreePublic: free, FreePrivate: free, PIN: t.pinState(),
		Initialised: true, RSA: true, EC: true}}, nil
}

func (t *Token) room() int {
	used := 0
	for _, o := range t.state.Objects {
		used += len(o.Value)
	}
	return max(0, t.opts.Room-used)
}

func (t *Token) pinState() pkcs11.PINState {
	left := t.state.Left
	s := pkcs11.PINState{TriesLeft: -1, ToBeChanged: t.state.ToBeChanged}
	if t.opts.TellTries {
		s.TriesLeft = left
	}
	f := t.opts.Flags
	s.Low = (f == FlagsAll || f == FlagsLow) && left < t.opts.Tries
	s.Final = (f == FlagsAll || f == FlagsFinal) && left == 1
	s.Locked = (f == FlagsAll || f == FlagsFinal) && left == 0
	return s
}

func (b *backend) Select(name pkcs11.TokenName) (err error) {
	err = b.enter(false)
	defer b.leave(&err)
	o := b.t.opts
	if err == nil && name != (pkcs11.TokenName{Serial: o.Serial, Label: o.Label, Manufacturer: o.Manufacturer}) {
		err = fail(pkcs11.ErrNoToken, name.String())
	}
	return err
}

// try compares a PIN, as a card does: the counter goes first.
func (t *Token) try(pin []byte) *pkcs11.PINError {
	t.tries++
	if t.state.Left == 0 {
		return &pkcs11.PINError{Reason: pkcs11.PINLocked, State: t.pinState()}
	}
	t.state.Left--
	if string(pin) == t.state.PIN {
		t.state.Left = t.opts.Tries
		return nil
	}
	reason := pkcs11.PINWrong
	if t.pinState().Locked {
		reason = pkcs11.PINLocked
	}
	return &pkcs11.PINError{Reason: reason, State: t.pinState()}
}

func (b *backend) Login(pin []byte) (state pkcs11.PINState, err error) {
	err = b.enter(false)
	defer b.leave(&err)
	if err != nil {
		return pkcs11.PINState{TriesLeft: -1}, b.unknown(err)
	}
	if b.loggedIn {
		return b.t.pinState(), fail(pkcs11.ErrAlreadyLoggedIn, "")
	}
	if refused := b.t.try(pin); refused != nil {
		refused.Verb = pkcs11.VerbLogin
		return refused.State, refused
	}
	b.loggedIn = true
	return b.t.pinState(), nil
}

// unknown turns a general error during a PIN try into what it is.
func (b *backend) unknown(err error) error {
	if b.fault.Kind == GeneralError {
		return &pkcs11.Error{Kind: pkcs11.ErrOutcomeUnknown, CKR: 5, Text: "injected"}
	}
	return err
}

func (b *backend) Logout() (err error) {
	err = b.enter(true)
	defer b.leave(&err)
	if err == nil {
		b.loggedIn = false
	}
	return err
}

func (b *backend) LoginState() (s pkcs11.LoginState, err error) {
	err = b.enter(false)
	defer b.leave(&err)
	return pkcs11.LoginState{LoggedIn: b.loggedIn, PIN: b.t.pinState()}, err
}

func (b *backend) ChangePIN(old, new []byte) (err error) {
	err = b.enter(false)
	defer b.leave(&err)
	if err != nil {
		return b.unknown(err)
	}
	t := b.t
	if len(new) < t.opts.MinPIN || len(new) > t.opts.MaxPIN {
		return &pkcs11.PINError{Verb: pkcs11.VerbChangePIN, Reason: pkcs11.PINLength, State: t.pinState()}
	}
	if refused := t.try(old); refused != nil {
		refused.Verb = pkcs11.VerbChangePIN
		return refused
	}
	t.state.PIN, t.state.ToBeChanged = string(new), false
	return nil
}

func (b *backend) Random(n int) ([]byte, error) {
	buf := make([]byte, n)
	rand.Read(buf)
	return buf, nil
}
