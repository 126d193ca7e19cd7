// Package words holds everything a person reads, in every language, apart from
// code and errors: whole sentences with named holes, one JSON file a language.
//
// A sentence says what happened; its sibling with "next." in front says what to
// do now. Tests hold every language to the same sentences with the same holes.
// Not here: layout (package display) and the decision which sentence to show.
package words

import (
	"embed"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
)

//go:embed *.json
var files embed.FS

// Book is one language.
type Book struct {
	Lang      string // BCP 47
	RTL       bool
	sentences map[string]string
}

// Languages are the languages there are, in the order the language key walks.
var Languages = []string{"fa", "en"}

var books = map[string]*Book{}

func init() {
	for _, lang := range Languages {
		b, err := load(lang)
		if err != nil {
			panic(err) // the files are compiled in: a bad one never leaves the tests
		}
		books[lang] = b
	}
}

func load(lang string) (*Book, error) {
	raw, err := files.ReadFile(lang + ".json")
	if err != nil {
		return nil, err
	}
	b := &Book{Lang: lang, RTL: lang == "fa"}
	if err := json.Unmarshal(raw, &b.sentences); err != nil {
		return nil, fmt.Errorf("words: %s.json: %w", lang, err)
	}
	return b, nil
}

// In returns the book of a language, or the first one where it is unknown.
func In(lang string) *Book {
	if b := books[lang]; b != nil {
		return b
	}
	return books[Languages[0]]
}

// After returns the language that the language key goes to next.
func After(lang string) string {
	for i, l := range Languages {
		if l == lang {
			return Languages[(i+1)%len(Languages)]
		}
	}
	return Languages[0]
}

// Has says whether the book has the sentence.
func (b *Book) Has(id string) bool { _, ok := b.sentences[id]; return ok }

// Say is the sentence with its holes filled: holes are names and texts in turn,
// as in Say("token.days", "days", "20"). An unknown sentence shows its id, so that
// the screen still says something and the tests see it.
func (b *Book) Say(id string, holes ...string) string {
	s, ok := b.sentences[id]
	if !ok {
		return "⟨" + id + "⟩"
	}
	if len(holes) == 0 {
		return s
	}
	pairs := make([]string, len(holes))
	for i := 0; i+1 < len(holes); i += 2 {
		pairs[i], pairs[i+1] = "{"+holes[i]+"}", holes[i+1]
	}
	return strings.NewReplacer(pairs...).Replace(s)
}

// IDs are all sentence ids, sorted.
func (b *Book) IDs() []string {
	var ids []string
	for id := range b.sentences {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	return ids
}
