package kiosk

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"mohr.internal/display"
	"mohr.internal/kiosk/check"
	"mohr.internal/kiosk/nationalid"
	"mohr.internal/kiosk/persian"
	"mohr.internal/kiosk/profile"
	"mohr.internal/kiosk/words"
)

// The pages, in the order of the ceremony.

func idlePage(b *words.Book) display.Screen {
	return display.Screen{
		ID: "idle", Mood: display.Calm, Title: b.Say("idle.title"), Lines: []string{b.Say("idle.line"), b.Say("idle.privacy")},
		Token:   hint(b, display.TokenInsert),
		Choices: []display.Choice{{ID: choiceLanguage, Label: b.Say("button.language"), Key: 'L'}},
	}
}

func idleWarningPage(b *words.Book) display.Screen {
	return display.Screen{
		ID: "idle-warning", Mood: display.Ask, Title: b.Say("idle-warning.title"), Lines: []string{b.Say("idle-warning.line")},
		Choices: []display.Choice{{ID: choiceOK, Label: b.Say("button.here"), Key: '\n', Primary: true}},
	}
}

// working is a page without a question while the machine is busy.
func working(id string, step, of int) page {
	return func(b *words.Book) display.Screen {
		return display.Screen{
			ID: id, Mood: display.Calm, Title: b.Say(id + ".title"), Lines: []string{b.Say(id + ".line")},
			Progress: &display.Progress{Done: step, Total: of, Text: b.Say("working.step", "n", number(b, step), "of", number(b, of))},
			Token:    hint(b, display.TokenKeep),
		}
	}
}

func tokenPage(h holder) page {
	return func(b *words.Book) display.Screen {
		s := display.Screen{
			ID: "token", Mood: display.Ask, Title: b.Say("token.title"),
			Facts: []display.Fact{
				{Label: b.Say("fact.name"), Value: h.name(b)},
				{Label: b.Say("fact.national-id"), Value: nationalid.Mask(h.ID), LTR: true},
				{Label: b.Say("fact.ends"), Value: endsText(b, h)},
				{Label: b.Say("fact.tries"), Value: triesText(b, h.tries)},
			},
			Choices: []display.Choice{
				{ID: choiceOK, Label: b.Say("button.renew"), Key: '\n', Primary: true}, cancel(b),
			},
		}
		if len(h.warnings) <= warningsBeside {
			s.Lines = warnings(b, h.warnings)
		}
		return s
	}
}

// mostToChoose is how many certificates have room on a page.
const mostToChoose = 2

func certificateChoice(i int) string { return fmt.Sprintf("certificate-%d", i+1) }

// choosePage asks which of several subjects' certificates is to be renewed. The names
// are the certificates' own and not cut: "[Sign]" and "[Stamp]" are at their end.
func choosePage(found []check.Candidate) page {
	return func(b *words.Book) display.Screen {
		s := display.Screen{
			ID: "choose", Mood: display.Ask, Title: b.Say("choose.title"), Lines: []string{b.Say("choose.line")}, Token: hint(b, display.TokenKeep),
		}
		for i, one := range found {
			s.Choices = append(s.Choices, display.Choice{
				ID: certificateChoice(i), Label: b.Say("choose.number", "n", number(b, i+1), "date", date(b, one.Certificate.NotAfter)), Key: rune('1' + i),
			})
			s.Facts = append(s.Facts, display.Fact{Label: number(b, i+1), Value: persian.Show(one.Certificate.Subject.CommonName), LTR: !persian.IsRTL(one.Certificate.Subject.CommonName)})
		}
		s.Choices = append(s.Choices, cancel(b))
		return s
	}
}

// How many warnings stand beside the holder's data, and on a page of their own.
const (
	warningsBeside = 1
	warningsAlone  = 4
)

func warnings(b *words.Book, rules []string) (lines []string) {
	for _, rule := range rules {
		lines = append(lines, b.Say("why."+rule))
	}
	return lines
}

// noticePage shows warnings that are too many for the page of the token.
func noticePage(rules []string) page {
	return func(b *words.Book) display.Screen {
		return display.Screen{
			ID: "notice", Mood: display.Ask, Title: b.Say("notice.title"), Lines: warnings(b, rules),
			Token: hint(b, display.TokenKeep), Choices: []display.Choice{next(b), cancel(b)},
		}
	}
}

// endsText is the day on which the certificate ends, and how far that is.
func endsText(b *words.Book, h holder) string {
	if h.daysLeft < 0 {
		return date(b, h.ends)
	}
	return b.Say("fact.ends-value", "date", date(b, h.ends), "days", number(b, h.daysLeft))
}

func triesText(b *words.Book, tries int) string {
	if tries < 0 {
		return b.Say("fact.tries-unknown")
	}
	return number(b, tries)
}

func laterPage(b *words.Book) display.Screen {
	return display.Screen{
		ID: "later", Mood: display.Ask, Title: b.Say("later.title"), Lines: []string{b.Say("later.line")},
		Choices: []display.Choice{
			{ID: choiceOK, Label: b.Say("button.renew-here"), Key: '\n', Primary: true}, cancel(b),
		},
	}
}

func officerInsertPage(b *words.Book) display.Screen {
	return display.Screen{
		ID: "officer-insert", Mood: display.Ask, Title: b.Say("officer-insert.title"), Lines: []string{b.Say("officer-insert.line")},
		Token: hint(b, display.TokenKeep), Choices: []display.Choice{cancel(b)},
	}
}

// pinPage asks for a PIN; id is "pin" (the holder's) or "officer-pin". Only dots
// are ever drawn.
func pinPage(id string, name naming, tries int, before string) func(b *words.Book, typed []byte) display.Screen {
	return func(b *words.Book, typed []byte) display.Screen {
		s := display.Screen{
			ID: id, Mood: display.Ask, Title: b.Say(id + ".title"),
			Facts: []display.Fact{{Label: b.Say("fact.name"), Value: short(name(b))}, {Label: b.Say("fact.tries"), Value: triesText(b, tries)}},
			Input: &display.Input{Prompt: b.Say(id + ".prompt"), Value: strings.Repeat("●", len(typed)), Keypad: true},
			Token: hint(b, display.TokenKeep), Choices: []display.Choice{cancel(b)},
		}
		if before != "" {
			s.Lines = []string{b.Say("why." + before)}
		}
		return s
	}
}

// lettersBeside is how much of a name stands on a crowded page. All of the holder's
// was on the page of the token.
const lettersBeside = 32

// short cuts a name between two words.
func short(name string) string {
	if cut := cut(name, lettersBeside); len(cut) > 1 {
		return cut[0] + "…"
	}
	return name
}

func pinLowPage(b *words.Book) display.Screen {
	return display.Screen{
		ID: "pin-low", Mood: display.Alarm, Title: b.Say("pin-low.title"), Lines: []string{b.Say("pin-low.line")},
		Choices: yesNo(b), Token: hint(b, display.TokenKeep),
	}
}

func documentPage(docs []profile.Document) page {
	return func(b *words.Book) display.Screen {
		s := display.Screen{ID: "document", Mood: display.Ask, Title: b.Say("document.title"), Lines: []string{b.Say("document.line")}}
		for i, d := range docs {
			s.Choices = append(s.Choices, display.Choice{ID: d.ID, Label: in(d.Name, b), Key: rune('1' + i)})
		}
		s.Choices = append(s.Choices, cancel(b))
		return s
	}
}

func nationalIDPage(wrong bool) func(b *words.Book, typed []byte) display.Screen {
	return func(b *words.Book, typed []byte) display.Screen {
		s := display.Screen{
			ID: "national-id", Mood: display.Ask, Title: b.Say("national-id.title"), Lines: []string{b.Say("national-id.line")},
			Input:   &display.Input{Prompt: b.Say("national-id.prompt"), Value: string(typed), Keypad: true},
			Choices: []display.Choice{cancel(b)},
		}
		if wrong {
			s.Lines = append(s.Lines, b.Say("national-id.wrong"))
		}
		return s
	}
}

// examinePage asks the officer one yes-or-no question about document or face; id
// is "feature" or "face".
func examinePage(id string, what profile.Text, n, of int) page {
	return func(b *words.Book) display.Screen {
		return display.Screen{
			ID: id, Mood: display.Ask, Title: b.Say(id + ".title"), Lines: []string{in(what, b)},
			Progress: &display.Progress{Done: n, Total: of, Text: b.Say("working.step", "n", number(b, n), "of", number(b, of))},
			Token:    hint(b, display.TokenKeep),
			Choices:  yesNo(b),
		}
	}
}

// faceWaitPage goes on by itself after the profile's least time.
func faceWaitPage(b *words.Book) display.Screen {
	return display.Screen{
		ID: "face-wait", Mood: display.Ask, Title: b.Say("face-wait.title"), Lines: []string{b.Say("face-wait.line")},
		Token: hint(b, display.TokenKeep), Choices: []display.Choice{cancel(b)},
	}
}

// termsPage is one part of the terms. Only the last one can be accepted; every one
// can be declined.
func termsPage(terms profile.Terms, n int) page {
	return func(b *words.Book) display.Screen {
		parts := termsParts(in(terms.Text, b))
		n := min(n, len(parts)-1) // languages may differ in length
		s := display.Screen{
			ID: "terms", Mood: display.Ask, Title: b.Say("terms.title"), Lines: parts[n],
			Facts: []display.Fact{{Label: b.Say("fact.terms-version"), Value: terms.Version, LTR: true}},
			Choices: []display.Choice{
				{ID: choiceYes, Label: b.Say("button.accept"), Key: '1', Primary: true},
				{ID: choiceNo, Label: b.Say("button.decline"), Key: '2'}, cancel(b),
			},
		}
		if len(parts) > 1 {
			s.Title += " · " + b.Say("review.part", "n", number(b, n+1), "of", number(b, len(parts)))
		}
		if n < len(parts)-1 {
			s.Choices[0].Label = b.Say("button.next")
		}
		return s
	}
}

// subjectPage shows a part of the subject that will be signed; the rows come from
// the bytes that will be signed.
func subjectPage(rows []check.SubjectField, n, of int) page {
	return func(b *words.Book) display.Screen {
		s := display.Screen{
			ID: "review", Mood: display.Ask, Title: b.Say("review.title"), Token: hint(b, display.TokenKeep),
			Choices: []display.Choice{next(b), cancel(b)},
		}
		if of > 1 {
			s.Lines = []string{b.Say("review.part", "n", number(b, n), "of", number(b, of))}
		}
		for _, r := range rows {
			label := r.Name // an attribute without a name in words is shown by its type
			if b.Has("subject." + r.Name) {
				label = b.Say("subject." + r.Name)
			}
			s.Facts = append(s.Facts, display.Fact{Label: label, Value: r.Shown, LTR: r.LTR})
		}
		return s
	}
}

// signPage is the last page before the PIN: the holder holds the button.
func signPage(h holder, key string, officer naming) page {
	return func(b *words.Book) display.Screen {
		return display.Screen{
			ID: "sign", Mood: display.Ask, Title: b.Say("sign.title"), Lines: []string{b.Say("sign.line")},
			Facts: []display.Fact{
				{Label: b.Say("fact.name"), Value: h.name(b)},
				{Label: b.Say("fact.ends"), Value: date(b, h.ends)},
				{Label: b.Say("fact.new-key"), Value: key, LTR: true},
				{Label: b.Say("fact.officer"), Value: short(officer(b))},
			},
			Token:   hint(b, display.TokenKeep),
			Choices: []display.Choice{{ID: choiceOK, Label: b.Say("button.hold"), Key: '\n', Primary: true, Hold: true}, cancel(b)},
		}
	}
}

// receiptPage shows the QR code of a receipt. status is the sentence below the
// title: what the journal holds, and nothing more.
func receiptPage(r Renewal, tracking, status string, hold display.TokenState) page {
	return func(b *words.Book) display.Screen {
		id := "receipt"
		mood := display.Done
		if status == "receipt.accepted" {
			id = "accepted"
		}
		return display.Screen{
			ID: id, Mood: mood, Title: b.Say(id + ".title"), Lines: []string{b.Say(status)},
			QR: r.Receipt, QRCaption: b.Say("receipt.caption"),
			Facts:   []display.Fact{{Label: b.Say("fact.tracking"), Value: tracking, LTR: true}},
			Token:   hint(b, hold),
			Choices: []display.Choice{done(b)},
		}
	}
}

func pickupPage(h holder, ends time.Time, elsewhere bool) page {
	return func(b *words.Book) display.Screen {
		s := display.Screen{
			ID: "pickup", Mood: display.Ask, Title: b.Say("pickup.title"), Lines: []string{b.Say("pickup.line")},
			Facts: []display.Fact{
				{Label: b.Say("fact.name"), Value: h.name(b)},
				{Label: b.Say("fact.ends"), Value: date(b, ends)},
			},
			Token:   hint(b, display.TokenKeep),
			Choices: []display.Choice{next(b), cancel(b)},
		}
		if elsewhere {
			s.Lines = append([]string{b.Say("pickup.elsewhere")}, s.Lines...)
		}
		return s
	}
}

// elsewherePage asks the holder about another kiosk; rule says what is not known.
func elsewherePage(rule string) page {
	return func(b *words.Book) display.Screen {
		return display.Screen{
			ID: "elsewhere", Mood: display.Ask, Title: b.Say("elsewhere.title"), Lines: []string{b.Say("why." + rule), b.Say("elsewhere.line")},
			Token: hint(b, display.TokenKeep), Choices: yesNo(b),
		}
	}
}

// refusalPage says what happened and what to do now.
func refusalPage(rule string, s display.TokenState) page {
	return func(b *words.Book) display.Screen {
		why, nextStep := "why."+rule, "next."+rule
		if !b.Has(why) {
			why, nextStep = "why."+RuleInternal, "next."+RuleInternal
		}
		return display.Screen{
			ID: "refused", Mood: display.Alarm, Title: b.Say("refused.title"), Lines: []string{b.Say(why), b.Say(nextStep)},
			Facts: []display.Fact{{Label: b.Say("fact.rule"), Value: rule, LTR: true}},
			Token: hint(b, s), Choices: []display.Choice{done(b)},
		}
	}
}

// lastPage tells people what err was.
func lastPage(err error) page {
	var refusal *Refusal
	if errors.As(err, &refusal) && refusal.Device != nil {
		return devicePage(refusal.Rule, *refusal.Device)
	}
	return refusalPage(ruleOf(err), display.TokenFree)
}

// devicePage is the refusal of a device: what it is as far as that is known, and
// what support needs to know of it. What the device says of itself is not shown, as
// anybody can write anything into a device; it is in the QR code.
func devicePage(rule string, d Device) page {
	return func(b *words.Book) display.Screen {
		s := refusalPage(rule, display.TokenFree)(b)
		model := display.Fact{Label: b.Say("fact.model"), Value: d.Model, LTR: true}
		if d.Model == "" {
			model.Value, model.LTR = b.Say("fact.model-unknown"), false
		}
		s.Facts = append([]display.Fact{model}, s.Facts...)
		if d.USB != "" {
			s.Facts = append(s.Facts, display.Fact{Label: b.Say("fact.usb"), Value: d.USB, LTR: true})
		}
		if d.Description != "" {
			s.QR, s.QRCaption = d.Description, b.Say("refused.caption")
		}
		return s
	}
}

// removePage is shown until the token is out.
func removePage(b *words.Book) display.Screen {
	return display.Screen{
		ID: "remove", Mood: display.Done, Title: b.Say("remove.title"), Lines: []string{b.Say("remove.line")},
		Token: hint(b, display.TokenFree),
	}
}

// waitPage is shown as long as something keeps the terminal from going on.
func waitPage(rule string) page {
	return func(b *words.Book) display.Screen {
		s := refusalPage(rule, display.TokenSilent)(b)
		s.Choices = nil
		return s
	}
}

// troublePage is the page of a kiosk that cannot serve, until the cause is gone.
func troublePage(rule string) page {
	return func(b *words.Book) display.Screen {
		s := waitPage(rule)(b)
		s.ID, s.Title = "trouble", b.Say("trouble.title")
		return s
	}
}

// forkPage is the alarm of a kiosk whose memory card is not the one that the centre
// knows. theirs is read out to head office.
func forkPage(id string, theirs LogEnd) page {
	return func(b *words.Book) display.Screen {
		s := refusalPage(RuleFleetFork, display.TokenSilent)(b)
		s.ID, s.Title, s.Facts = "fork", b.Say("fork.title"), append(s.Facts, forkFacts(b, id, theirs)...)
		s.Choices = []display.Choice{{ID: choiceOK, Label: b.Say("button.officer"), Key: '\n'}}
		return s
	}
}

func forkFacts(b *words.Book, id string, theirs LogEnd) []display.Fact {
	return []display.Fact{
		{Label: b.Say("fact.kiosk"), Value: id, LTR: true}, {Label: b.Say("fact.foreign"), Value: theirs.String(), LTR: true},
	}
}

// forkClearPage is where an officer says that head office was told.
func forkClearPage(id string, theirs LogEnd) page {
	return func(b *words.Book) display.Screen {
		return display.Screen{
			ID: "fork-clear", Mood: display.Alarm, Title: b.Say("fork-clear.title"), Lines: []string{b.Say("fork-clear.line")},
			Facts: forkFacts(b, id, theirs), Token: hint(b, display.TokenKeep),
			Choices: []display.Choice{{ID: choiceOK, Label: b.Say("button.hold-clear"), Key: '\n', Primary: true, Hold: true}, cancel(b)},
		}
	}
}

// TroublePage is the screen of a kiosk whose ceremony cannot even begin.
func TroublePage(rule, lang string) display.Screen {
	b := words.In(lang)
	s := troublePage(rule)(b)
	s.Lang, s.RTL = b.Lang, b.RTL
	return s
}
