package demo

import (
	"fmt"
	"io"
	"time"
)

// report prints steps with their time, and counts examinations.
type report struct {
	out     io.Writer
	start   time.Time
	passed  int
	failed  int
	figures []figure
}

type figure struct{ name, value string }

func (r *report) step(format string, args ...any) {
	fmt.Fprintf(r.out, "%7.2fs  %s\n", time.Since(r.start).Seconds(), fmt.Sprintf(format, args...))
}

func (r *report) title(text string) { fmt.Fprintf(r.out, "\n%s\n", text) }

// examine prints the outcome of one examination.
func (r *report) examine(what string, err error) {
	if err != nil {
		r.failed++
		fmt.Fprintf(r.out, "  FAIL  %s: %v\n", what, err)
		return
	}
	r.passed++
	fmt.Fprintf(r.out, "  pass  %s\n", what)
}

func (r *report) figure(name, format string, args ...any) {
	r.figures = append(r.figures, figure{name, fmt.Sprintf(format, args...)})
}

func (r *report) end() {
	fmt.Fprintln(r.out)
	for _, f := range r.figures {
		fmt.Fprintf(r.out, "%s: %s\n", f.name, f.value)
	}
	fmt.Fprintf(r.out, "%d passed, %d failed\n", r.passed, r.failed)
}
