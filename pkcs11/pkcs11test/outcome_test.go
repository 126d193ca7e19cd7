package pkcs11test

import (
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	var b strings.Builder
	passed, failed := Table(&b, []Column{
		{Module: "One", Outcomes: []Outcome{{Case: "login"}, {Case: "locks", Known: []string{"it does not"}}, {Case: "own"}}},
		{Module: "Another", Outcomes: []Outcome{{Case: "login", Failed: true, Known: []string{"x"}}, {Case: "locks", Skipped: true}}},
		{Module: "None", Skipped: "not installed"},
	})
	const want = `       One      Another  None   
login  passed   FAILED   SKIPPED
locks  known 1  SKIPPED  SKIPPED
own    passed   -        SKIPPED

known: the module does this, the case holds it to the rest
  1  One, locks: it does not

*** None: NOTHING WAS TESTED: not installed ***
*** SKIPPED: 1 cases ***
with a known deviation: 1 of the passed
3 passed, 1 failed
`
	if b.String() != want || passed != 3 || failed != 1 {
		t.Errorf("%d passed, %d failed:\n%s", passed, failed, &b)
	}
}

func TestRunOutcome(t *testing.T) {
	if o := Run(t, "known", func(*testing.T) []string { return []string{"why"} }); o.Failed || o.Skipped || len(o.Known) != 1 {
		t.Errorf("%+v", o)
	}
	if o := Run(t, "skipped", func(t *testing.T) []string { t.Skip("shows that a skip is seen"); return nil }); o.Failed || !o.Skipped {
		t.Errorf("%+v", o)
	}
}
