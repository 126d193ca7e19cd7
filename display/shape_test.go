package display

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// visual is what a reader sees from left to right: the first rune of each
// cluster in the order in which its glyphs are placed.
func visual(t *testing.T, text string, rtl bool) string {
	t.Helper()
	p, err := newShaper().shape(text, regular, "fa", rtl)
	if err != nil {
		t.Fatal(err)
	}
	lines, ok := p.wrap(1000, false)
	if !ok || len(lines) != 1 {
		t.Fatalf("%q: %d lines", text, len(lines))
	}
	var out []rune
	last := -1
	p.place(lines[0], func(g glyph, _ float32) {
		if g.cluster != last {
			out = append(out, p.text[g.cluster])
		}
		last = g.cluster
	})
	return plain(string(out))
}

func TestVisualOrder(t *testing.T) {
	for _, c := range []struct {
		name, text string
		rtl        bool
		want       string
	}{
		{"persian", "گواهی", true, "یهاوگ"},
		{"latin in persian", "توکن ePass ماست", true, "تسام ePass نکوت"},
		{"digits in persian", "تا ۱۴۰۴/۰۹/۲۲ روز", true, "زور ۱۴۰۴/۰۹/۲۲ ات"},
		{"a persian line that begins with latin", "ePass را بردار", true, "رادرب ار ePass"},
		{"an english line that begins with persian", "سارا is here", false, "اراس is here"},
		{"number between two words, other way round", "x علی ۱۲۳ رضا y", false, "x اضر ۱۲۳ یلع y"},
		{"groups of digits change places", "۱۲ ۳۴", true, "۳۴ ۱۲"},
		{"but not when isolated", "\u2066۱۲ ۳۴\u2069", true, "۱۲ ۳۴"},
		{"isolate within isolate", "آ \u2066b \u2067پ c ت\u2069 d\u2069 ث", true, "ث b ت c پ d آ"},
		{"brackets are mirrored by pair", "نام (Sara)", true, ")Sara( مان"},
		{"override characters are followed", "a\u202ebc\u202cd", false, "acbd"},
	} {
		if got := visual(t, c.text, c.rtl); got != c.want {
			t.Errorf("%s: %q is seen as %q, want %q", c.name, c.text, got, c.want)
		}
	}
}

// glyphIDs shapes text as one Persian line.
func glyphIDs(t *testing.T, text string) (ids []uint32) {
	t.Helper()
	p, err := newShaper().shape(text, regular, "fa", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range p.runs {
		for _, g := range r.glyphs {
			ids = append(ids, uint32(g.id))
		}
	}
	return ids
}

func TestLettersJoin(t *testing.T) {
	alone, joined := glyphIDs(t, "ب"), glyphIDs(t, "ببب")
	if len(joined) != 3 || joined[0] == joined[1] || joined[1] == joined[2] || joined[1] == alone[0] {
		t.Errorf("three letters beh are glyphs %v, one is %v", joined, alone)
	}
	if ids := glyphIDs(t, "لا"); len(ids) != 1 {
		t.Errorf("lam and alef are %d glyphs, want a ligature", len(ids))
	}
	if a, b := glyphIDs(t, "میشود"), glyphIDs(t, "می\u200cشود"); a[len(a)-2] == b[len(b)-2] {
		t.Error("a zero-width non-joiner does not keep letters apart")
	}
	if a, b := glyphIDs(t, "رمز●"), glyphIDs(t, "رمز•"); a[0] != b[0] {
		t.Error("U+25CF, which the font lacks, is not drawn as a bullet")
	}
}

func TestWrap(t *testing.T) {
	p, err := newShaper().shape("یک دو سه  چهار", regular, "fa", true)
	if err != nil {
		t.Fatal(err)
	}
	_, whole := p.measure(0, len(p.text))
	if lines, ok := p.wrap(whole+0.01, false); !ok || len(lines) != 1 {
		t.Errorf("%d lines, want 1", len(lines))
	}
	first, _ := p.measure(0, 5) // without the space after it
	lines, ok := p.wrap(first+0.01, false)
	if !ok || len(lines) < 2 || lines[0].trim != 5 || lines[0].end != 6 {
		t.Errorf("space at the end of a line takes room: %+v", lines)
	}
	if _, ok := p.wrap(0.5, false); ok {
		t.Error("a word wider than the line was taken")
	}
	lines, ok = p.wrap(1.2, true)
	if !ok {
		t.Error("words were not broken")
	}
	at := 0
	for _, l := range lines {
		if l.start != at || l.end <= l.start || l.width > 1.2 {
			t.Errorf("line %+v after %d", l, at)
		}
		at = l.end
	}
	if at != len(p.text) {
		t.Errorf("lines end at %d of %d", at, len(p.text))
	}
	// The same words, but no line that is one short word alone.
	greedy, _ := p.wrap(first+1.2, false)
	even, ok := p.even(first+1.2, false)
	if !ok || len(even) != len(greedy) || even[len(even)-1].width < greedy[len(greedy)-1].width {
		t.Errorf("greedy %+v, even %+v", greedy, even)
	}
	if empty, _ := newShaper().shape("", regular, "fa", true); len(empty.runs) != 0 {
		t.Error("nothing has runs")
	}
}

// Ink of all letters in use lies within the height of a line, so that lines
// never touch and nothing is cut off.
func TestInkWithinLine(t *testing.T) {
	s := newShaper()
	for w := regular; w <= bold; w++ {
		if f := s.faces[w]; f.Upem() != unitsPerEm {
			t.Fatalf("%d units per em", f.Upem())
		}
		for _, text := range []string{"آأإگکلپچیژجحخعغقفمنوهٔةئؤ", "سَرِّکُمْ", "ABCQXgjpqyÅÉÇ[]()|/@", "۰۱۲۳۴۵۶۷۸۹0123456789"} {
			p, err := s.shape(text, w, "fa", true)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range p.runs {
				for _, g := range r.glyphs {
					e, _ := s.faces[w].GlyphExtents(g.id)
					top, bottom := e.YBearing/unitsPerEm+g.dy, (e.YBearing+e.Height)/unitsPerEm+g.dy
					if top > ascent || bottom < -descent {
						t.Errorf("%q: ink from %.3f to %.3f em", p.text[g.cluster], top, bottom)
					}
					if g.id == 0 {
						t.Errorf("%q is not in the font", p.text[g.cluster])
					}
				}
			}
		}
	}
}

// The fonts are the published files, bit for bit: their licence reserves the name.
func TestFontsUnmodified(t *testing.T) {
	for name, want := range map[string]string{
		"Vazirmatn-Regular.ttf": "b69fd4c680b8f3f225feabcc655a2c585d97627b8f5f5c0f9985e894069f3a56",
		"Vazirmatn-Bold.ttf":    "f635fdbea28f265de395ba83b4b1570dcf2f58d13c65469e61903b1c2d2ae723",
	} {
		data, err := os.ReadFile("font/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s: SHA-256 %x", name, sum)
		}
	}
	licence, err := os.ReadFile("font/OFL.txt")
	if err != nil || !strings.Contains(string(licence), "SIL OPEN FONT LICENSE") {
		t.Errorf("licence: %v", err)
	}
}

func TestCleanText(t *testing.T) {
	for in, want := range map[string]string{
		"a\nb\tc": "a b c", "\x00\x7f": "  ", "bad\xff": "bad\ufffd", "p\u2029q": "p q", "●": "•", "می\u200cرود": "می\u200cرود",
		"\u0301a": "\u00a0\u0301a", "a\u0301\u0302\u0303\u0304\u200d\u0305b\u0301": "a\u0301\u0302\u0303\u200db\u0301",
	} {
		if got := string(clean(in)); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestMix(t *testing.T) {
	for v := range 256 {
		a := uint8(v)
		for w := range 256 {
			b := uint8(w)
			if mix(a, b, 0) != a || mix(a, b, 255) != b || mix(a, a, b) != a {
				t.Fatalf("mix of %d and %d", a, b)
			}
		}
	}
}

// A shaper that breaks on a name is an error without the name, which goes to the log.
func TestShapingBreaks(t *testing.T) {
	broken := &shaper{cache: map[shapeKey]*paragraph{}} // has no faces
	p, err := broken.shape("مریم Rezaei", regular, "fa", true)
	if p != nil || err == nil || strings.Contains(err.Error(), "مریم") || strings.Contains(err.Error(), "Rezaei") {
		t.Errorf("%v, %v", p, err)
	}
}
