package pkcs11test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Outcome is what came of one case.
type Outcome struct {
	Case    string
	Failed  bool
	Skipped bool

	// Known are the deviations that the module really has: each was shown in this
	// run, and the case holds the module to the rest.
	Known []string
}

// Run is t.Run with an outcome. The case returns the deviations it has shown.
func Run(t *testing.T, name string, run func(t *testing.T) (known []string)) Outcome {
	o := Outcome{Case: name, Skipped: true} // until it has run: -run may leave it out
	t.Run(name, func(t *testing.T) {
		defer func() { o.Failed, o.Skipped = t.Failed(), t.Skipped() }()
		o.Known = run(t)
	})
	return o
}

// Column is a module in a table.
type Column struct {
	Module   string
	Skipped  string // why nothing was tested; "" if it was
	Outcomes []Outcome
}

// Table writes cases by modules, the deviations, and the totals. A case that only
// one module has is "-" with the others.
func Table(w io.Writer, columns []Column) (passed, failed int) {
	var cases []string
	width := 0
	for _, c := range columns {
		for _, o := range c.Outcomes {
			if !slices.Contains(cases, o.Case) {
				cases = append(cases, o.Case)
				width = max(width, utf8.RuneCountInString(o.Case))
			}
		}
	}
	line := func(name string, cell func(Column) string) {
		fmt.Fprintf(w, "%-*s", width, name)
		for _, c := range columns {
			fmt.Fprintf(w, "  %-*s", max(len("SKIPPED"), len(c.Module)), cell(c))
		}
		fmt.Fprintln(w)
	}
	line("", func(c Column) string { return c.Module })
	var notes []string
	known, skipped := 0, 0
	for _, name := range cases {
		line(name, func(c Column) string {
			if c.Skipped != "" {
				return "SKIPPED"
			}
			at := slices.IndexFunc(c.Outcomes, func(o Outcome) bool { return o.Case == name })
			if at < 0 {
				return "-"
			}
			switch o := c.Outcomes[at]; {
			case o.Failed:
				failed++
				return "FAILED"
			case o.Skipped:
				skipped++
				return "SKIPPED"
			case len(o.Known) > 0:
				passed++
				known++
				notes = append(notes, fmt.Sprintf("%s, %s: %s", c.Module, name, strings.Join(o.Known, "; ")))
				return fmt.Sprintf("known %d", len(notes))
			default:
				passed++
				return "passed"
			}
		})
	}
	if len(notes) > 0 {
		fmt.Fprintln(w, "\nknown: the module does this, the case holds it to the rest")
	}
	for i, n := range notes {
		fmt.Fprintf(w, "%3d  %s\n", i+1, n)
	}
	fmt.Fprintln(w)
	for _, c := range columns {
		if c.Skipped != "" {
			fmt.Fprintf(w, "*** %s: NOTHING WAS TESTED: %s ***\n", c.Module, c.Skipped)
		}
	}
	if skipped > 0 {
		fmt.Fprintf(w, "*** SKIPPED: %d cases ***\n", skipped)
	}
	fmt.Fprintf(w, "with a known deviation: %d of the passed\n%d passed, %d failed\n", known, passed, failed)
	return passed, failed
}
