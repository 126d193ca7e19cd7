package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Report prints steps with their time, and counts examinations and figures. Scenarios
// on two machines share one.
type Report struct {
	out   io.Writer
	start time.Time

	mu      sync.Mutex
	passed  int
	failed  int
	figures []string
}

// NewReport starts the clock.
func NewReport(out io.Writer) *Report { return &Report{out: out, start: time.Now()} }

func (r *Report) print(mark, format string, args ...any) {
	fmt.Fprintf(r.out, "%7.1fs  %-4s  %s\n", time.Since(r.start).Seconds(), mark, fmt.Sprintf(format, args...))
}

// Title begins a scenario.
func (r *Report) Title(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintln(r.out)
	r.print("", format, args...)
}

// Step tells what is going on.
func (r *Report) Step(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.print("", format, args...)
}

// Check counts one examination and says how it went.
func (r *Report) Check(what string, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.failed++
		r.print("FAIL", "%s: %v", what, err)
		return err
	}
	r.passed++
	r.print("pass", "%s", what)
	return nil
}

// Figure keeps a figure for the end.
func (r *Report) Figure(name, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.figures = append(r.figures, name+": "+fmt.Sprintf(format, args...))
}

// End prints the figures and the count, and says whether all went well.
func (r *Report) End() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintln(r.out)
	for _, f := range r.figures {
		fmt.Fprintln(r.out, f)
	}
	fmt.Fprintf(r.out, "e2e_seconds: %.0f\n", time.Since(r.start).Seconds())
	fmt.Fprintf(r.out, "%d passed, %d failed\n", r.passed, r.failed)
	return r.failed == 0 && r.passed > 0
}
