package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"mohr.internal/appliance/carrier"
	"mohr.internal/appliance/config"
)

const carryFile = "carry.json"

// carryAll is the child: what syncd does, for every configuration in the folder's
// file, until its parent closes standard input.
func carryAll(ctx context.Context, dir string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	b, err := os.ReadFile(filepath.Join(dir, carryFile))
	if err != nil {
		return err
	}
	var all []*config.Syncd
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	var running sync.WaitGroup
	errs := make(chan error, len(all))
	for _, c := range all {
		if err := c.Validate(); err != nil {
			return err
		}
		running.Go(func() { errs <- carrier.Run(ctx, c, slog.New(slog.DiscardHandler)) })
	}
	running.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// child is the process that carries.
type child struct {
	cmd  *exec.Cmd
	stop func()
	done chan error
}

// startChild writes the configurations and starts this program again.
func startChild(dir string, kiosks []*simulated, ca string, servers []string) (*child, error) {
	var all []*config.Syncd
	for _, k := range kiosks {
		all = append(all, &config.Syncd{
			Outbox: k.outboxPath, CA: config.CAServer{URL: ca},
			Timeouts: config.Timeouts{Connect: config.Duration(10 * time.Second), Request: config.Duration(60 * time.Second)},
			Backoff:  config.Backoff{Min: config.Duration(50 * time.Millisecond), Max: config.Duration(2 * time.Second)},
			Fleet:    &config.Fleet{Socket: k.fleetPath, Kiosk: k.id, URLs: servers, Recheck: config.Duration(time.Minute)},
		})
	}
	b, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, carryFile), b, 0o600); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-carry", dir)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, stop: func() { in.Close() }, done: make(chan error, 1)}
	go func() { c.done <- cmd.Wait() }()
	return c, nil
}

// end stops the child and waits for it.
func (c *child) end() error {
	c.stop()
	select {
	case err := <-c.done:
		return err
	case <-time.After(30 * time.Second):
		c.cmd.Process.Kill()
		return <-c.done
	}
}

// rss is the child's resident memory in bytes.
func (c *child) rss() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", c.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0, fmt.Errorf("statm: %q", b)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}
