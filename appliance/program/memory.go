package program

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Memory is what a process holds in RAM, in KiB.
type Memory struct {
	RSS  int64 // now: VmRSS in /proc/PID/status (proc_pid_status(5))
	Peak int64 // at most so far: VmHWM
}

// Used returns what this process holds.
func Used() (Memory, error) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return Memory{}, fmt.Errorf("program: memory: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return Memory{}, fmt.Errorf("program: memory: %w", err)
	}
	return parseStatus(b)
}

// parseStatus takes the two lines out of /proc/PID/status.
func parseStatus(b []byte) (m Memory, err error) {
	for name, v := range map[string]*int64{"VmRSS:": &m.RSS, "VmHWM:": &m.Peak} {
		_, rest, ok := bytes.Cut(b, []byte("\n"+name))
		fields := bytes.Fields(rest[:max(0, bytes.IndexByte(rest, '\n'))])
		if !ok || len(fields) != 2 || string(fields[1]) != "kB" {
			return Memory{}, fmt.Errorf("program: memory: no %s line in kB", name)
		}
		if *v, err = strconv.ParseInt(string(fields[0]), 10, 64); err != nil || *v < 0 {
			return Memory{}, fmt.Errorf("program: memory: %s %q", name, fields[0])
		}
	}
	return m, nil
}

// LogMemory writes one line: msg=memory program=NAME when=WHEN rss_kib=N peak_kib=N.
// On the appliance all programs share one console.
func LogMemory(log *slog.Logger, when string) {
	m, err := Used()
	if err != nil {
		log.Warn("memory", "when", when, "err", err)
		return
	}
	log.Info("memory", "program", filepath.Base(os.Args[0]), "when", when, "rss_kib", m.RSS, "peak_kib", m.Peak)
}

// LogMemoryEvery writes that line at once and then each time every has passed,
// until ctx ends.
func LogMemoryEvery(ctx context.Context, log *slog.Logger, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		LogMemory(log, "running")
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
