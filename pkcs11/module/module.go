package module

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"unsafe"

	p11 "github.com/miekg/pkcs11"

	"mohr.internal/pkcs11"
)

// Options is what a module needs beside its path.
type Options struct {
	// InitString is handed to C_Initialize as its reserved argument; NSS softokn
	// does not start without one (quirk Q-INIT-STRING).
	InitString string
}

// Serve is the worker's main loop: it answers on conn with the module until exit
// or the end of the connection. The module is loaded by the first request, so
// that a module that is missing or hangs is that request's failure.
//
// The whole conversation runs on one thread, for modules that are not safe on
// several.
func Serve(conn io.ReadWriter, path string, o Options) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	endOnFaults()
	return pkcs11.Serve(conn, &Module{path: path, opts: o})
}

// Module is one loaded PKCS#11 module with one token session.
type Module struct {
	path string
	opts Options

	ctx *p11.Ctx
	lib library

	name     pkcs11.TokenName // of the token this session is for
	bound    bool
	session  p11.SessionHandle
	open     bool
	loggedIn bool
	inv      *inventory // what is on the token, nil: read it
}

var _ pkcs11.Backend = (*Module)(nil)

// start loads and initialises the module once.
func (m *Module) start() error {
	if m.ctx != nil {
		return nil
	}
	ctx, lib, err := openLibrary(m.path)
	if err != nil {
		return &pkcs11.Error{Kind: pkcs11.ErrModule, Text: err.Error()}
	}
	if err := m.initialize(ctx); err != nil {
		return &pkcs11.Error{Kind: pkcs11.ErrModule, CKR: code(err), Text: "C_Initialize"}
	}
	m.lib, m.ctx = lib, ctx
	return nil
}

func (m *Module) initialize(ctx *p11.Ctx) error {
	var opts []p11.InitializeOption
	if m.opts.InitString != "" {
		b := append([]byte(m.opts.InitString), 0)
		var pin runtime.Pinner
		pin.Pin(&b[0])
		defer pin.Unpin()
		opts = append(opts, p11.InitializeWithReserved(unsafe.Pointer(&b[0])))
	}
	err := ctx.Initialize(opts...)
	if code(err) == p11.CKR_CANT_LOCK { // Q-NO-LOCKING; Serve keeps to one thread
		err = ctx.Initialize(append(opts, p11.InitializeWithFlags(0))...)
	}
	return err
}

// Close logs out and lets go of the token. Its errors have no reader that could
// do anything: the process ends next.
func (m *Module) Close() error {
	if m.ctx == nil {
		return nil
	}
	if m.open {
		info, err := m.ctx.GetSessionInfo(m.session)
		m.ctx.Logout(m.session)
		m.ctx.CloseSession(m.session)
		if err == nil {
			m.ctx.CloseAllSessions(info.SlotID)
		}
	}
	m.ctx.Finalize()
	m.ctx, m.open, m.loggedIn, m.inv = nil, false, false, nil
	return nil
}

// code is the CKR value in an error of miekg/pkcs11, 0 for nil.
func code(err error) uint32 {
	var e p11.Error
	if errors.As(err, &e) {
		return uint32(e)
	}
	if err != nil {
		return p11.CKR_GENERAL_ERROR
	}
	return p11.CKR_OK
}

// fail turns a CKR value into an error of package pkcs11. What a module says
// when a token is pulled in the middle of something is anything at all, mostly
// CKR_GENERAL_ERROR; so whatever has no clear meaning leads to a look whether
// the token is still there (Q-GENERAL-ERROR).
func (m *Module) fail(doing string, err error) error {
	ckr := code(err)
	if ckr == p11.CKR_OK {
		return nil
	}
	kind := pkcs11.ErrDevice
	switch ckr {
	case p11.CKR_DEVICE_REMOVED, p11.CKR_TOKEN_NOT_PRESENT, p11.CKR_SESSION_HANDLE_INVALID, p11.CKR_SESSION_CLOSED,
		p11.CKR_SLOT_ID_INVALID, p11.CKR_CRYPTOKI_NOT_INITIALIZED:
		kind = pkcs11.ErrRemoved
	case p11.CKR_DEVICE_MEMORY:
		kind = pkcs11.ErrFull
	case p11.CKR_USER_NOT_LOGGED_IN:
		kind = pkcs11.ErrNotLoggedIn
	case p11.CKR_TOKEN_WRITE_PROTECTED, p11.CKR_SESSION_READ_ONLY:
		kind = pkcs11.ErrWriteProtected
	case p11.CKR_MECHANISM_INVALID, p11.CKR_FUNCTION_NOT_SUPPORTED, p11.CKR_KEY_SIZE_RANGE, p11.CKR_RANDOM_NO_RNG:
		kind = pkcs11.ErrUnsupported
	default:
		if !m.present() {
			kind = pkcs11.ErrRemoved
		}
	}
	return &pkcs11.Error{Kind: kind, CKR: ckr, Text: doing}
}

func fail(kind error, format string, args ...any) error {
	return &pkcs11.Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}
