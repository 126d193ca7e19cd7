package module

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"unsafe"

	p11 "github.com/miekg/pkcs11"
)

const p11kitClient = "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so"

// noP11Kit says what is missing, "" if nothing is.
func noP11Kit() string {
	_, tool := exec.LookPath("p11-kit")
	_, client := os.Stat(p11kitClient)
	_, soft := os.Stat(softHSM)
	if tool != nil || client != nil || soft != nil {
		return "not installed (packages p11-kit, p11-kit-modules, libsofthsm2)"
	}
	return ""
}

// newP11Kit is a SoftHSM token at the other end of a socket.
func newP11Kit(tb testing.TB) soft {
	tb.Helper()
	s := newSoft(tb)
	dir, err := os.MkdirTemp("", "p11") // tb.TempDir may be too long for a socket's name
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	server := exec.Command("p11-kit", "server", "-f", "-n", socket, "--provider", softHSM, "pkcs11:")
	server.Env = append(os.Environ(), s.env...)
	server.Stderr = os.Stderr
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := server.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { // with what it has started for each connection
		syscall.Kill(-server.Process.Pid, syscall.SIGKILL)
		server.Wait()
	})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("unix", socket); err == nil {
			conn.Close()
			break
		}
		if time.Now().After(end) {
			tb.Fatal("p11-kit server does not answer")
		}
	}
	return soft{module: p11kitClient, env: []string{"P11_KIT_SERVER_ADDRESS=unix:path=" + socket}}
}

func p11kitMechanisms(t *testing.T) {
	far, near := newP11Kit(t).probe(t), newSoft(t).probe(t)
	if len(far.Mechanisms) >= len(near.Mechanisms) || far.has(p11.CKM_SHA256_RSA_PKCS_PSS) || !near.has(p11.CKM_SHA256_RSA_PKCS_PSS) {
		t.Errorf("p11-kit shows %d of SoftHSM's %d mechanisms: the quirk is gone", len(far.Mechanisms), len(near.Mechanisms))
	}
}

// Two lists; that login and change of PIN work through one is in the contract.
func p11kitLists(t *testing.T) {
	a, b := p11.New(p11kitClient), p11.New(p11kitClient)
	if a == nil || b == nil {
		t.Fatal("not loaded")
	}
	if listOf(a) == listOf(b) {
		t.Error("one list: the quirk is gone")
	}
	if c, d := p11.New(softHSM), p11.New(softHSM); listOf(c) != listOf(d) {
		t.Error("SoftHSM has it too")
	}
}

// listOf reads what library.go reads: the list behind the loader's handle.
func listOf(ctx *p11.Ctx) uintptr { return (*(**[2]uintptr)(unsafe.Pointer(ctx)))[1] }
