package check

import (
	"fmt"
	"time"
)

// Severity says what a finding does to the renewal.
type Severity int

// A refusal ends the renewal, a warning is shown and recorded, a note is only
// recorded.
const (
	Info Severity = iota
	Warn
	Refuse
)

// String is the word used in journal and log.
func (s Severity) String() string {
	switch s {
	case Info:
		return "info"
	case Warn:
		return "warn"
	case Refuse:
		return "refuse"
	}
	return fmt.Sprintf("severity %d", int(s))
}

// Finding is the outcome of one rule. Detail is English, for journal and log,
// and holds nothing about the holder.
type Finding struct {
	Rule     string
	Severity Severity
	Detail   string
}

// String is one line for a log.
func (f Finding) String() string {
	return fmt.Sprintf("%s %s: %s", f.Severity, f.Rule, f.Detail)
}

// Findings are in the order in which the rules were looked at.
type Findings []Finding

func (f *Findings) add(rule string, s Severity, format string, args ...any) {
	*f = append(*f, Finding{rule, s, fmt.Sprintf(format, args...)})
}

// Err returns the first refusal as a *Refusal, or nil.
func (f Findings) Err() error {
	for _, one := range f {
		if one.Severity == Refuse {
			return &Refusal{Rule: one.Rule, Detail: one.Detail}
		}
	}
	return nil
}

// Has tells whether a rule is among the findings, at any severity.
func (f Findings) Has(rule string) bool {
	for _, one := range f {
		if one.Rule == rule {
			return true
		}
	}
	return false
}

// Only returns the findings of one severity.
func (f Findings) Only(s Severity) Findings {
	var out Findings
	for _, one := range f {
		if one.Severity == s {
			out = append(out, one)
		}
	}
	return out
}

// Refusal is the error by which a rule ends a renewal.
type Refusal struct {
	Rule   string
	Detail string
}

// Error implements error.
func (r *Refusal) Error() string {
	if r.Detail == "" {
		return "refused by " + r.Rule
	}
	return "refused by " + r.Rule + ": " + r.Detail
}

// Clock is the time a check is made at, and whether it can be relied on.
type Clock struct {
	Now    time.Time
	Proven bool
}

// against is the severity of a rule that compares with the time.
func (c Clock) against() Severity {
	if c.Proven {
		return Refuse
	}
	return Warn
}

// mark adds TIME-UNPROVEN where the clock is not proven.
func (c Clock) mark(f *Findings) {
	if !c.Proven {
		f.add(TimeUnproven, Warn, "the clock shows %s", stamp(c.Now))
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
