package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of what a guest can make us keep. A line that is longer is cut into more.
const (
	maxLine  = 8 << 10
	maxLines = 200_000
)

// Line is one line of the serial console and when its end arrived.
type Line struct {
	At   time.Time
	Text string
}

// Console reads a guest's serial console, always: a guest whose console nobody reads
// stops (QEMU's pl011 waits for each byte).
type Console struct {
	now  func() time.Time
	copy io.Writer // gets every byte

	mu      sync.Mutex
	lines   []Line
	part    []byte
	err     error
	changed chan struct{}
}

// NewConsole reads r until it ends and copies all of it to w.
func NewConsole(r io.Reader, w io.Writer, now func() time.Time) *Console {
	c := &Console{now: now, copy: w, changed: make(chan struct{})}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := r.Read(b)
			c.take(b[:n], err)
			if err != nil {
				return
			}
		}
	}()
	return c
}

func (c *Console) take(b []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.copy.Write(b)
	for _, x := range b {
		if x == '\n' || len(c.part) == maxLine {
			c.keep()
		}
		if x != '\n' && x != '\r' {
			c.part = append(c.part, x)
		}
	}
	if err != nil {
		c.keep()
		c.err = err
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Console) keep() {
	if len(c.part) > 0 && len(c.lines) < maxLines {
		c.lines = append(c.lines, Line{c.now(), string(c.part)})
	}
	c.part = c.part[:0]
}

// Mark is the number of lines so far: a place to search from.
func (c *Console) Mark() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.lines)
}

// Lines returns the lines from a mark on.
func (c *Console) Lines(from int) []Line {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lines[min(from, len(c.lines)):]
}

// Wait waits for a line, from a mark on, that match takes. It returns the line and
// the mark behind it. what says for error messages what is waited for.
func (c *Console) Wait(ctx context.Context, limit time.Duration, what string, from int, match func(string) bool) (Line, int, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		c.mu.Lock()
		lines, changed, ended := c.lines, c.changed, c.err
		c.mu.Unlock()
		for ; from < len(lines); from++ {
			if match(lines[from].Text) {
				return lines[from], from + 1, nil
			}
		}
		if ended != nil {
			return Line{}, from, fmt.Errorf("waiting for %s: the console ended (%w); its last lines:\n%s", what, ended, c.Tail(tailLines))
		}
		select {
		case <-changed:
		case <-timer.C:
			return Line{}, from, fmt.Errorf("waited %v in vain for %s; the console's last lines:\n%s", limit, what, c.Tail(tailLines))
		case <-ctx.Done():
			return Line{}, from, fmt.Errorf("waiting for %s: %w; the console's last lines:\n%s", what, context.Cause(ctx), c.Tail(tailLines))
		}
	}
}

// tailLines is how much of the console stands in an error message.
const tailLines = 40

// Tail returns the last lines, indented.
func (c *Console) Tail(n int) string {
	lines := c.Lines(0)
	var b strings.Builder
	for _, l := range lines[max(0, len(lines)-n):] {
		fmt.Fprintf(&b, "    %s\n", l.Text)
	}
	return b.String()
}

// Count is how many lines from a mark on have all of the words.
func (c *Console) Count(from int, words ...string) (n int) {
	for _, l := range c.Lines(from) {
		if has(l.Text, words...) {
			n++
		}
	}
	return n
}

func has(line string, words ...string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}

var screenLine = regexp.MustCompile(`\bmsg=screen id=([a-z0-9-]{1,40}) `)

// screenID is the screen that a line of kioskd's log announces, or empty.
func screenID(line string) string {
	if m := screenLine.FindStringSubmatch(line + " "); m != nil {
		return m[1]
	}
	return ""
}

// value finds name=VALUE in a line of a program's log; quotes are taken off.
func value(line, name string) (string, bool) {
	_, rest, ok := strings.Cut(" "+line+" ", " "+name+"=")
	if !ok {
		return "", false
	}
	if strings.HasPrefix(rest, `"`) {
		if q, err := strconv.QuotedPrefix(rest); err == nil {
			s, err := strconv.Unquote(q)
			return s, err == nil
		}
	}
	v, _, _ := strings.Cut(rest, " ")
	return v, true
}
