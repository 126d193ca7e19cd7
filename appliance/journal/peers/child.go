package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const childFlag = "-child"

// child is a process with one store: "commit", "fill", "read" or
// "traffic".
//
//	-child WHAT KIND DIR N
func child(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("child with %d arguments", len(args))
	}
	k, err := kindNamed(args[1])
	if err != nil {
		return err
	}
	dir := args[2]
	n, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	switch args[0] {
	case "commit":
		return childCommit(k, dir, n)
	case "fill":
		return childFill(k, dir, n)
	case "read":
		return childRead(k, dir, n)
	case "traffic":
		return childTraffic(k, dir, n)
	}
	return fmt.Errorf("no child %q", args[0])
}

// childCommit makes a store, waits for a line, commits n records and tells how
// long each took. It waits once more and ends without closing the store, as
// the power would.
func childCommit(k kind, dir string, n int) error {
	s, err := k.make(dir, quota(n))
	if err != nil {
		return err
	}
	payloads := make([][]byte, n)
	for i := range payloads {
		payloads[i] = payload(uint64(i + 1))
	}
	in := bufio.NewScanner(os.Stdin)
	fmt.Println("ready")
	in.Scan()
	took := make([]int64, n)
	for i, p := range payloads {
		start := time.Now()
		if err := s.Append(p); err != nil {
			return err
		}
		took[i] = int64(time.Since(start))
	}
	if err := json.NewEncoder(os.Stdout).Encode(took); err != nil {
		return err
	}
	in.Scan()
	os.Exit(0)
	return nil
}

// childFill makes a large store the fastest way.
func childFill(k kind, dir string, n int) error {
	open := k.make
	if k.batch != nil {
		open = k.batch
	}
	s, err := open(dir, quota(n))
	if err != nil {
		return err
	}
	for i := range uint64(n) {
		if err := s.Append(payload(i + 1)); err != nil {
			return err
		}
	}
	return s.Close()
}

// verdict is what a store says when it is opened and read.
type verdict struct {
	Right, Wrong, Missing int
	Healed                int
	Err                   string
	Open, Read            time.Duration // to the first record, and to the last
	Peak                  int64         // of memory, in KiB
}

// childRead opens a store and holds each record against what was written.
func childRead(k kind, dir string, n int) error {
	var v verdict
	next, start := uint64(1), time.Now()
	healed, err := k.read(dir, func(seq uint64, b []byte) error {
		if v.Open == 0 {
			v.Open = time.Since(start)
		}
		switch {
		case seq < next || seq > uint64(n):
			v.Wrong++
			return nil
		case bytes.Equal(b, payload(seq)):
			v.Right++
		default:
			v.Wrong++
		}
		v.Missing += int(seq - next)
		next = seq + 1
		return nil
	})
	v.Missing += n + 1 - int(next)
	v.Read, v.Healed = time.Since(start), healed
	if err != nil {
		v.Err = err.Error()
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		fmt.Sscanf(line, "VmHWM: %d kB", &v.Peak)
	}
	return json.NewEncoder(os.Stdout).Encode(v)
}

// spawn starts a child of this program.
func spawn(what string, k kind, dir string, n int) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return exec.Command(self, childFlag, what, k.name, dir, strconv.Itoa(n)), nil
}

// outcome of a child that reads: its verdict, or that it died.
func readStore(k kind, dir string, n int) (v verdict, died string, err error) {
	cmd, err := spawn("read", k, dir, n)
	if err != nil {
		return v, "", err
	}
	var out bytes.Buffer
	last := &tail{}
	cmd.Stdout, cmd.Stderr = &out, last
	if err := cmd.Start(); err != nil {
		return v, "", err
	}
	timer := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Wait(); err != nil {
		return v, fmt.Sprintf("%v: %s", err, last), nil
	}
	if err := json.Unmarshal(out.Bytes(), &v); err != nil {
		return v, "no verdict", nil
	}
	return v, "", nil
}

// tail keeps the first line of what a process complains of.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	if len(t.b) < 200 {
		t.b = append(t.b, p[:min(len(p), 200)]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	line, _, _ := strings.Cut(string(t.b), "\n")
	return line
}

// copyTree copies files of a store; forget drops them from the page cache.
func copyTree(k kind, from, to string, forget bool) error {
	names, err := k.files(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o700); err != nil {
			return err
		}
		if err := copyFile(filepath.Join(from, name), filepath.Join(to, name), forget); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string, forget bool) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer dst.Close()
	if _, err := io.Copy(dst, src); err != nil {
		return err
	}
	if !forget {
		return nil
	}
	if err := dst.Sync(); err != nil {
		return err
	}
	return unix.Fadvise(int(dst.Fd()), 0, 0, unix.FADV_DONTNEED)
}
