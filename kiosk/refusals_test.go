package kiosk

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"mohr.internal/kiosk/words"
)

// silent are rules that no screen shows: typing mistakes and face or document
// checks become RuleIdentity, on purpose, and notes are only recorded.
var silent = map[string]bool{
	"TOKEN-CERT-ONLY": true, "TOKEN-KEY-ONLY": true, "TOKEN-DUPLICATE": true, "WINDOW-UNKNOWN": true,
	"RENEWAL-UNKNOWN": true, "RENEWAL-LATER": true, "RENEWAL-PRESENCE": true,
	"TYPED-FORMAT": true, "TYPED-CHECKSUM": true, "TYPED-MISMATCH": true, "PIN-CONSENTED": true, "PIN-UNCOUNTED": true,
}

// Every rule in the code has words, and the words have no rule too many.
func TestEveryRuleHasWords(t *testing.T) {
	rules := map[string]bool{}
	for _, file := range []string{
		"refusals.go", "check/rules.go", "../appliance/tokenlink/event.go",
		"../appliance/kioskd/internal/station/storage.go", "../appliance/kioskd/internal/station/station.go",
		"../appliance/kioskd/internal/station/perm.go",
	} {
		for _, r := range ruleConstants(t, file) {
			rules[r] = true
		}
	}
	if len(rules) < 80 {
		t.Fatalf("only %d rules found", len(rules))
	}
	for _, lang := range words.Languages {
		b := words.In(lang)
		for r := range rules {
			if !silent[r] && !b.Has("why."+r) {
				t.Errorf("%s: no words for rule %s", lang, r)
			}
		}
		for _, id := range b.IDs() {
			if r, ok := strings.CutPrefix(id, "why."); ok && (!rules[r] || silent[r]) {
				t.Errorf("%s: words for %s, which no code uses", lang, r)
			}
		}
	}
}

// ruleConstants are the string constants of a file that look like a rule ID.
func ruleConstants(t *testing.T, file string) (rules []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			for _, v := range s.(*ast.ValueSpec).Values {
				lit, ok := v.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					continue
				}
				r, err := strconv.Unquote(lit.Value)
				if err == nil && r != "" && strings.ToUpper(r) == r && strings.Trim(r, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") == "" {
					rules = append(rules, r)
				}
			}
		}
	}
	return rules
}
