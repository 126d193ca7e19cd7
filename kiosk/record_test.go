package kiosk

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// full is a record with something in every field.
func full() Record {
	tries := 2
	r := Record{
		Version: recordVersion, Renewal: RenewalID{1, 2, 3}, Time: 1772357400, Clock: ClockKept, State: Issued.String(), Rule: "RULE",
		OldCert: []byte{1}, KeyID: []byte{2}, NewKey: []byte{3}, Request: []byte{4}, Receipt: "KR1:X", ReceiptSeq: 5,
		Certificate: []byte{6}, Chain: [][]byte{{7}, {8}}, Sealed: []byte{9}, Answer: []byte{10}, Confirm: []byte{11}, Confirmed: true,
		Officer: []byte{12}, Tries: &tries, Notes: []string{"A", "B"}, Signal: "unknown", Ends: 13,
	}
	return r
}

func TestRecordRoundTrip(t *testing.T) {
	event := Record{Version: recordVersion, Event: EventStart, Clock: ClockTrusted}
	alarm := Record{Version: recordVersion, Event: EventFork, Clock: ClockTrusted, Foreign: &LogEnd{Journal: [8]byte{1}, Seq: 2, Hash: [32]byte{3}}}
	for _, want := range []Record{full(), event, alarm} {
		b, err := want.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseRecord(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
	v := reflect.ValueOf(full())
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "Event" && name != "Foreign" {
			t.Errorf("field %s is not in the test", name)
		}
	}
}

// What is not exactly what Marshal writes is refused.
func TestRecordRefused(t *testing.T) {
	good, err := full().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	change := func(f func(*Record)) []byte {
		r := full()
		f(&r)
		b, err := recordEncoder.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	with := func(key, value any) []byte {
		m := map[any]any{}
		if err := cbor.Unmarshal(good, &m); err != nil {
			t.Fatal(err)
		}
		m[key] = value
		b, err := recordEncoder.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	indefinite := append(append([]byte{0xbf}, good[1:]...), 0xff)
	for name, b := range map[string][]byte{
		"nothing":             nil,
		"not a map":           {0x80},
		"trailing byte":       append(bytes.Clone(good), 0),
		"cut":                 good[:len(good)-1],
		"indefinite length":   indefinite,
		"unknown field":       with(uint64(99), "x"),
		"text key":            with("a", "x"),
		"tag":                 with(uint64(6), cbor.Tag{Number: 1, Content: "x"}),
		"wrong type":          with(uint64(2), "now"),
		"long id":             with(uint64(1), bytes.Repeat([]byte{1}, 17)),
		"next version":        change(func(r *Record) { r.Version++ }),
		"no version":          change(func(r *Record) { r.Version = 0 }),
		"unknown state":       change(func(r *Record) { r.State = "Lost" }),
		"state of no renewal": change(func(r *Record) { r.Renewal = RenewalID{} }),
		"state and event":     change(func(r *Record) { r.Event = EventStart }),
		"neither":             change(func(r *Record) { r.State = "" }),
		"chain without bound": change(func(r *Record) { r.Chain = make([][]byte, 65) }),
	} {
		if r, err := ParseRecord(b); err == nil || !reflect.DeepEqual(r, Record{}) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	// The same content with the first two keys in another order.
	id, err := recordEncoder.Marshal(full().Renewal)
	if err != nil {
		t.Fatal(err)
	}
	head := 1 // a map of fewer than 24 pairs, or with a byte for their number
	if good[0] == 0xb8 {
		head = 2
	}
	first := head + 2 // version
	second := first + 1 + len(id)
	reversed := slices.Concat(good[:head], good[first:second], good[head:first], good[second:])
	if _, err := ParseRecord(reversed); err == nil || !strings.Contains(err.Error(), "deterministic") {
		t.Errorf("another order: %v", err)
	}
}

// Whatever is accepted is what Marshal writes, and nothing panics.
func FuzzParseRecord(f *testing.F) {
	for _, r := range []Record{
		full(), {Event: EventStart, Clock: ClockUnproven}, {State: TokenRead.String(), Renewal: RenewalID{1}, Time: -1, Notes: []string{""}},
		{State: Refused.String(), Rule: "سلام"},
	} {
		b, err := r.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecord(b)
		if err != nil {
			if !reflect.DeepEqual(r, Record{}) {
				t.Error("an error and a record")
			}
			return
		}
		again, err := r.Marshal()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("not the same again: %v", err)
		}
		l := &Ledger{renewals: map[RenewalID]*Renewal{}}
		if err := l.apply(1, r); err != nil && !errors.Is(err, ErrTransition) {
			t.Errorf("apply: %v", err)
		}
	})
}

func FuzzParseParcelID(f *testing.F) {
	id := RenewalID{0xab}
	for _, s := range []string{"", ".", id.String(), id.String() + ".request", id.String() + ".poll.1", id.String() + ".confirm", strings.ToUpper(id.String()) + ".request"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, kind, err := parseParcelID(s)
		if err != nil {
			if id != (RenewalID{}) || kind != "" {
				t.Error("an error and an id")
			}
			return
		}
		if want := id.String() + "." + kind; s != want && !strings.HasPrefix(s, want+".") {
			t.Errorf("%q is read as %q", s, want)
		}
	})
}

var testNow = time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)

// still is a clock that stands.
type still struct{ quality string }

func (still) Now() time.Time    { return testNow }
func (s still) Quality() string { return s.quality }
