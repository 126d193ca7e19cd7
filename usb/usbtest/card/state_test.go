package card

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func marshal(tb testing.TB, c *Card) []byte {
	tb.Helper()
	b, err := c.Marshal()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// used is a card with an RSA and an EC key, an empty key file, a file, and a
// wrong try at PIN 1.
func used(tb testing.TB) *Card {
	tb.Helper()
	return fill(tb, "00E0000019 6217 81020400 820111 83024B01 86031111FF 85020000 8A0100", "0046000007 30058103010001")
}

// fill makes such a card, with these commands for the RSA key.
func fill(tb testing.TB, rsa ...string) *Card {
	tb.Helper()
	c := initialised(tb)
	rest := []string{"00E0000019 6217 81020100 820122 83024B02 86031111FF 85021000 8A0100", "00460000",
		"00E0000019 6217 81020100 820122 83024B03 86031111FF 85020000 8A0100",
		"00E0000019 6217 80020010 820101 83024301 86030111FF 85020000 8A0100", "00D6000002 ABCD"}
	for _, line := range slices.Concat([]string{"00A4080C025015", "0020000108 31323334FFFFFFFF"}, rsa, rest) {
		if answer := c.Transmit(unhex(tb, line)); !bytes.HasSuffix(answer, []byte{0x90, 0}) {
			tb.Fatalf("%s: %X", line, answer)
		}
	}
	c.Transmit(unhex(tb, "0020000108 39393939FFFFFFFF"))
	return c
}

func TestStateRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "card")
	c := used(t)
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	again, err := Load(path, seeded())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(marshal(t, again), marshal(t, c)) {
		t.Error("another state")
	}
	converse(t, again, `
# Keys, files and the PIN's counter are there, what was verified is not.
> 00200001
< 63C2
> 00A4080C 04 50154301
< 9000
> 00B00000 02
< ABCD 9000
> 00A4080C 04 50154B01
< 9000
> 00CA0102 00
< 010001 9000
> 00200001 08 31323334FFFFFFFF
< 9000
> 002241B6 0A 800104 81024B02 840100
< 9000
> 002A9E9A 20 0000000000000000000000000000000000000000000000000000000000000001
< 30*9000`)
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Only what was written is read, byte for byte.
func TestStateStrict(t *testing.T) {
	good := string(marshal(t, used(t)))
	if _, err := Parse([]byte(good), nil); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"empty":            "",
		"no JSON":          "card",
		"a later version":  strings.Replace(good, format, "mohr card 2", 1),
		"a field too many": strings.Replace(good, `"active"`, `"colour": 1, "active"`, 1),
		"something after":  good + "x",
		"a blank more":     strings.Replace(good, `"active": true`, `"active":  true`, 1),
		"upper case":       strings.Replace(good, `"3f00"`, `"3F00"`, 1),
		"counter too high": strings.Replace(good, `"tries": 2`, `"tries": 4`, 1),
		"negative counter": strings.Replace(good, `"tries": 2`, `"tries": -1`, 1),
		"short PIN":        strings.Replace(good, `"31323334ffffffff"`, `"31323334"`, 1),
		"reference 15":     strings.Replace(good, `"reference": 3`, `"reference": 15`, 1),
		"a PIN twice":      strings.Replace(good, `"reference": 3`, `"reference": 1`, 1),
		"over capacity":    strings.Replace(good, `"capacity": 131072`, `"capacity": 100`, 1),
		"another size":     strings.Replace(good, `"size": 16,`, `"size": 15,`, 1),
		"an id twice":      strings.Replace(good, `"4b03"`, `"4b02"`, 1),
		"a composite":      strings.Replace(good, `"p": "`, `"p": "d`, 1),
		"no root":          strings.Replace(good, `"3f00"`, `"3f01"`, 1),
	} {
		if bad == good {
			t.Fatalf("%s: nothing replaced", name)
		}
		if c, err := Parse([]byte(bad), nil); err == nil || c != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// The same seed gives the same card.
func TestSeeded(t *testing.T) {
	if !bytes.Equal(marshal(t, used(t)), marshal(t, used(t))) {
		t.Error("two cards of one seed differ")
	}
}

func TestFullCard(t *testing.T) {
	c := initialised(t)
	before := c.Used()
	c.SetCapacity(before + fileOverhead + 100)
	converse(t, c, `
> 00A4080C 02 5015
< 9000
> 00200001 08 31323334FFFFFFFF
< 9000
# One byte too many, then exactly.
> 00E00000 19 6217 80020065 820101 83024301 86030111FF 85020000 8A0100
< 6A84
> 00E00000 19 6217 80020064 820101 83024301 86030111FF 85020000 8A0100
< 9000
> 00A4000C 02 5015
< 9000
> 00E00000 19 6217 80020000 820101 83024302 86030111FF 85020000 8A0100
< 6A84
# Deleting makes room.
> 00A4000C 02 4301
< 9000
> 00E40000 00
< 9000
> 00E00000 19 6217 81020100 820122 83024B01 86031111FF 85020000 8A0100
< 9000`)
	if c.SetCapacity(0); c.Capacity() != c.Used() {
		t.Errorf("%d of %d used", c.Used(), c.Capacity())
	}
}

// No command panics, and what a card has been through it can write down and read
// again. The input is commands, each with a length of one byte before it.
func FuzzTransmit(f *testing.F) {
	start := marshal(f, fill(f))
	files, _ := filepath.Glob("testdata/transcripts/*.txt")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		seed := []byte{1}
		for line := range strings.Lines(string(b)) {
			if hex, ok := strings.CutPrefix(line, "> "); ok {
				raw := unhex(f, strings.TrimSpace(hex))
				seed = append(append(seed, byte(len(raw))), raw...)
			}
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		c, err := Parse(start, seeded())
		if err != nil {
			t.Fatal(err)
		}
		if len(input) > 0 && input[0]&1 == 0 {
			c = blank()
		}
		for input = input[min(1, len(input)):]; len(input) > 0; {
			n := min(int(input[0]), len(input)-1)
			raw := input[1 : 1+n]
			input = input[1+n:]
			if isGenerate(raw) && c.current != nil && c.current.kind == RSAKey {
				continue // takes its time
			}
			if answer := c.Transmit(raw); len(answer) < 2 {
				t.Fatalf("%X: answer %X", raw, answer)
			}
			Describe(raw)
		}
		state := marshal(t, c)
		again, err := Parse(state, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(marshal(t, again), state) {
			t.Error("another state")
		}
	})
}

// A state that is accepted is the one that is written.
func FuzzParse(f *testing.F) {
	f.Add(marshal(f, blank()))
	f.Add(marshal(f, fill(f)))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse(b, seeded())
		if err != nil {
			if c != nil {
				t.Error("a card with an error")
			}
			return
		}
		if !bytes.Equal(marshal(t, c), b) {
			t.Error("not what was read")
		}
		c.Transmit([]byte{0, insSelect, 0, 0})
	})
}
