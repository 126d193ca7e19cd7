package pkcs11

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// Inherit is the first call of a worker, before it loads anything: it closes the
// process to onlookers and gives the connection on descriptor 3.
//
// No core dumps (RLIMIT_CORE 0), no ptrace and no /proc/PID/mem by the same user
// (PR_SET_DUMPABLE 0), descriptors 0 and 1 on /dev/null since modules write to
// stdout. The connection is closed on exec, so that a program started by the
// module does not get it. The worker leaves it open: the end of the process is
// what the parent waits for.
func Inherit() (net.Conn, error) {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return nil, fmt.Errorf("pkcs11: worker: RLIMIT_CORE: %w", err)
	}
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0, 0, 0, 0); errno != 0 {
		return nil, fmt.Errorf("pkcs11: worker: PR_SET_DUMPABLE: %w", errno)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("pkcs11: worker: %w", err)
	}
	defer null.Close()
	for fd := range 2 {
		if err := syscall.Dup3(int(null.Fd()), fd, 0); err != nil {
			return nil, fmt.Errorf("pkcs11: worker: descriptor %d: %w", fd, err)
		}
	}
	f := os.NewFile(3, "parent")
	if f == nil {
		return nil, fmt.Errorf("pkcs11: worker: no descriptor 3")
	}
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("pkcs11: worker: descriptor 3: %w", err)
	}
	return conn, nil
}
