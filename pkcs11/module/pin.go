package module

import (
	p11 "github.com/miekg/pkcs11"

	"mohr.internal/pkcs11"
)

// reasons are the return values that say for certain that a PIN was refused.
var reasons = map[uint32]pkcs11.PINReason{
	p11.CKR_PIN_INCORRECT:            pkcs11.PINWrong,
	p11.CKR_PIN_LOCKED:               pkcs11.PINLocked,
	p11.CKR_PIN_LEN_RANGE:            pkcs11.PINLength,
	p11.CKR_PIN_INVALID:              pkcs11.PINInvalid,
	p11.CKR_PIN_EXPIRED:              pkcs11.PINExpired,
	p11.CKR_USER_PIN_NOT_INITIALIZED: pkcs11.PINUnset,
}

// tried judges what C_Login or C_SetPIN returned. Three kinds: refused, never
// tried, and everything else, where the card may or may not have counted a try.
// PKCS#11 section 5.1.2 and 5.1.3: TOKEN_NOT_PRESENT and the session values are
// about the moment of the call, DEVICE_REMOVED is about its course.
func (m *Module) tried(doing string, err error) error {
	ckr := code(err)
	if reason, ok := reasons[ckr]; ok {
		state, lost := m.flags()
		if code(lost) == p11.CKR_SESSION_HANDLE_INVALID && m.present() { // Q-SETPIN-LOGOUT
			m.open, m.loggedIn, m.inv = false, false, nil
			if m.need(false) == nil {
				state, _ = m.flags()
			}
		}
		if reason == pkcs11.PINWrong && state.Locked { // Q-LOCKS-LATE: "wrong" at the try that locked it
			reason = pkcs11.PINLocked
		}
		verb := pkcs11.VerbLogin
		if doing == "C_SetPIN" {
			verb = pkcs11.VerbChangePIN
		}
		return &pkcs11.PINError{Verb: verb, Reason: reason, State: state}
	}
	kind := pkcs11.ErrOutcomeUnknown
	switch ckr {
	case p11.CKR_USER_ALREADY_LOGGED_IN, p11.CKR_USER_ANOTHER_ALREADY_LOGGED_IN:
		kind = pkcs11.ErrAlreadyLoggedIn
	case p11.CKR_TOKEN_NOT_PRESENT, p11.CKR_SESSION_HANDLE_INVALID, p11.CKR_SESSION_CLOSED, p11.CKR_CRYPTOKI_NOT_INITIALIZED:
		kind = pkcs11.ErrRemoved
	case p11.CKR_USER_NOT_LOGGED_IN: // Q-SETPIN-LOGIN
		kind = pkcs11.ErrNotLoggedIn
	case p11.CKR_SESSION_READ_ONLY, p11.CKR_TOKEN_WRITE_PROTECTED:
		kind = pkcs11.ErrWriteProtected
	case p11.CKR_FUNCTION_NOT_SUPPORTED:
		kind = pkcs11.ErrUnsupported
	}
	return &pkcs11.Error{Kind: kind, CKR: ckr, Text: doing}
}

// Login is at most one C_Login. A module that is logged in takes any PIN as
// "already logged in" (Q-ALREADY), so that is never success, and C_Logout goes
// first in case someone else's login is still there.
func (m *Module) Login(pin []byte) (pkcs11.PINState, error) {
	unknown := pkcs11.PINState{TriesLeft: -1}
	if err := m.need(false); err != nil {
		return unknown, err
	}
	if m.loggedIn {
		return unknown, fail(pkcs11.ErrAlreadyLoggedIn, "")
	}
	if err := m.ctx.Logout(m.session); err != nil && code(err) != p11.CKR_USER_NOT_LOGGED_IN && !m.present() {
		return unknown, &pkcs11.Error{Kind: pkcs11.ErrRemoved, CKR: code(err), Text: "C_Logout before C_Login"}
	}
	if err := m.lib.login(m.session, p11.CKU_USER, pin); err != nil {
		return unknown, m.tried("C_Login", err)
	}
	m.loggedIn, m.inv = true, nil
	state, _ := m.flags()
	return state, nil
}

// Logout ends the login.
func (m *Module) Logout() error {
	if err := m.need(true); err != nil {
		return err
	}
	m.inv = nil
	err := m.ctx.Logout(m.session)
	if err == nil || code(err) == p11.CKR_USER_NOT_LOGGED_IN {
		m.loggedIn = false
		return nil
	}
	return m.fail("C_Logout", err)
}

// LoginState asks the module: another program may have ended our login.
func (m *Module) LoginState() (pkcs11.LoginState, error) {
	if err := m.need(false); err != nil {
		return pkcs11.LoginState{}, err
	}
	info, err := m.ctx.GetSessionInfo(m.session)
	if err != nil {
		return pkcs11.LoginState{}, m.fail("C_GetSessionInfo", err)
	}
	if info.State != p11.CKS_RW_USER_FUNCTIONS && info.State != p11.CKS_RO_USER_FUNCTIONS {
		m.loggedIn = false
	}
	state, err := m.flags()
	if err != nil {
		return pkcs11.LoginState{}, m.fail("reading the PIN flags", err)
	}
	return pkcs11.LoginState{LoggedIn: m.loggedIn, PIN: state}, nil
}

// ChangePIN is one C_SetPIN, which changes the user PIN both in a public and in
// a user session (section 5.5).
func (m *Module) ChangePIN(old, new []byte) error {
	if err := m.need(false); err != nil {
		return err
	}
	if err := m.lib.setPIN(m.session, old, new); err != nil {
		return m.tried("C_SetPIN", err)
	}
	return nil
}
