package receipt

import (
	_ "embed"
	"encoding/hex"
	"encoding/json"
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
	HeadSeq  uint64 // 0 without checkpoint
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
		Request: orEmpty(r.Request[:]), OldCert: orEmpty(r.OldCert[:]), Head: orEmpty(r.Head[:]), HeadSeq: r.HeadSeq,
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
	head := ""
	if r.HeadSeq > 0 {
		head = fmt.Sprintf("%d %s", r.HeadSeq, r.Head)
	}
	lines := []Line{
		{ID: "statement", Value: w["state."+r.State.String()]},
		{ID: "kiosk", Value: fmt.Sprintf("%s (%d)", r.Name, r.Kiosk)},
		{ID: "time", Value: r.Time.Format("2006-01-02 15:04:05 UTC")},
		{ID: "clock", Value: w["clock."+r.Clock.String()]},
		{ID: "tracking", Value: r.Tracking},
		{ID: "seq", Value: strconv.FormatUint(r.Seq, 10)},
		{ID: "request", Value: r.Request},
		{ID: "old", Value: r.OldCert},
		{ID: "head", Value: head},
		{ID: "key", Value: r.Key},
	}
	out := lines[:0]
	for _, l := range lines {
		if l.Label = w[l.ID]; l.Value != "" {
			out = append(out, l)
		}
	}
	return out
}

//go:embed words.json
var wordsJSON []byte

// words are the sentences of each language. They are a data file because
// Persian has letters that source code should not.
var words = func() (w map[string]map[string]string) {
	if err := json.Unmarshal(wordsJSON, &w); err != nil {
		panic(err) // compiled in: a bad file never leaves the tests
	}
	return w
}()
