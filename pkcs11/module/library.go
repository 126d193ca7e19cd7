package module

/*
#cgo linux LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

// The function list of PKCS#11 v2.40, section 5.2 (pkcs11f.h): the functions in
// the order of the specification, the same in all 2.x and at the head of 3.x.
typedef unsigned long ck;
struct list { unsigned char major, minor; void *fn[68]; };
enum { SET_PIN = 11, LOGIN = 18 };

static void *open_library(const char *path) { return dlopen(path, RTLD_LAZY | RTLD_LOCAL); }
static char *open_error(void) { return dlerror(); }

// What miekg/pkcs11 keeps of a module. Its handle is the loader's for the same
// path, which shows that the layout is the one of the version in use.
struct miekg { void *handle; struct list *list; };

static struct list *functions(struct miekg *m, void *handle) {
	return m != NULL && m->handle == handle ? m->list : NULL;
}

static ck login(struct list *l, ck session, ck user, unsigned char *pin, ck n) {
	return ((ck (*)(ck, ck, unsigned char *, ck)) l->fn[LOGIN])(session, user, pin, n);
}

static ck set_pin(struct list *l, ck session, unsigned char *old, ck o, unsigned char *new, ck n) {
	return ((ck (*)(ck, unsigned char *, ck, unsigned char *, ck)) l->fn[SET_PIN])(session, old, o, new, n);
}
*/
import "C"

import (
	"errors"
	"unsafe"

	p11 "github.com/miekg/pkcs11"
)

// library is the function list of miekg/pkcs11, for the two functions that take a
// PIN. It has to be the very list: p11-kit's client makes another at each
// C_GetFunctionList, with a connection of its own (Q-LIST-PER-CALL).
type library struct{ list *C.struct_list }

// openLibrary loads the module; its error is the loader's own text, which
// miekg/pkcs11 drops.
func openLibrary(path string) (*p11.Ctx, library, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	handle := C.open_library(name)
	if handle == nil {
		return nil, library{}, errors.New(C.GoString(C.open_error()))
	}
	ctx := p11.New(path)
	if ctx == nil {
		return nil, library{}, errors.New(path + ": no C_GetFunctionList")
	}
	list := C.functions(*(**C.struct_miekg)(unsafe.Pointer(ctx)), handle)
	if list == nil {
		return nil, library{}, errors.New(path + ": C_GetFunctionList failed")
	}
	return ctx, library{list}, nil
}

// login is C_Login with the bytes of pin where they are.
func (l library) login(session p11.SessionHandle, user uint, pin []byte) error {
	return check(C.login(l.list, C.ck(session), C.ck(user), (*C.uchar)(unsafe.SliceData(pin)), C.ck(len(pin))))
}

// setPIN is C_SetPIN, likewise.
func (l library) setPIN(session p11.SessionHandle, old, new []byte) error {
	return check(C.set_pin(l.list, C.ck(session), (*C.uchar)(unsafe.SliceData(old)), C.ck(len(old)),
		(*C.uchar)(unsafe.SliceData(new)), C.ck(len(new))))
}

func check(rv C.ck) error {
	if rv == p11.CKR_OK {
		return nil
	}
	return p11.Error(rv)
}
