package card

import (
	"bytes"
	"testing"
)

// What Issue writes for the key and the certificate that pkcs11-tool of OpenSC
// 0.23 put on a card is what it wrote, to the byte.
func TestIssueLikeOpenSC(t *testing.T) {
	theirs, err := Load("testdata/pkcs11-tool.card", nil)
	if err != nil {
		t.Fatal(err)
	}
	df := theirs.root.children[0]
	ours := New(Options{Serial: theirs.serial})
	if err := ours.Initialise(Profile{Label: "Citizen"}); err != nil {
		t.Fatal(err)
	}
	written := df.child(idFirstCertificate).data
	der, err := ours.Issue(UserPIN, "Sara Ahmadi", func([]byte) ([]byte, error) { return written, nil })
	if err != nil || !bytes.Equal(der, written) {
		t.Fatal(err)
	}
	got := ours.root.children[0]
	key := got.child(idFirstKey)
	if key == nil || key.key == nil || key.access != df.child(idFirstKey).access || key.size != 2048 {
		t.Fatalf("key file %+v", key)
	}
	// The keys differ; for the comparison the file of theirs is written again.
	for _, id := range []uint16{0x4402, 0x4403, 0x4404, idFirstCertificate} {
		want := df.child(id)
		if f := got.child(id); f == nil || !bytes.Equal(f.data, want.data) || f.access != want.access || f.size != want.size {
			t.Errorf("file %04x: %x\nwant %x", id, f.data, want.data)
		}
	}
	public, want := got.child(idFirstPublic), df.child(idFirstPublic)
	if len(public.data) != len(want.data) || public.access != want.access || bytes.Equal(public.data, want.data) {
		t.Errorf("public key %x, theirs %x", public.data, want.data)
	}
}

func TestIssueRefuses(t *testing.T) {
	c := New(Options{})
	if err := c.Initialise(Profile{Label: "Citizen"}); err != nil {
		t.Fatal(err)
	}
	issue := func([]byte) ([]byte, error) { return []byte{1}, nil }
	for _, tt := range []struct{ pin, label string }{{"9999", "A"}, {UserPIN, ""}, {UserPIN, "A"}} {
		if _, err := c.Issue(tt.pin, tt.label, issue); err == nil {
			t.Errorf("%v: issued", tt)
		}
	}
}

func TestInventory(t *testing.T) {
	c, err := Load("testdata/pkcs11-tool.card", nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := c.Inventory(); n != (Inventory{1, 1, 1, 1}) {
		t.Errorf("%+v", n)
	}
	if n := New(Options{}).Inventory(); n != (Inventory{}) {
		t.Errorf("%+v on a blank card", n)
	}
}
