package pkcs11test

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

//go:embed testdata/proxy.c
var proxySource []byte

// Proxy is a PKCS#11 module that forwards to another one and fails on demand.
// What it can do is written at the head of testdata/proxy.c.
type Proxy struct {
	Path string // of the module
	real string
	log  string
}

// NewProxy makes the module with the C compiler; without one the test is
// skipped.
func NewProxy(tb testing.TB, real string) Proxy {
	tb.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		tb.Skipf("SKIPPED: no C compiler: %v", err)
	}
	dir := tb.TempDir()
	src, lib := filepath.Join(dir, "proxy.c"), filepath.Join(dir, "proxy.so")
	if err := os.WriteFile(src, proxySource, 0o600); err != nil {
		tb.Fatal(err)
	}
	if out, err := exec.Command(cc, "-shared", "-fPIC", "-O1", "-Wall", "-o", lib, src, "-ldl").CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v\n%s", cc, err, out)
	}
	return Proxy{Path: lib, real: real, log: filepath.Join(dir, "calls")}
}

// Env is the environment of a worker that loads the proxy: with faults like
// "C_Sign:rv=0x32@2".
func (p Proxy) Env(faults ...string) []string {
	return []string{"PROXY_MODULE=" + p.real, "PROXY_LOG=" + p.log, "PROXY_FAULTS=" + strings.Join(faults, ",")}
}

// Calls lists the functions called since the last time, in order.
func (p Proxy) Calls(tb testing.TB) []string {
	tb.Helper()
	b, err := os.ReadFile(p.log)
	if err != nil && !os.IsNotExist(err) {
		tb.Fatal(err)
	}
	if err := os.WriteFile(p.log, nil, 0o600); err != nil {
		tb.Fatal(err)
	}
	return strings.Fields(string(b))
}
