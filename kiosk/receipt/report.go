package receipt

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
)

// Report is what a person is told about a verified receipt: data and words,
// no layout. mohrctl and the kiosk's own screen print the same.
type Report struct {
	State    State
	Promise  bool // only recorded: the CA has not spoken
	Kiosk    uint32
	Name     string // of the office, from the list of keys
	Key      string // hex
	Time     time.Time
	Clock    Clock
	Proven   bool   // the time is more than the kiosk's claim
	Tracking string // grouped for reading aloud
	Seq      uint64
	Request  string // hex, empty if there is none
	OldCert  string // hex of the first 16 bytes, empty if there is none
	Head     string // hex of the first 16 bytes, empty without checkpoint
}

// Report prepares a receipt that Verify has accepted with this key.
func (r Receipt) Report(k Key) Report {
	orEmpty := func(b []byte) string {
		for _, c := range b {
			if c != 0 {
				return hex.EncodeToString(b)
			}
		}
		return ""
	}
	out := Report{
		State: r.State, Promise: r.State == Recorded, Kiosk: r.Kiosk, Name: k.Name,
		Time: r.Time.UTC(), Clock: r.Clock, Proven: r.Clock == ClockTrusted,
		Tracking: FormatTracking(r.Tracking), Seq: r.Seq,
		Request: orEmpty(r.Request[:]), OldCert: orEmpty(r.OldCert[:]), Head: orEmpty(r.Head[:]),
	}
	if kid, err := KeyIDOf(k.Public); err == nil {
		out.Key = kid.String()
	}
	return out
}

// FormatTracking groups the digits of a tracking number in threes from the
// left, "123-456-789": nine digits or fewer are what a person can copy.
func FormatTracking(n uint64) string {
	s := strconv.FormatUint(n, 10)
	out := ""
	for len(s) > 3 {
		out += s[:3] + "-"
		s = s[3:]
	}
	return out + s
}

// Line is one row of a report. ID is stable and ASCII, for tests and scripts.
type Line struct{ ID, Label, Value string }

// Lines puts the report into words, "fa" or otherwise English. Values are
// ASCII in machine form (the caller may add a Jalali date beside the time).
func (r Report) Lines(lang string) []Line {
	w, ok := words[lang]
	if !ok {
		w = words["en"]
	}
	lines := []Line{
		{"statement", w.statement, w.states[r.State]},
		{"kiosk", w.kiosk, fmt.Sprintf("%s (%d)", r.Name, r.Kiosk)},
		{"time", w.time, r.Time.Format("2006-01-02 15:04:05 UTC")},
		{"clock", w.clock, w.clocks[r.Clock]},
		{"tracking", w.tracking, r.Tracking},
		{"seq", w.seq, strconv.FormatUint(r.Seq, 10)},
		{"request", w.request, r.Request},
		{"old", w.old, r.OldCert},
		{"head", w.head, r.Head},
		{"key", w.key, r.Key},
	}
	out := lines[:0]
	for _, l := range lines {
		if l.Value != "" {
			out = append(out, l)
		}
	}
	return out
}

type vocabulary struct {
	statement, kiosk, time, clock, tracking, seq, request, old, head, key string

	states map[State]string
	clocks map[Clock]string
}

var words = map[string]vocabulary{
	"en": {
		statement: "Statement", kiosk: "Made by", time: "Time", clock: "Clock", tracking: "Tracking code", seq: "Receipt number",
		request: "Request (SHA-256)", old: "Old certificate", head: "Journal checkpoint", key: "Kiosk key",
		states: map[State]string{
			Recorded: "Recorded, not yet accepted. The kiosk keeps the signed request and promises to deliver it. The certificate authority has not answered.",
			Accepted: "Accepted. The kiosk has received the new certificate from the certificate authority.",
			Refused:  "Refused. There will be no certificate from this request.",
		},
		clocks: map[Clock]string{
			ClockUnproven: "Unproven: the kiosk could not check its clock. Only the order of its receipts is certain.",
			ClockKept:     "Kept: the kiosk checked its clock earlier and has kept the time since.",
			ClockTrusted:  "Trusted: the kiosk compared its clock with a signed time.",
		},
	},
	"fa": {
		statement: "گواهی", kiosk: "صادرکننده", time: "زمان", clock: "ساعت", tracking: "کد رهگیری", seq: "شمارهٔ رسید",
		request: "درخواست (SHA-256)", old: "گواهی پیشین", head: "نقطهٔ بازبینی دفتر", key: "کلید کیوسک",
		states: map[State]string{
			Recorded: "ثبت شد، هنوز پذیرفته نشده است. کیوسک درخواست امضاشده را نگه می‌دارد و متعهد به تحویل آن است. مرکز صدور هنوز پاسخ نداده است.",
			Accepted: "پذیرفته شد. کیوسک گواهی جدید را از مرکز صدور دریافت کرده است.",
			Refused:  "رد شد. برای این درخواست گواهی صادر نمی‌شود.",
		},
		clocks: map[Clock]string{
			ClockUnproven: "نامطمئن: کیوسک نتوانسته ساعت خود را بسنجد. تنها ترتیب رسیدها قطعی است.",
			ClockKept:     "نگه‌داشته: کیوسک پیش‌تر ساعت خود را سنجیده و از آن پس زمان را نگه داشته است.",
			ClockTrusted:  "مطمئن: کیوسک ساعت خود را با زمانی امضاشده سنجیده است.",
		},
	},
}
