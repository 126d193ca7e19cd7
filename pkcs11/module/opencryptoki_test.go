package module

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	p11 "github.com/miekg/pkcs11"

	"mohr.internal/pkcs11"
)

const openCryptoki = "/usr/lib/x86_64-linux-gnu/pkcs11/libopencryptoki.so"

// Its configuration, token, locks and the daemon's socket are at fixed places, and
// the daemon's shared memory under a fixed key. So daemon and worker have a mount
// and an IPC namespace of their own, which end with the daemon.
const openCryptokiPlace = `set -e
mount -t tmpfs none /etc/opencryptoki
mount -t tmpfs none /var/lib/opencryptoki
mount -t tmpfs none /run
mkdir -p /var/lib/opencryptoki/swtok/TOK_OBJ /run/lock/opencryptoki/swtok
[ -e /var/lock ] || ln -s /run/lock /var/lock
chgrp -R pkcs11 /var/lib/opencryptoki /run/lock/opencryptoki
printf 'version opencryptoki-3.8\nslot 3\n{\nstdll = libpkcs11_sw.so\n}\n' >/etc/opencryptoki/opencryptoki.conf
PATH=$PATH:/usr/sbin exec pkcsslotd -f`

// noOpenCryptoki says what is missing, "" if nothing is.
func noOpenCryptoki() string {
	if _, err := os.Stat(openCryptoki); err != nil {
		return "not installed (package opencryptoki)"
	}
	if os.Getuid() != 0 {
		return "needs root: its places are fixed, and a namespace puts others there"
	}
	if out, err := exec.Command("unshare", "-m", "-i", "mount", "-t", "tmpfs", "none", "/run").CombinedOutput(); err != nil {
		return fmt.Sprintf("no namespace with mounts of its own: %v %s", err, bytes.TrimSpace(out))
	}
	return ""
}

// newOpenCryptoki is a throw-away soft token of openCryptoki with its daemon.
func newOpenCryptoki(tb testing.TB) soft {
	tb.Helper()
	var log bytes.Buffer
	daemon := exec.Command("unshare", "-m", "-i", "sh", "-c", openCryptokiPlace)
	daemon.Stdout, daemon.Stderr = &log, &log
	daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := daemon.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		syscall.Kill(-daemon.Process.Pid, syscall.SIGKILL)
		daemon.Wait()
		if tb.Failed() {
			tb.Logf("pkcsslotd: %s", &log)
		}
	})
	pid := strconv.Itoa(daemon.Process.Pid)
	s := soft{module: openCryptoki, via: []string{"/usr/bin/nsenter", "-t", pid, "-m", "-i", "--"}}
	socket := "/proc/" + pid + "/root/run/pkcsslotd.socket"
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		// The daemon hands its socket to the group before it listens.
		if fi, err := os.Stat(socket); err == nil && fi.Mode().Perm()&0o060 == 0o060 && s.conf("", "-i") == nil {
			break
		}
		if time.Now().After(end) {
			tb.Fatalf("pkcsslotd has no socket")
		}
	}
	for _, step := range []struct{ input, option string }{
		{"87654321\nCitizen\n", "-I"}, // the SO PIN of a new token
		{"87654321\n" + softSO + "\n" + softSO + "\n", "-P"},
		{softSO + "\n" + softPIN + "\n" + softPIN + "\n", "-u"},
	} {
		if err := s.conf(step.input, step.option, "-c", "3"); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

// conf is the administrator's tool, beside the daemon.
func (s soft) conf(input string, args ...string) error {
	line := append(append(s.via[:len(s.via):len(s.via)], "/usr/sbin/pkcsconf"), args...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pkcsconf %v: %v\n%s", args, err, out)
	}
	return nil
}

// Low, final, locked; and "incorrect" at the try that locks.
func openCryptokiLocksLate(t *testing.T) {
	s := newOpenCryptoki(t).open(t)
	var said []pkcs11.PINState
	for range 3 {
		_, err := s.Login(ctx, []byte("9999"))
		var refused *pkcs11.PINError
		if !errors.As(err, &refused) {
			t.Fatal(err)
		}
		said = append(said, refused.State)
		if locked := len(said) == 3; (refused.Reason == pkcs11.PINLocked) != locked {
			t.Errorf("try %d: %v", len(said), refused)
		}
	}
	if !said[0].Low || !said[1].Final || !said[2].Locked {
		t.Errorf("flags %+v", said)
	}
}

func openCryptokiMechanisms(t *testing.T) {
	p := newOpenCryptoki(t).probe(t)
	if p.Cryptoki != "2.20" || p.has(p11.CKM_SHA256_RSA_PKCS) || p.has(p11.CKM_ECDSA) || !p.has(p11.CKM_RSA_PKCS) {
		t.Errorf("the quirk is gone: %+v", p)
	}
}
