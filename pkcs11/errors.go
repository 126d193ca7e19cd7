package pkcs11

import (
	"errors"
	"fmt"
)

// Errors a caller branches on, by errors.Is. After ErrRemoved and
// ErrOutcomeUnknown the Session is over.
var (
	// ErrRemoved: the token is gone, or the worker is: crashed, hung, killed, or
	// its reply was not one complete, well-formed reply.
	ErrRemoved = errors.New("token or worker gone")

	// ErrOutcomeUnknown: the same, but during Login or ChangePIN, so that a PIN
	// try may or may not be spent. Never retry by yourself. It is not ErrRemoved.
	ErrOutcomeUnknown = errors.New("outcome of the PIN try unknown")

	ErrAlreadyLoggedIn = errors.New("already logged in")
	ErrNotLoggedIn     = errors.New("not logged in")

	ErrNoToken    = errors.New("no initialised token")
	ErrManyTokens = errors.New("more than one token")

	ErrFull           = errors.New("token is full")
	ErrWriteProtected = errors.New("token is write-protected")
	ErrKeyNotFound    = errors.New("no such key on the token")

	// ErrConflict: the CKA_ID asked for belongs to something else.
	ErrConflict = errors.New("another key or certificate under this CKA_ID")

	// ErrHalfMade: a private key with this CKA_ID is there without its public key.
	ErrHalfMade = errors.New("half-made key pair")

	// ErrWeakKey: the token made the key extractable or not sensitive.
	ErrWeakKey = errors.New("token made the key extractable")

	// ErrNotWritten: what was read back differs from what was written.
	ErrNotWritten = errors.New("not read back as written")

	// ErrKeepsLast: Retire refused, since what would be left is not proven good.
	ErrKeepsLast = errors.New("replacement is not proven")

	// ErrReauthenticate: the key asks for the PIN at each signature.
	ErrReauthenticate = errors.New("key asks for the PIN at each use")

	ErrUnsupported = errors.New("not supported by the token")
	ErrTooLarge    = errors.New("too large")
	ErrInvalid     = errors.New("invalid argument")

	// ErrModule: the PKCS#11 module could not be loaded or initialised.
	ErrModule = errors.New("module unusable")

	// ErrDevice: the module reported a failure and the token is still there.
	ErrDevice = errors.New("token error")
)

// kinds is the number of each error in a reply. 0 is success, 1 a PINError.
var kinds = map[uint8]error{
	2: ErrRemoved, 3: ErrOutcomeUnknown, 4: ErrAlreadyLoggedIn, 5: ErrNotLoggedIn, 6: ErrNoToken, 7: ErrManyTokens,
	8: ErrFull, 9: ErrWriteProtected, 10: ErrKeyNotFound, 11: ErrConflict, 12: ErrHalfMade, 13: ErrWeakKey,
	14: ErrNotWritten, 15: ErrKeepsLast, 16: ErrReauthenticate, 17: ErrUnsupported, 18: ErrTooLarge, 19: ErrInvalid,
	20: ErrModule, 21: ErrDevice,
}

// Error is a failure the worker reported, or the loss of the worker.
type Error struct {
	Verb Verb
	Kind error  // one of the errors above
	CKR  uint32 // return value of the PKCS#11 function, 0 if none
	Text string // what was being done, for the log
	err  error  // cause on this side of the pipe
}

func (e *Error) Error() string {
	s := "pkcs11: "
	if e.Verb != 0 {
		s += e.Verb.String() + ": "
	}
	s += e.Kind.Error()
	if e.Text != "" {
		s += ": " + e.Text
	}
	if e.CKR != 0 {
		s += fmt.Sprintf(" (CKR 0x%x)", e.CKR)
	}
	if e.err != nil {
		s += ": " + e.err.Error()
	}
	return s
}

// Unwrap gives the kind, and the cause if the failure was seen on this side.
func (e *Error) Unwrap() []error {
	if e.err != nil {
		return []error{e.Kind, e.err}
	}
	return []error{e.Kind}
}

// PINReason says why a PIN was refused.
type PINReason uint8

// The reasons.
const (
	PINWrong   PINReason = 1 // CKR_PIN_INCORRECT
	PINLocked  PINReason = 2 // CKR_PIN_LOCKED, or the flag after a wrong PIN
	PINLength  PINReason = 3 // CKR_PIN_LEN_RANGE
	PINInvalid PINReason = 4 // CKR_PIN_INVALID: characters, or a new PIN the token refuses
	PINExpired PINReason = 5 // CKR_PIN_EXPIRED: must be changed first
	PINUnset   PINReason = 6 // CKR_USER_PIN_NOT_INITIALIZED
)

// String gives the reason as errors show it.
func (r PINReason) String() string {
	names := [...]string{PINWrong: "wrong", PINLocked: "locked", PINLength: "bad length", PINInvalid: "invalid",
		PINExpired: "expired", PINUnset: "not set"}
	if int(r) < len(names) && names[r] != "" {
		return names[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// PINError is a definite refusal of a PIN, with the state read after it.
type PINError struct {
	Verb   Verb
	Reason PINReason
	State  PINState
}

func (e *PINError) Error() string {
	return fmt.Sprintf("pkcs11: %v: PIN %v", e.Verb, e.Reason)
}

// putError encodes an error reply. The text is cut to what a frame may hold.
func putError(w *writer, err error) {
	var pin *PINError
	if errors.As(err, &pin) {
		w.u8(1)
		w.u8(uint8(pin.Reason))
		pin.State.put(w)
		return
	}
	e := &Error{Kind: ErrDevice, Text: err.Error()}
	errors.As(err, &e)
	code := uint8(21)
	for c, kind := range kinds {
		if errors.Is(e.Kind, kind) {
			code = c
		}
	}
	w.u8(code)
	w.u32(e.CKR)
	w.text(cleanText(e.Text))
}

// getReply decodes a reply into m, or into the error it reports.
func getReply(verb Verb, b []byte, m message) (reported, malformed error) {
	r := reader{b: b}
	switch code := r.u8(); {
	case r.err != nil:
	case code == 0:
		m.get(&r)
	case code == 1:
		e := &PINError{Verb: verb, Reason: PINReason(r.u8())}
		e.State.get(&r)
		if e.Reason < PINWrong || e.Reason > PINUnset {
			r.fail("PIN %v", e.Reason)
		}
		reported = e
	default:
		kind, ok := kinds[code]
		if !ok {
			r.fail("status %d", code)
		}
		reported = &Error{Verb: verb, Kind: kind, CKR: r.u32(), Text: r.text()}
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return reported, nil
}
