package pkcs11

import (
	"os"
	"runtime"
	"strconv"
	"syscall"
)

// scrub clears what a copied PIN leaves behind outside the heap. Go copies short
// slices through vector registers (X0 to X15 on amd64), where the bytes stay until
// the next copy; a signal that comes in between, such as the garbage collector's,
// saves all registers on the thread's signal stack, and there they stay until the
// next signal. So: first the registers, by a copy of zeros that uses them all, then
// every thread's signal stack, by a signal that is saved over the old one. SIGURG is
// the runtime's own signal for preemption, and more of them are harmless.
//
// The caller has held its thread since before the PIN was copied.
func scrub() {
	clearRegisters()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return // no /proc: the registers are clean, the next signals do the rest
	}
	for _, t := range threads {
		if tid, err := strconv.Atoi(t.Name()); err == nil {
			syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(os.Getpid()), uintptr(tid), uintptr(syscall.SIGURG))
		}
	}
}

// registerBytes is a length that copies through all sixteen registers; a variable,
// so that the compiler keeps the copy a call.
var registerBytes = 256

//go:noinline
func clearRegisters() {
	from, to := make([]byte, registerBytes), make([]byte, registerBytes)
	copy(to, from)
	runtime.KeepAlive(to)
}
