package pcsc

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// daemon is a running pcscd.
type daemon struct {
	cmd  *exec.Cmd
	done chan struct{}
	log  lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// readerConf is reader.conf(5): the driver listens on this port, and on the next
// for its second slot.
const readerConf = `FRIENDLYNAME "Virtual PCD"
DEVICENAME   /dev/null:0x%04X
LIBPATH      %s
CHANNELID    0x%04X
`

// The daemon takes descriptor 3 as its client socket if LISTEN_PID is its own
// (sd_listen_fds(3)), which only a shell can say before exec. Where the mount is
// not allowed, all that is shared is the file with the daemon's process id.
const (
	script        = `LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"`
	scriptPrivate = `mount -t tmpfs none /run/pcscd 2>/dev/null; ` + script
)

// startDaemon starts pcscd with its client socket at path.
func startDaemon(tb testing.TB, dir, path string, port int) *daemon {
	tb.Helper()
	conf := filepath.Join(dir, "reader.conf.d")
	if err := os.MkdirAll(conf, 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(conf, "vpcd"), fmt.Appendf(nil, readerConf, port, driver(), port), 0o600); err != nil {
		tb.Fatal(err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		tb.Fatal(err)
	}
	defer listener.Close()
	listener.SetUnlinkOnClose(false)
	socket, err := listener.File()
	if err != nil {
		tb.Fatal(err)
	}
	defer socket.Close()

	d := &daemon{done: make(chan struct{})}
	private := []*syscall.SysProcAttr{{Unshareflags: syscall.CLONE_NEWNS}, {
		Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings:  []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings:  []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}}
	for _, attr := range private {
		if _, err := os.Stat("/run/pcscd"); err == nil || os.MkdirAll("/run/pcscd", 0o755) == nil {
			if d.start(scriptPrivate, attr, socket, conf) == nil {
				return d
			}
		}
	}
	if err := d.start(script, &syscall.SysProcAttr{}, socket, conf); err != nil {
		tb.Fatal(err)
	}
	return d
}

func (d *daemon) start(script string, attr *syscall.SysProcAttr, socket *os.File, conf string) error {
	attr.Pdeathsig = syscall.SIGKILL
	d.cmd = exec.Command("/bin/sh", "-c", script, "sh", pcscd(), "--foreground", "--config", conf)
	d.cmd.SysProcAttr = attr
	d.cmd.ExtraFiles = []*os.File{socket}
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	if err := d.cmd.Start(); err != nil {
		return err
	}
	d.done = make(chan struct{})
	go func() {
		d.cmd.Wait()
		close(d.done)
	}()
	return nil
}

func (d *daemon) stop(tb testing.TB) {
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(2 * time.Second):
		d.cmd.Process.Kill()
		<-d.done
	}
	if tb.Failed() {
		tb.Logf("pcscd: %s", d.log.String())
	}
}

// freePorts finds two ports in a row.
func freePorts(tb testing.TB) int {
	tb.Helper()
	for range 100 {
		first, err := net.Listen("tcp4", ":0")
		if err != nil {
			tb.Fatal(err)
		}
		port := first.Addr().(*net.TCPAddr).Port
		second, err := net.Listen("tcp4", fmt.Sprintf(":%d", port+1))
		first.Close()
		if err == nil {
			second.Close()
			return port
		}
	}
	tb.Fatal("no two free ports in a row")
	return 0
}
