package vscard

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// notes collects what is written to it.
type notes struct {
	mu sync.Mutex
	b  strings.Builder
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(p)
}

func (n *notes) count(text string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Count(n.b.String(), text)
}

// await waits until text was written so many times.
func (n *notes) await(t *testing.T, text string, times int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); n.count(text) < times; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			n.mu.Lock()
			defer n.mu.Unlock()
			t.Fatalf("%q not %d times in:\n%s", text, times, n.b.String())
		}
	}
}

// monitor speaks QMP (QEMU Machine Protocol).
type monitor struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Scanner
}

func (m *monitor) do(command string, arguments map[string]any) {
	m.t.Helper()
	b, err := json.Marshal(map[string]any{"execute": command, "arguments": arguments})
	if err != nil {
		m.t.Fatal(err)
	}
	m.conn.Write(b)
	for m.r.Scan() {
		line := m.r.Text()
		if strings.Contains(line, `"return"`) {
			return
		}
		if strings.Contains(line, `"error"`) {
			break
		}
	}
	m.t.Fatalf("%s: %s %v", command, m.r.Text(), m.r.Err())
}

func startQEMU(t *testing.T) (*monitor, string, *notes) {
	t.Helper()
	path, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Skipf("SKIPPED: QEMU is not installed (package qemu-system-x86): %v", err)
	}
	dir := t.TempDir()
	socket, qmp := filepath.Join(dir, "card"), filepath.Join(dir, "qmp")
	out := &notes{}
	cmd := exec.Command(path, "-S", "-nodefaults", "-display", "none", "-machine", "q35", "-accel", "tcg", "-m", "64", "-device", "qemu-xhci,id=xhci",
		"-chardev", fmt.Sprintf("socket,id=card,path=%s,server=on,wait=off", socket), "-qmp", fmt.Sprintf("unix:%s,server=on,wait=off", qmp))
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	m := &monitor{t: t}
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if m.conn, err = net.Dial("unix", qmp); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%v\n%s", err, out.b.String())
		}
	}
	t.Cleanup(func() { m.conn.Close() })
	m.conn.SetDeadline(time.Now().Add(30 * time.Second))
	m.r = bufio.NewScanner(m.conn)
	m.do("qmp_capabilities", map[string]any{})
	return m, socket, out
}

// QEMU takes the card when its device is made, and again when the device is made
// anew, on the same connection. No guest is needed for that.
func TestQEMU(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short")
	}
	m, socket, _ := startQEMU(t)
	old := Settle
	Settle = 50 * time.Millisecond
	defer func() { Settle = old }()
	ours := &notes{}
	tok := newToken(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, socket, tok, slog.New(slog.NewTextHandler(ours, &slog.HandlerOptions{Level: slog.LevelDebug})))
	}()
	defer func() {
		cancel()
		<-ended
	}()
	ours.await(t, "connected", 1)
	devices, accepted := 0, 0
	for range 3 {
		m.do("device_add", map[string]any{"driver": "usb-ccid", "id": "ccid0", "bus": "xhci.0", "port": "1"})
		m.do("device_add", map[string]any{"driver": "ccid-card-passthru", "id": "vc0", "bus": "ccid0.0", "chardev": "card"})
		ours.await(t, "QEMU has a card device", devices+1)
		ours.await(t, "QEMU accepts", accepted+2) // ReaderAdd and ATR
		time.Sleep(50 * time.Millisecond)         // the first device answers our own Init too
		devices, accepted = ours.count("QEMU has a card device"), ours.count("QEMU accepts")
		tok.Pull()
		ours.await(t, "QEMU accepts", accepted+1)
		tok.Insert()
		ours.await(t, "QEMU accepts", accepted+2)
		accepted = ours.count("QEMU accepts")
		m.do("device_del", map[string]any{"id": "ccid0"})
		time.Sleep(100 * time.Millisecond)
	}
	if n := ours.count("QEMU reports an error"); n > 0 {
		t.Errorf("%d errors:\n%s", n, ours.b.String())
	}
}
