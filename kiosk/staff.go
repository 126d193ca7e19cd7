package kiosk

import (
	"context"
	"slices"
	"time"

	"mohr.internal/display"
	"mohr.internal/kiosk/persian"
	"mohr.internal/kiosk/words"
)

// Transport tells what is known about the way to the CA beside the journal.
type Transport interface {
	Stuck() []Stuck
}

// Stuck is a parcel that has been tried and not settled, since the start.
type Stuck struct {
	Parcel  string // its ID
	Tries   int    // without an answer
	Refused bool   // somebody was there and gave no answer of a CA: a proxy, another server
	Why     string // of the last try, for support; "" if it was answered
	LastTry time.Time
}

// The ways in which something waits, in the order of the queue's pages; words are
// "queue.WAY". One with a rule, from a refused answer, has the rule's words.
const (
	waitsRefused = "refused" // the way to the CA is there, and no CA at its end
	waitsOffline = "offline" // there is no way to the CA
	waitsUnsent  = "unsent"  // not tried yet
	waitsCA      = "waiting" // the CA has the request
	waitsHolder  = "issued"  // the certificate is here and the holder is not
	waitsConfirm = "confirm" // the CA is owed a confirmation
)

var waits = []string{waitsRefused, waitsOffline, waitsUnsent, waitsCA, waitsHolder, waitsConfirm}

// Waits is what the renewal waits for, by the journal alone: a way, as in "queue.WAY",
// or a rule, as in "next.RULE". It is "" if nothing is to come.
func (n Renewal) Waits() (way, rule string) {
	switch {
	case !n.open():
		return "", ""
	case n.State == Issued:
		way = waitsHolder
	case n.State == Delivered:
		way = waitsCA
	case n.State == Loaded:
		way = waitsConfirm
	default:
		way = waitsUnsent
	}
	if n.Trouble == RuleCAAnswer || n.Trouble == RuleCAConfirm {
		rule = n.Trouble
	}
	return way, rule
}

// queueGroup are the renewals that wait for the same, longest first.
type queueGroup struct {
	way, rule string
	renewals  []Renewal
	why       string // of the last try, for support
}

// queue is everything that waits, in the journal's words and those of the transport.
func (k *Kiosk) queue() (groups []queueGroup, count int) {
	stuck := map[string]Stuck{}
	if k.Transport != nil {
		for _, s := range k.Transport.Stuck() {
			if id, _, err := parseParcelID(s.Parcel); err == nil && s.Why != "" {
				stuck[id.String()] = s
			}
		}
	}
	last := map[string]time.Time{}
	for _, n := range k.Ledger.All(func(n Renewal) bool { return n.open() }) {
		count++
		way, rule := n.Waits()
		s, tried := stuck[n.ID.String()]
		if tried && (way == waitsUnsent || way == waitsCA || way == waitsConfirm) {
			rule = "" // the newer trouble
			if way = waitsOffline; s.Refused {
				way = waitsRefused
			}
		}
		i := slices.IndexFunc(groups, func(g queueGroup) bool { return g.way == way && g.rule == rule })
		if i < 0 {
			groups, i = append(groups, queueGroup{way: way, rule: rule}), len(groups)
		}
		g := &groups[i]
		g.renewals = append(g.renewals, n)
		if key := way + rule; tried && !s.LastTry.Before(last[key]) {
			g.why, last[key] = s.Why, s.LastTry
		}
	}
	slices.SortStableFunc(groups, func(a, b queueGroup) int { return a.rank() - b.rank() })
	return groups, count
}

// rank puts first what somebody has to do something about.
func (g queueGroup) rank() int {
	if g.rule != "" {
		return -1
	}
	return slices.Index(waits, g.way)
}

// itemsPerPage of the queue fit every panel, with why and what to do above them.
const itemsPerPage = 4

// queuePages are the pages of the queue.
func queuePages(groups []queueGroup, margin int) (pages []page) {
	of := 0
	for _, g := range groups {
		of += (len(g.renewals) + itemsPerPage - 1) / itemsPerPage
	}
	for _, g := range groups {
		for part := range slices.Chunk(g.renewals, itemsPerPage) {
			g.renewals = part
			pages = append(pages, queuePage(g, margin, len(pages)+1, of))
		}
	}
	return pages
}

// staff shows how the terminal stands and what waits, to whoever asks: tracking
// numbers, states and dates, and nothing about anybody. So nobody has to sign in,
// which takes an officer's token and a PIN, for what is looked at several times a day.
// It ends with Back, when nobody answers, and when a token comes or the alarm of a fork.
func (k *Kiosk) staff(ctx context.Context) error {
	defer func() { k.stage.lang = k.Language }()
	for at := 0; ; {
		stored := k.Ledger.Changed()
		found, plugged := k.presence.look(RoleCitizen)
		if _, forked := k.Ledger.Fork(); forked || len(found) > 0 || k.Ledger.Failed() != nil {
			return nil
		}
		groups, count := k.queue()
		pages := append([]page{staffPage(k.standing(count))}, queuePages(groups, k.Profile.CA.SyncMarginDays)...)
		at = min(at, len(pages)-1)
		wake, release := anyOf(stored, plugged)
		choice, _, err := k.stage.await(ctx, pages[at], wake, k.Idle)
		release()
		switch {
		case ruleOf(err) == RuleIdle:
			return nil
		case err != nil:
			return err
		case choice == choiceCancel && at == 0:
			return nil
		case choice == choiceCancel:
			at--
		case choice == choiceOK:
			at = (at + 1) % len(pages)
		}
	}
}

// standing is how the terminal stands.
type standing struct {
	notices         []notice
	waiting, unsent int // renewals; of these not at the CA
	by              time.Time
	proven          bool // the clock
	percent         int  // of the storage
}

func (k *Kiosk) standing(waiting int) standing {
	s := standing{notices: k.notices(), waiting: waiting, proven: k.checkClock().Proven, percent: int(100 * k.Ledger.journal.Fill())}
	s.by, s.unsent = k.latestSync()
	return s
}

// sync is the latest time for syncing, in words.
func (s standing) sync(b *words.Book) string {
	switch {
	case s.unsent == 0:
		return b.Say("staff.sync-none")
	case s.by.IsZero(): // from before the journal kept the dates
		return b.Say("staff.sync-unknown")
	case !s.proven:
		return b.Say("staff.sync-unproven", "date", date(b, s.by))
	}
	return date(b, s.by)
}

// staffPage is how the terminal stands, and what to do about it.
func staffPage(now standing) page {
	return func(b *words.Book) display.Screen {
		s := display.Screen{ID: "staff", Mood: display.Calm, Title: b.Say("staff.title")}
		for _, n := range now.notices {
			s.Lines = append(s.Lines, n.say(b, "do"))
			s.Mood = display.Ask
		}
		if slices.ContainsFunc(now.notices, notice.alarm) {
			s.Mood = display.Alarm
		}
		s.Facts = []display.Fact{
			{Label: b.Say("fact.waiting"), Value: number(b, now.waiting)}, {Label: b.Say("fact.unsent"), Value: number(b, now.unsent)},
			{Label: b.Say("fact.sync"), Value: now.sync(b)}, {Label: b.Say("fact.fill"), Value: b.Say("fact.percent", "n", number(b, now.percent))},
		}
		s.Choices = []display.Choice{back(b)}
		if now.waiting > 0 {
			s.Choices = []display.Choice{{ID: choiceOK, Label: b.Say("button.queue"), Key: '\n', Primary: true}, back(b)}
		}
		return s
	}
}

// lettersOfWhy is how much of a technical reason is shown.
const lettersOfWhy = 56

// queuePage shows a part of those who wait for the same.
func queuePage(g queueGroup, margin, n, of int) page {
	return func(b *words.Book) display.Screen {
		s := display.Screen{
			ID: "queue", Mood: display.Ask, Title: b.Say("queue.title") + " · " + b.Say("review.part", "n", number(b, n), "of", number(b, of)),
			Lines: []string{b.Say("queue." + g.way)}, Choices: []display.Choice{next(b), back(b)},
		}
		if g.rule != "" {
			s.Lines = []string{b.Say("why." + g.rule), b.Say("next." + g.rule)}
		}
		for _, r := range g.renewals {
			value := b.Say("queue.since", "date", date(b, r.Since))
			if r.Clock != ClockTrusted {
				value = b.Say("queue.since-unproven", "date", date(b, r.Since))
			}
			if r.undelivered() && !r.Ends.IsZero() {
				value += " · " + b.Say("queue.by", "date", date(b, r.LatestSync(margin)))
			}
			s.Facts = append(s.Facts, display.Fact{Label: persian.LTR(r.Tracking()), Value: value})
		}
		if g.why != "" {
			s.Facts = append(s.Facts, display.Fact{Label: b.Say("fact.last-error"), Value: ends(g.why, lettersOfWhy), LTR: true})
		}
		return s
	}
}

// ends are both ends of a technical text: what was tried, and how it failed.
func ends(s string, letters int) string {
	r, half := []rune(s), letters/2
	if len(r) <= letters {
		return s
	}
	return string(r[:half-1]) + "…" + string(r[len(r)-half:])
}
