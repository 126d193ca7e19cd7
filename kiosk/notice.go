package kiosk

import (
	"slices"
	"time"

	"mohr.internal/display"
	"mohr.internal/kiosk/persian"
	"mohr.internal/kiosk/words"
)

// What staff have to know whoever is at the counter: rules that refuse nobody. Their
// words are "notice.ID" and, with what to do, "do.ID".
const (
	noticeFilling = "STORE-FILLING" // the journal is filled to FillWarn
	noticeFull    = RuleStoreFull   // and so far that nobody new is begun with
	noticeSoon    = "SYNC-SOON"     // the CA has to be reached within syncWarning
	noticeOverdue = "SYNC-OVERDUE"  // and was not
	noticeClock   = "SYNC-CLOCK"    // something has to reach the CA, and nobody can say how soon that is
)

// syncWarning is how many days before the latest time for syncing staff are told.
const syncWarning = 7

// noticeWatch is how often is looked whether a notice has changed by time alone.
const noticeWatch = time.Minute

type notice struct {
	rule    string
	percent int       // of the storage
	by      time.Time // the CA has to be reached by then
	days    int       // until then
}

// alarm says whether the notice is one that must not wait.
func (n notice) alarm() bool { return n.rule == noticeFull || n.rule == noticeOverdue }

func (n notice) say(b *words.Book, kind string) string {
	return b.Say(kind+"."+n.rule, "percent", number(b, n.percent), "date", date(b, n.by), "days", number(b, n.days))
}

// notices are what staff have to know now, the most pressing first.
func (k *Kiosk) notices() (out []notice) {
	fill, full := k.Ledger.journal.Fill(), k.Ledger.full() != nil
	percent := int(100 * fill)
	if full {
		out = append(out, notice{rule: noticeFull, percent: percent})
	}
	if by, _ := k.latestSync(); !by.IsZero() {
		clock := k.checkClock()
		days := persian.Days(clock.Now, by)
		switch {
		case !clock.Proven:
			out = append(out, notice{rule: noticeClock, by: by})
		case clock.Now.After(by):
			out = append(out, notice{rule: noticeOverdue, by: by})
		case days <= syncWarning:
			out = append(out, notice{rule: noticeSoon, by: by, days: days})
		}
	}
	if fill >= FillWarn && !full {
		out = append(out, notice{rule: noticeFilling, percent: percent})
	}
	return out
}

// latestSync is when the CA must have been reached so that nobody's old certificate
// ends, less the profile's margin, before the request is in; zero while nothing waits.
// count is how many requests the CA does not have.
func (k *Kiosk) latestSync() (by time.Time, count int) {
	for _, n := range k.Ledger.All(Renewal.undelivered) {
		count++
		if n.Ends.IsZero() {
			continue
		}
		if last := n.LatestSync(k.Profile.CA.SyncMarginDays); by.IsZero() || last.Before(by) {
			by = last
		}
	}
	return by, count
}

// undelivered says that the CA does not have the request yet.
func (n Renewal) undelivered() bool { return n.State >= RequestSigned && n.State <= Receipted }

// LatestSync is when the request has to be at the CA: margin days before the old
// certificate ends.
func (n Renewal) LatestSync(margin int) time.Time { return n.Ends.AddDate(0, 0, -margin) }

// changedNotices returns a channel that is closed when the notices are not these any
// more, by time alone: the ledger has a channel of its own. release ends the watching.
func (k *Kiosk) changedNotices(now []notice) (changed <-chan struct{}, release func()) {
	out, stop := make(chan struct{}), make(chan struct{})
	go func() {
		tick := time.NewTicker(noticeWatch)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if !slices.Equal(k.notices(), now) {
				close(out)
				return
			}
		}
	}()
	return out, func() { close(stop) }
}

// noticed puts the notices on a page that is up while nobody is served.
func noticed(p page, notices []notice) page {
	return func(b *words.Book) display.Screen {
		s := p(b)
		for _, n := range notices {
			if n.rule == noticeFull && s.ID == "full" { // says it already
				continue
			}
			s.Lines = append(s.Lines, b.Say("notice.staff", "what", n.say(b, "notice")))
			if n.alarm() {
				s.Mood = display.Alarm
			}
		}
		s.Choices = append(s.Choices, display.Choice{ID: choiceStaff, Label: b.Say("button.staff"), Key: '9'})
		return s
	}
}

// fullPage is the idle page of a kiosk that begins with nobody new.
func fullPage(b *words.Book) display.Screen {
	s := refusalPage(RuleStoreFull, display.TokenSilent)(b)
	s.ID, s.Title = "full", b.Say("full.title")
	s.Lines = append(s.Lines, b.Say("full.line"))
	s.Choices = []display.Choice{{ID: choiceLanguage, Label: b.Say("button.language"), Key: 'L'}}
	return s
}
