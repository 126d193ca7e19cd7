package card

import (
	"os"
	"testing"
	"time"
)

// The card that Initialise makes is the one that pkcs15-init of OpenSC 0.23 made
// from a blank one, to the byte; but for the change counter, as OpenSC writes
// some files more than once.
func TestInitialiseLikeOpenSC(t *testing.T) {
	const recorded = "testdata/pkcs15-init.card"
	want, err := os.ReadFile(recorded)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := Load(recorded, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := New(Options{Serial: theirs.serial})
	if err := c.Initialise(Profile{Label: "Citizen", Made: time.Date(2026, 11, 23, 17, 37, 16, 0, time.UTC)}); err != nil {
		t.Fatal(err)
	}
	c.counter = theirs.counter
	got, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range theirs.root.children[0].children {
		if g := c.root.children[0].child(f.id); g == nil || string(g.data) != string(f.data) {
			t.Errorf("file %04x: %x\nwant %x", f.id, g.data, f.data)
		}
	}
	if string(got) != string(want) {
		t.Error("not the state that pkcs15-init left")
	}
}
