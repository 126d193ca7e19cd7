package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// steps prints what is being done and how long it took.
type steps struct {
	out   io.Writer
	began time.Time
}

func newSteps(out io.Writer) *steps { return &steps{out: out, began: time.Now()} }

// do runs one step. What it returns is printed behind the time.
func (s *steps) do(what string, f func() (string, error)) error {
	fmt.Fprintf(s.out, "%-44s", what)
	start := time.Now()
	result, err := f()
	if err != nil {
		fmt.Fprintln(s.out, " failed")
		return fmt.Errorf("%s: %w", what, err)
	}
	fmt.Fprintf(s.out, " %6.1f s  %s\n", time.Since(start).Seconds(), result)
	return nil
}

func (s *steps) figure(name, format string, args ...any) {
	fmt.Fprintf(s.out, "%s: %s\n", name, fmt.Sprintf(format, args...))
}

// command runs a program and returns what it printed; an error holds the last lines.
func command(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		return out.String(), fmt.Errorf("%s: %w\n%s", name, err, strings.Join(lines[max(0, len(lines)-25):], "\n"))
	}
	return out.String(), nil
}
