package module

import (
	"errors"
	"fmt"

	p11 "github.com/miekg/pkcs11"

	"mohr.internal/pkcs11"
)

// slotToken is a token and the slot it is in at this moment.
type slotToken struct {
	slot uint
	pkcs11.Token
}

// tokens lists the initialised tokens present. A slot that cannot be read is
// passed over: an empty reader, a foreign card, the blank slot that SoftHSM
// always shows (Q-BLANK-SLOT).
func (m *Module) tokens() ([]slotToken, error) {
	if err := m.start(); err != nil {
		return nil, err
	}
	slots, err := m.ctx.GetSlotList(true)
	if err != nil {
		return nil, &pkcs11.Error{Kind: pkcs11.ErrDevice, CKR: code(err), Text: "C_GetSlotList"}
	}
	var list []slotToken
	for _, slot := range slots {
		info, err := m.tokenInfo(slot)
		if err != nil || info.Flags&p11.CKF_TOKEN_INITIALIZED == 0 {
			continue
		}
		if info.Flags&p11.CKF_LOGIN_REQUIRED == 0 && info.Flags&p11.CKF_WRITE_PROTECTED != 0 { // Q-CRYPTO-SLOT
			continue
		}
		t := slotToken{slot, describe(info)}
		t.RSA, t.EC = m.algorithms(slot)
		list = append(list, t)
	}
	return list, nil
}

// tokenInfo is C_GetTokenInfo. One module returns CKR_CANCEL with the structure
// filled in (Q-INFO-CANCEL).
func (m *Module) tokenInfo(slot uint) (p11.TokenInfo, error) {
	info, err := m.ctx.GetTokenInfo(slot)
	if code(err) == p11.CKR_CANCEL && info.Flags&p11.CKF_TOKEN_INITIALIZED != 0 && info.SerialNumber != "" {
		err = nil
	}
	return info, err
}

// describe takes what can be believed from CK_TOKEN_INFO. Not among it:
// CKF_PROTECTED_AUTHENTICATION_PATH, claimed by readers that have no pad.
func describe(info p11.TokenInfo) pkcs11.Token {
	t := pkcs11.Token{
		Label: trim(info.Label), Manufacturer: trim(info.ManufacturerID), Model: trim(info.Model), Serial: trim(info.SerialNumber),
		FreePublic: memory(info.FreePublicMemory), FreePrivate: memory(info.FreePrivateMemory),
		PIN:            pinState(info.Flags),
		Initialised:    true,
		WriteProtected: info.Flags&p11.CKF_WRITE_PROTECTED != 0,
	}
	if info.MaxPinLen >= info.MinPinLen && info.MaxPinLen > 0 {
		t.MinPIN, t.MaxPIN = int(min(info.MinPinLen, 255)), int(min(info.MaxPinLen, 255))
	}
	return t
}

// trim takes off the padding: blanks by the specification, NUL by some modules.
func trim(s string) string {
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == 0) {
		s = s[:len(s)-1]
	}
	return s
}

// memory reads CK_UNAVAILABLE_INFORMATION, all bits set, as unknown.
func memory(n uint) int64 {
	if n > 1<<40 {
		return -1
	}
	return int64(n)
}

func pinState(flags uint) pkcs11.PINState {
	return pkcs11.PINState{
		Low:         flags&p11.CKF_USER_PIN_COUNT_LOW != 0,
		Final:       flags&p11.CKF_USER_PIN_FINAL_TRY != 0,
		Locked:      flags&p11.CKF_USER_PIN_LOCKED != 0,
		ToBeChanged: flags&p11.CKF_USER_PIN_TO_BE_CHANGED != 0,
		TriesLeft:   -1,
	}
}

// algorithms says which keys can be made and used. A module that does not list
// its mechanisms is believed capable: the attempt will tell.
func (m *Module) algorithms(slot uint) (rsa, ec bool) {
	list, err := m.ctx.GetMechanismList(slot)
	if err != nil {
		return true, true
	}
	has := map[uint]bool{}
	for _, mech := range list {
		has[mech.Mechanism] = true
	}
	return has[p11.CKM_RSA_PKCS_KEY_PAIR_GEN] && has[p11.CKM_RSA_PKCS], has[p11.CKM_EC_KEY_PAIR_GEN] && has[p11.CKM_ECDSA]
}

// present looks for the session's token. Some modules answer the first
// C_GetTokenInfo after a removal from their cache, so each slot is asked twice
// (Q-STALE-INFO).
func (m *Module) present() bool {
	if !m.bound {
		return true // nothing to be missed
	}
	if _, err := m.tokens(); err != nil {
		return false
	}
	list, err := m.tokens()
	if err != nil {
		return false
	}
	for _, t := range list {
		if t.Name() == m.name {
			return true
		}
	}
	return false
}

// Tokens lists the initialised tokens present. A token that was listed alone is
// the session's from then on: what is put in its place later is another one.
func (m *Module) Tokens() ([]pkcs11.Token, error) {
	list, err := m.tokens()
	if err == nil && len(list) == 1 && !m.bound {
		m.name, m.bound = list[0].Name(), true
	}
	var tokens []pkcs11.Token
	for _, t := range list {
		tokens = append(tokens, t.Token)
	}
	return tokens, err
}

// Select binds the session to a token. A session that is open stays with its
// own.
func (m *Module) Select(name pkcs11.TokenName) error {
	if m.open && name != m.name {
		return fail(pkcs11.ErrInvalid, "session is with %v", m.name)
	}
	_, err := m.find(func(t pkcs11.Token) bool { return t.Name() == name })
	if err == nil {
		m.name, m.bound = name, true
	}
	return err
}

// find gives the one token that matches.
func (m *Module) find(match func(pkcs11.Token) bool) (slotToken, error) {
	list, err := m.tokens()
	if err != nil {
		return slotToken{}, err
	}
	var hits []slotToken
	for _, t := range list {
		if match(t.Token) {
			hits = append(hits, t)
		}
	}
	switch len(hits) {
	case 0:
		return slotToken{}, fail(pkcs11.ErrNoToken, "%d tokens in all", len(list))
	case 1:
		return hits[0], nil
	}
	return slotToken{}, fail(pkcs11.ErrManyTokens, "%d tokens", len(hits))
}

// need opens the session at the first use, and never a second time: a session
// that the module lost is the end of the conversation. With login it also wants
// the user logged in.
func (m *Module) need(login bool) error {
	if !m.open {
		t, err := m.find(func(t pkcs11.Token) bool { return !m.bound || t.Name() == m.name })
		if m.bound && errors.Is(err, pkcs11.ErrNoToken) {
			return fail(pkcs11.ErrRemoved, "%v", m.name)
		}
		if err != nil {
			return err
		}
		const flags = p11.CKF_SERIAL_SESSION
		session, err := m.ctx.OpenSession(t.slot, flags|p11.CKF_RW_SESSION)
		if code(err) == p11.CKR_TOKEN_WRITE_PROTECTED {
			session, err = m.ctx.OpenSession(t.slot, flags)
		}
		if err != nil {
			return m.fail("C_OpenSession", err)
		}
		m.session, m.open, m.name, m.bound = session, true, t.Name(), true
	}
	if login && !m.loggedIn {
		return fail(pkcs11.ErrNotLoggedIn, "")
	}
	return nil
}

// flags reads the PIN flags anew, through the session, since slots move.
func (m *Module) flags() (pkcs11.PINState, error) {
	unknown := pkcs11.PINState{TriesLeft: -1}
	session, err := m.ctx.GetSessionInfo(m.session)
	if err != nil {
		return unknown, fmt.Errorf("C_GetSessionInfo: %w", err)
	}
	info, err := m.tokenInfo(session.SlotID)
	if err != nil {
		return unknown, fmt.Errorf("C_GetTokenInfo: %w", err)
	}
	return pinState(info.Flags), nil
}
