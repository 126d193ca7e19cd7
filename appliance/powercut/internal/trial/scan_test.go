package trial

import (
	"slices"
	"testing"

	"mohr.internal/appliance/canary"
	"mohr.internal/appliance/powercut/internal/disk"
)

// What was on the disk before, what was written and written over again, and what was
// logged is all seen.
func TestScanSees(t *testing.T) {
	scanner, err := canary.New(planted()...)
	if err != nil {
		t.Fatal(err)
	}
	base := disk.NewImage(diskSize)
	if _, err := base.WriteAt([]byte("…"+people[0].FamilyFa), 8192); err != nil {
		t.Fatal(err)
	}
	r := &recording{Log: &disk.Log{Base: base, Events: []disk.Event{
		{Kind: disk.Write, Off: 4096, Data: append(make([]byte, 500), people[1].NationalID...)},
		{Kind: disk.Flush},
		{Kind: disk.Write, Off: 4096, Data: make([]byte, 4096)},
		{Kind: disk.Write, Off: 8192, Data: make([]byte, 4096)},
		{Kind: disk.Note, Data: []byte(officerPIN)}, // what the world knows is not on the disk
	}}, Said: []byte(`level=INFO msg="hello ` + people[2].Given + `"`)}
	var got []string
	if _, err := r.scan(scanner, func(h canary.Hit, where string) { got = append(got, h.Secret.Name+" "+where) }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	want := []string{"Persian family name of citizen 1 on the disk", "given name of citizen 3 in the log", "national ID of citizen 2 in a write"}
	if got = slices.Compact(got); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

// A kiosk whose journal is not sealed is found out by the very scan.
func TestScanSeesAnUnsealedJournal(t *testing.T) {
	_, _, notes := session(t)
	scanner, err := canary.New(planted()...)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, n := range notes {
		scanner.Bytes(n.Payload, func(h canary.Hit) { found[h.Secret.Name] = true })
	}
	for _, name := range []string{"Persian given name of citizen 1", "family name of citizen 1", "national ID of citizen 1", "family name of the officer"} {
		if !found[name] {
			t.Errorf("%s is not in the records", name)
		}
	}
	for _, name := range []string{"PIN of the citizens", "PIN typed wrongly", "PIN of the officer"} {
		if found[name] {
			t.Errorf("%s is in a record", name)
		}
	}
}
