package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain is cardd itself when this binary was started by start.
func TestMain(m *testing.M) {
	if os.Getenv("CARDD_TEST") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func cardd(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = []string{"CARDD_TEST=1"}
	return cmd
}

// process is a running cardd and its reader.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.Writer
	out  *bufio.Scanner
	conn net.Conn
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := &process{t: t, cmd: cardd(t, append(args, "-vpcd", l.Addr().String())...)}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	p.cmd.Stderr = t.Output()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	l.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Second))
	if p.conn, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	p.conn.SetDeadline(time.Now().Add(10 * time.Second))
	return p
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
	if p.conn != nil {
		p.conn.Close()
	}
}

func (p *process) apdu(command, want string) {
	p.t.Helper()
	p.conn.Write(append([]byte{0, byte(len(command))}, command...))
	answer := make([]byte, 2+len(want))
	if _, err := io.ReadFull(p.conn, answer); err != nil || string(answer[2:]) != want {
		p.t.Fatalf("%x: %x, %v; want %x", command, answer, err, want)
	}
}

func (p *process) line(line, want string) {
	p.t.Helper()
	io.WriteString(p.in, line+"\n")
	if !p.out.Scan() || !strings.HasPrefix(p.out.Text(), want) {
		p.t.Fatalf("%s: %q; want %q", line, p.out.Text(), want)
	}
}

const wrongPIN = "\x00\x20\x00\x01\x089999\xff\xff\xff\xff"

// The card survives the death of its server; two servers do not share it.
func TestKilled(t *testing.T) {
	state := filepath.Join(t.TempDir(), "card")
	p := start(t, "-state", state, "-label", "Officer", "-serial", "0102030405060708090a", "-v", "-do", "slow 1s")
	p.apdu(wrongPIN, "\x63\xc2")
	p.line("status", "ok inserted=true commands=1 faults=0 slow=1s active=true")
	p.line("fault n=1,sw=6F00", "ok")
	p.line("explode", "error card: unknown command")
	p.apdu(wrongPIN, "\x6f\x00")
	if out, err := cardd(t, "-state", state).CombinedOutput(); err == nil || !strings.Contains(string(out), "served by another cardd") {
		t.Errorf("%v: %s", err, out)
	}
	p.kill()
	p = start(t, "-state", state)
	p.apdu(wrongPIN, "\x63\xc1")
}

func TestControlSocket(t *testing.T) {
	dir := t.TempDir()
	p := start(t, "-state", filepath.Join(dir, "card"), "-control", filepath.Join(dir, "control"))
	for range 2 {
		conn, err := net.Dial("unix", filepath.Join(dir, "control"))
		if err != nil {
			t.Fatal(err)
		}
		if p.in, p.out = conn, bufio.NewScanner(conn); true {
			p.line("status", "ok inserted=true")
		}
		conn.Close()
	}
}

// The same seed makes the same card.
func TestSeed(t *testing.T) {
	dir := t.TempDir()
	var made []string
	for _, name := range []string{"a", "b"} {
		path := filepath.Join(dir, name)
		if out, err := cardd(t, "-state", path, "-seed", "7", "-blank").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, string(b))
	}
	if made[0] != made[1] {
		t.Error("two cards")
	}
}

func TestUsage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "card")
	for _, args := range [][]string{{}, {"-state", path, "-vpcd", "x", "-vscard", "y"}, {"-state", path, "-serial", "01"}, {"-state", path, "extra"},
		{"-state", path, "-label", ""}, {"-state", path, "-do", "explode"}} {
		if out, err := cardd(t, args...).CombinedOutput(); err == nil {
			t.Errorf("%v: accepted: %s", args, out)
		}
	}
}
