package kiosk

import (
	"time"

	"mohr.internal/display"
	"mohr.internal/kiosk/persian"
	"mohr.internal/kiosk/profile"
	"mohr.internal/kiosk/words"
)

// The buttons that many pages share.

func next(b *words.Book) display.Choice {
	return display.Choice{ID: choiceOK, Label: b.Say("button.next"), Key: '\n', Primary: true}
}

func done(b *words.Book) display.Choice {
	return display.Choice{ID: choiceOK, Label: b.Say("button.done"), Key: '\n', Primary: true}
}

func cancel(b *words.Book) display.Choice {
	return display.Choice{ID: choiceCancel, Label: b.Say("button.cancel"), Key: 'C'}
}

func back(b *words.Book) display.Choice {
	return display.Choice{ID: choiceCancel, Label: b.Say("button.back"), Key: 'C'}
}

func yesNo(b *words.Book) []display.Choice {
	return []display.Choice{
		{ID: choiceYes, Label: b.Say("button.yes"), Key: '1', Primary: true},
		{ID: choiceNo, Label: b.Say("button.no"), Key: '2'}, cancel(b),
	}
}

func hint(b *words.Book, s display.TokenState) display.TokenHint {
	switch s {
	case display.TokenInsert:
		return display.TokenHint{State: s, Text: b.Say("token-hint.insert")}
	case display.TokenKeep:
		return display.TokenHint{State: s, Text: b.Say("token-hint.keep")}
	case display.TokenFree:
		return display.TokenHint{State: s, Text: b.Say("token-hint.free")}
	}
	return display.TokenHint{}
}

// Numbers and dates as the language writes them.

func number(b *words.Book, n int) string { return persian.Number(n, b.Lang) }

func date(b *words.Book, t time.Time) string { return persian.Date(t, b.Lang) }

// in is a profile's text in the book's language, or in any that it has.
func in(t profile.Text, b *words.Book) string { return t.In(shownLanguage(t, b.Lang)) }

// shownLanguage is the language in which a profile's text is shown.
func shownLanguage(t profile.Text, want string) string {
	for _, lang := range append([]string{want}, words.Languages...) {
		if t.In(lang) != "" {
			return lang
		}
	}
	return want
}
