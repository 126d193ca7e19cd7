package kiosk

import (
	"slices"
	"strings"
	"testing"
	"time"

	"mohr.internal/display"
	"mohr.internal/kiosk/cmp/cmptest"
	"mohr.internal/kiosk/persian"
	"mohr.internal/kiosk/profile"
	"mohr.internal/kiosk/words"
	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/pkcs11test"
)

// transport is what the way to the CA is said to be.
type transport []Stuck

func (t *transport) Stuck() []Stuck { return *t }

// anyDay lets certificates be renewed long before their end.
func anyDay(p *profile.Profile) { p.Renewal.WindowDays = nil }

// someone is another citizen with a token.
func (c *counter) someone(serial string, days int) *stick {
	c.t.Helper()
	s := &stick{Token: pkcs11test.New(pkcs11test.Options{PIN: citizenPIN, Serial: serial, NewKey: testKeys}), role: RoleCitizen, pin: citizenPIN}
	c.issue(s, pkcs11.P256, c.pki.Citizen, cmptest.CertOptions{DaysLeft: days})
	return s
}

// leave has a citizen make a request and go with the receipt.
func (c *counter) leave(s *stick) Renewal {
	c.t.Helper()
	c.citizen = s
	c.walk("receipt")
	c.pull(s)
	c.press(choiceOK)
	c.pull(c.officer)
	c.at("idle", "full")
	return c.last()
}

// rows are the facts of a page, by their labels without the marks of direction.
func rows(s display.Screen) map[string]string {
	out := map[string]string{}
	for _, f := range s.Facts {
		out[strings.Trim(f.Label, "\u2066\u2069")] = strings.Map(func(r rune) rune {
			if r >= 0x2066 && r <= 0x2069 {
				return -1
			}
			return r
		}, f.Value)
	}
	return out
}

// The queue at the counter: what waits, why, since when, and what to do, by tracking
// number and without a name.
func TestQueue(t *testing.T) {
	counterTest(t, options{change: anyDay}, func(c *counter) {
		tried := &transport{}
		c.kiosk.Transport = tried
		private := c.glass.private
		c.press(choiceStaff)
		s := c.at("staff")
		if len(s.Choices) != 1 {
			t.Errorf("nothing waits, and can be looked at:\n%s", s.Text())
		}
		c.says("staff.sync-none")
		c.press(choiceCancel)
		c.at("idle")

		var left []Renewal
		for _, serial := range []string{"0010", "0011", "0012", "0013", "0014"} {
			left = append(left, c.leave(c.someone(serial, 60)))
			time.Sleep(time.Hour)
		}
		request := func(i int) Parcel {
			for _, p := range c.kiosk.Outbox.Pending() {
				if strings.HasPrefix(p.ID, left[i].ID.String()) {
					return p
				}
			}
			t.Fatalf("renewal %d is not pending", i)
			return Parcel{}
		}
		deliver := func(i int, b cmptest.Behaviour) {
			p := request(i)
			c.ca.Queue(b)
			body, why := c.post(p.DER)
			if why != "" {
				t.Fatal(why)
			}
			c.kiosk.Outbox.Answer(p.ID, body)
		}
		deliver(0, cmptest.Behaviour{})                              // issued, and nobody has come
		deliver(1, cmptest.Behaviour{Kind: cmptest.WaitPolls, N: 9}) // the CA waits
		deliver(2, cmptest.Behaviour{Kind: cmptest.OtherKey})        // an answer that is not right
		*tried = transport{
			{Parcel: request(3).ID, Tries: 4, Why: "dial tcp: no route to host", LastTry: c.clock.Now()},
			{Parcel: "nonsense", Why: "x"},
		}
		c.press(choiceStaff)
		c.at("staff")
		if r := rows(c.glass.now()); r[words.In("fa").Say("fact.waiting")] != "۵" || r[words.In("fa").Say("fact.unsent")] != "۳" {
			t.Errorf("rows %v", r)
		}
		since := func(i int) string {
			return plain("fa", "queue.since", "date", persian.Date(left[i].Since, "fa"))
		}
		for _, want := range []struct {
			sentence string
			renewal  int
			latest   bool
			why      string
		}{
			{"why.CA-ANSWER", 2, true, ""},
			{"queue.offline", 3, true, "dial tcp: no route to host"},
			{"queue.unsent", 4, true, ""},
			{"queue.waiting", 1, false, ""},
			{"queue.issued", 0, false, ""},
		} {
			c.press(choiceOK)
			s := c.at("queue")
			c.says(want.sentence)
			r := rows(s)
			row, ok := r[left[want.renewal].Tracking()]
			latest := strings.Contains(row, plain("fa", "queue.by", "date", persian.Date(left[want.renewal].LatestSync(c.profile.CA.SyncMarginDays), "fa")))
			if !ok || !strings.Contains(display.Screen{Title: row}.Text(), since(want.renewal)) || latest != want.latest {
				t.Errorf("%s: rows %v", want.sentence, r)
			}
			if got := r[words.In("fa").Say("fact.last-error")]; got != want.why {
				t.Errorf("%s: last error %q, want %q", want.sentence, got, want.why)
			}
			for _, secret := range []string{private, "Rezaei", "رضایی", "Karimi", "کریمی"} {
				if strings.Contains(s.Text(), secret) {
					t.Errorf("the queue shows %q:\n%s", secret, s.Text())
				}
			}
		}
		c.press(choiceOK)
		c.at("staff") // round
		c.press(choiceOK)
		c.press(choiceOK)
		c.at("queue")
		c.says("queue.offline")
		(*tried)[0].Refused, (*tried)[0].Why = true, "no CA answered: 200 OK"
		c.press(choiceCancel)
		c.press(choiceCancel)
		c.at("staff")
		c.press(choiceOK)
		c.press(choiceOK)
		c.says("queue.refused") // after what has a rule, before all that only waits
	})
}

// A queue of many pages is walked to its end and back, and every tracking number is on
// one of them.
func TestQueuePaging(t *testing.T) {
	counterTest(t, options{change: anyDay}, func(c *counter) {
		var all []string
		for i := range 2*itemsPerPage + 1 {
			all = append(all, c.leave(c.someone(string(rune('A'+i)), 60)).Tracking())
		}
		c.press(choiceStaff)
		var seen []string
		for range 3 {
			c.press(choiceOK)
			for label := range rows(c.at("queue")) {
				seen = append(seen, label)
			}
		}
		slices.Sort(all)
		slices.Sort(seen)
		if !slices.Equal(all, seen) {
			t.Errorf("seen %v, want %v", seen, all)
		}
		if s := c.glass.now(); !strings.Contains(s.Title, words.In("fa").Say("review.part", "n", "۳", "of", "۳")) {
			t.Errorf("title %q", s.Title)
		}
		for range 3 {
			c.press(choiceCancel)
		}
		c.at("staff")
		c.press(choiceCancel)
		c.at("idle")
	})
}

// The page for staff gives way: to a citizen, to nobody answering, to what changes.
func TestStaffGivesWay(t *testing.T) {
	counterTest(t, options{change: anyDay}, func(c *counter) {
		n := c.leave(c.someone("0010", 60))
		c.press(choiceStaff)
		c.at("staff")
		c.key('L')
		if s := c.glass.now(); s.Lang != "en" {
			t.Errorf("staff in %q", s.Lang)
		}
		time.Sleep(c.kiosk.Idle + idleWarning + time.Second)
		if s := c.at("idle"); s.Lang != "fa" {
			t.Errorf("idle in %q", s.Lang)
		}
		c.press(choiceStaff)
		c.press(choiceOK)
		c.says("queue.unsent")
		c.sync()
		c.says("queue.issued") // the page says so at once
		c.insert(c.someone("0011", 60))
		c.at("token")
		if _, ok := c.kiosk.Ledger.Renewal(n.ID); !ok {
			t.Error("the renewal is gone")
		}
	})
}

// notices holds the page that is up, in the office's language, against a notice.
func (c *counter) notices(want string, holes ...string) {
	c.t.Helper()
	s := c.at("idle")
	for _, rule := range []string{noticeSoon, noticeOverdue, noticeClock} {
		text := plain("fa", "notice.staff", "what", words.In("fa").Say("notice."+rule, holes...))
		if got := strings.Contains(s.Text(), text); got != (rule == want) {
			c.t.Errorf("notice %s on the idle page: %v, want %q:\n%s", rule, got, want, s.Text())
		}
	}
	c.press(choiceStaff)
	s = c.at("staff")
	for _, rule := range []string{noticeSoon, noticeOverdue, noticeClock} {
		text := plain("fa", "do."+rule, holes...)
		if got := strings.Contains(s.Text(), text); got != (rule == want) {
			c.t.Errorf("notice %s on the staff's page: %v, want %q:\n%s", rule, got, want, s.Text())
		}
	}
	if alarm := want == noticeOverdue; alarm != (s.Mood == display.Alarm) {
		c.t.Errorf("mood %v with %q", s.Mood, want)
	}
	c.press(choiceCancel)
	c.at("idle")
}

// The latest time for syncing is the earliest end of an old certificate that waits,
// less the profile's margin; staff are told when it is near, and when it is past; what
// was delivered does not count.
func TestLatestSync(t *testing.T) {
	counterTest(t, options{change: anyDay}, func(c *counter) {
		margin := c.profile.CA.SyncMarginDays
		if margin == 0 {
			t.Fatal("the profile has no margin")
		}
		c.notices("")
		late := c.someone("0010", 60)
		c.leave(late)
		c.notices("")
		first := c.someone("0011", 40)
		c.leave(first)
		by := first.cert.NotAfter.AddDate(0, 0, -margin)
		c.press(choiceStaff)
		s := c.at("staff")
		if got := rows(s)[words.In("fa").Say("fact.sync")]; got != plain("fa", "queue.since", "date", persian.Date(by, "fa"))[len("از "):] {
			t.Errorf("reach the CA by %q, want %s", got, persian.Date(by, "fa"))
		}
		c.press(choiceCancel)

		holes := func(days int) []string {
			return []string{"date", persian.Date(by, "fa"), "days", persian.Number(days, "fa")}
		}
		to := func(at time.Time) { // while nobody is there
			c.clock.add(at.Sub(c.clock.Now()))
			time.Sleep(noticeWatch + time.Second)
		}
		day := 24 * time.Hour
		to(by.Add(-8 * day))
		c.notices("", holes(8)...)
		to(by.Add(-7 * day))
		c.notices(noticeSoon, holes(7)...)
		to(by.Add(-10 * time.Minute))
		c.notices(noticeSoon, holes(0)...)
		to(by)
		c.notices(noticeOverdue, holes(0)...)
		c.sync() // both are in
		c.notices("")
	})
}

// On an unproven clock it is said that days are not counted.
func TestLatestSyncOnUnprovenClock(t *testing.T) {
	counterTest(t, options{change: anyDay, clock: ClockUnproven}, func(c *counter) {
		c.notices("")
		s := c.someone("0010", 40)
		c.leave(s)
		by := s.cert.NotAfter.AddDate(0, 0, -c.profile.CA.SyncMarginDays)
		holes := []string{"date", persian.Date(by, "fa"), "days", "۰"}
		for _, shift := range []time.Duration{0, 100 * 24 * time.Hour, -3000 * 24 * time.Hour} {
			c.clock.add(shift)
			time.Sleep(noticeWatch + time.Second)
			c.notices(noticeClock, holes...)
		}
		c.press(choiceStaff)
		c.press(choiceOK)
		row := rows(c.at("queue"))[c.last().Tracking()]
		if want := words.In("fa").Say("queue.since-unproven", "date", ""); !strings.Contains(row, strings.TrimPrefix(want, "از ")) {
			t.Errorf("row %q does not say that the clock is not proven", row)
		}
		c.press(choiceCancel)
		c.press(choiceCancel)
		c.clock.mu.Lock()
		c.clock.quality = ClockTrusted // a clock that is set ends the doubt
		c.clock.shift = 0
		c.clock.mu.Unlock()
		time.Sleep(noticeWatch + time.Second)
		c.notices("")
	})
}

// The clock jumps to 1970, ten years on, and back: the queue keeps its order, which is
// the journal's; nothing is lost, nothing is sent twice, and once the clock is right
// again everything is as it was.
func TestTimeJumps(t *testing.T) {
	counterTest(t, options{change: anyDay}, func(c *counter) {
		var order []RenewalID
		queue := func() (ids []RenewalID) {
			groups, _ := c.kiosk.queue()
			for _, g := range groups {
				for _, n := range g.renewals {
					ids = append(ids, n.ID)
				}
			}
			return ids
		}
		shifts := []time.Duration{0, 20 * time.Hour, -30 * time.Hour}
		for i, shift := range shifts {
			c.clock.add(shift)
			order = append(order, c.leave(c.someone(string(rune('A'+i)), 80)).ID)
		}
		by, count := c.kiosk.latestSync()
		was := c.kiosk.notices()
		records := len(c.journal.bytes())
		parcels := ids(c.kiosk.Outbox.Pending())
		for _, jump := range []time.Time{time.Unix(0, 0), testTime.AddDate(10, 0, 0), testTime.AddDate(-1, 0, 0), time.Unix(0, 0)} {
			shift := jump.Sub(c.clock.Now())
			c.clock.add(shift)
			c.halt()
			c.start()
			c.at("idle")
			if got := queue(); !slices.Equal(got, order) {
				t.Errorf("%v: order %v, want %v", jump, got, order)
			}
			if got, n := c.kiosk.latestSync(); !got.Equal(by) || n != count {
				t.Errorf("%v: latest %v of %d, want %v of %d", jump, got, n, by, count)
			}
			if got := ids(c.kiosk.Outbox.Pending()); !slices.Equal(got, parcels) {
				t.Errorf("%v: parcels %v, want %v", jump, got, parcels)
			}
			overdue := slices.ContainsFunc(c.kiosk.notices(), func(n notice) bool { return n.rule == noticeOverdue })
			if overdue != jump.After(by) {
				t.Errorf("%v: overdue %v", jump, overdue)
			}
			c.clock.add(-shift)
			records++ // that it came up
		}
		if got := len(c.journal.bytes()); got != records {
			t.Errorf("%d records, want %d", got, records)
		}
		if got := c.kiosk.notices(); !slices.Equal(got, was) {
			t.Errorf("notices %v, want %v", got, was)
		}
		c.clock.add(48 * time.Hour) // past the requests that were made too early by their clock
		c.sync()
		if n := len(c.ca.Issued()); n != len(order) {
			t.Errorf("%d certificates were issued, want %d", n, len(order))
		}
	})
}
