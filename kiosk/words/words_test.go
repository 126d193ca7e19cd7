package words

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

var hole = regexp.MustCompile(`\{[a-z]+\}`)

// Every language has the same sentences with the same holes.
func TestLanguagesAgree(t *testing.T) {
	first := In(Languages[0])
	for _, lang := range Languages[1:] {
		b := In(lang)
		for _, id := range append(first.IDs(), b.IDs()...) {
			if !b.Has(id) || !first.Has(id) {
				t.Errorf("%q: in %s %v, in %s %v", id, first.Lang, first.Has(id), lang, b.Has(id))
				continue
			}
			h1, h2 := hole.FindAllString(first.sentences[id], -1), hole.FindAllString(b.sentences[id], -1)
			slices.Sort(h1)
			slices.Sort(h2)
			if !slices.Equal(h1, h2) {
				t.Errorf("%q: holes %v in %s, %v in %s", id, h1, first.Lang, h2, lang)
			}
		}
	}
}

// Whatever went wrong, a person is told what to do now.
func TestEveryRefusalHasANextStep(t *testing.T) {
	for _, lang := range Languages {
		b := In(lang)
		for _, id := range b.IDs() {
			if rule, ok := strings.CutPrefix(id, "why."); ok && !b.Has("next."+rule) {
				t.Errorf("%s: %q has no %q", lang, id, "next."+rule)
			}
			if rule, ok := strings.CutPrefix(id, "next."); ok && !b.Has("why."+rule) {
				t.Errorf("%s: %q has no %q", lang, id, "why."+rule)
			}
		}
	}
}

// Persian sentences use Persian ye and kaf and Persian digits.
func TestPersianLetters(t *testing.T) {
	b := In("fa")
	for _, id := range b.IDs() {
		if i := strings.IndexAny(b.sentences[id], "يكى0123456789"); i >= 0 {
			t.Errorf("%q: %q has a foreign letter or digit at byte %d", id, b.sentences[id], i)
		}
	}
}

func TestSay(t *testing.T) {
	b := &Book{Lang: "en", sentences: map[string]string{"a": "{n} of {m}"}}
	if got := b.Say("a", "n", "{m}", "m", "2"); got != "{m} of 2" {
		t.Errorf("holes are filled once: got %q", got)
	}
	if got := b.Say("none"); got != "⟨none⟩" {
		t.Errorf("unknown sentence: got %q", got)
	}
	if In("xx").Lang != "fa" || After("fa") != "en" || After("en") != "fa" || After("xx") != "fa" {
		t.Error("language order")
	}
}
