package display

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/go-text/typesetting/bidi"
	"github.com/go-text/typesetting/di"
	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/language"
	"github.com/go-text/typesetting/segmenter"
	"github.com/go-text/typesetting/shaping"
	"golang.org/x/image/math/fixed"
)

// glyph is one shaped glyph; measures are in ems.
type glyph struct {
	id      font.GID
	cluster int // index of the first rune it stands for
	adv     float32
	dx, dy  float32
}

// run is a stretch of text of one level and one script, in visual order.
type run struct {
	start, end int
	level      bidi.Level
	glyphs     []glyph
}

// paragraph is shaped text that is not yet broken into lines. It knows no size:
// nothing is hinted, so one shaping serves all sizes.
type paragraph struct {
	text   []rune
	weight weight
	rtl    bool
	runs   []run
	adv    []float32 // per rune: what its cluster adds to the line, at the cluster's first rune
	start  []bool    // per rune: a cluster starts here
	brk    []bool    // per rune: a line may start here (UAX #14)
}

// shaper turns text into paragraphs. It is not safe for concurrent use.
type shaper struct {
	faces [2]*font.Face
	hb    shaping.HarfbuzzShaper
	bidi  bidi.Paragraph
	seg   segmenter.Segmenter
	cache map[shapeKey]*paragraph
	runes int // in cache
}

type shapeKey struct {
	text, lang string
	weight     weight
	rtl        bool
}

// cachedRunes bounds the cache: about 60 bytes a rune.
const cachedRunes = 1 << 15

func newShaper() *shaper {
	s := &shaper{cache: map[shapeKey]*paragraph{}}
	for w, f := range fonts() {
		s.faces[w] = font.NewFace(f)
	}
	return s
}

// shape returns text as a paragraph of the given base direction.
func (s *shaper) shape(text string, w weight, lang string, rtl bool) (p *paragraph, err error) {
	key := shapeKey{text, lang, w, rtl}
	if p, ok := s.cache[key]; ok {
		return p, nil
	}
	// Names in certificates are foreign input, and the shaper is foreign code.
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, fmt.Errorf("display: shaping %d bytes in %q: %v", len(text), lang, r) // not the text: the error goes to the log
		}
	}()
	p = &paragraph{text: clean(text), weight: w, rtl: rtl}
	n := len(p.text)
	p.adv, p.start, p.brk = make([]float32, n+1), make([]bool, n+1), make([]bool, n+1)
	if n > 0 {
		s.split(p)
		for i := range p.runs {
			s.shapeRun(p, &p.runs[i], lang)
		}
		s.seg.Init(p.text)
		for it := s.seg.LineIterator(); it.Next(); {
			p.brk[it.Line().Offset] = true
		}
	}
	if s.runes += n + 1; s.runes > cachedRunes {
		clear(s.cache)
		s.runes = n + 1
	}
	s.cache[key] = p
	return p, nil
}

// maxMarks is the most combining marks one letter keeps. No writing needs more;
// a name with hundreds would paint over what stands above it.
const maxMarks = 3

// clean makes text fit for one paragraph: no line ends, no controls, no towers
// of marks, no mark without a letter. U+25CF, which masks a PIN and is not in
// the font, becomes a bullet.
func clean(text string) []rune {
	out := make([]rune, 0, len(text))
	marks := 0
	for _, r := range strings.ToValidUTF8(text, "\uFFFD") {
		if unicode.Is(unicode.M, r) {
			if marks++; marks > maxMarks {
				continue
			}
			if len(out) == 0 {
				out = append(out, '\u00a0')
			}
			out = append(out, r)
			continue
		}
		if !unicode.Is(unicode.Cf, r) { // a joiner between marks does not start anew
			marks = 0
		}
		switch {
		case r == '\u25cf':
			r = '\u2022'
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			r = ' '
		}
		out = append(out, r)
	}
	return out
}

// split fills p.runs by level and script.
//
// bidi.Segment takes its base direction from the first strong character and
// uses the given one only where there is none. A line that begins with a Latin
// word in a Persian screen is still a Persian line, so a directional mark goes
// first and its place is taken off again.
func (s *shaper) split(p *paragraph) {
	mark, base := '\u200e', bidi.LeftToRight
	if p.rtl {
		mark, base = '\u200f', bidi.RightToLeft
	}
	levels := s.bidi.Segment(append([]rune{mark}, p.text...), base)
	for i := range levels.NumRuns() {
		r := levels.Run(i)
		start, end := max(r.Start-1, 0), r.End-1
		if start >= end {
			continue
		}
		s.splitScript(p, start, end, r.Level)
	}
}

// splitScript splits a run of one level at changes of script. Characters of no
// script of their own go with what is before them (UAX #24).
func (s *shaper) splitScript(p *paragraph, start, end int, level bidi.Level) {
	var now language.Script
	for i := start; i < end; i++ {
		script := language.LookupScript(p.text[i])
		if !script.Strong() || script == now {
			continue
		}
		if now != 0 {
			p.runs = append(p.runs, run{start: start, end: i, level: level})
			start = i
		}
		now = script
	}
	p.runs = append(p.runs, run{start: start, end: end, level: level})
}

// shapeRun fills in the run's glyphs and the paragraph's advances.
func (s *shaper) shapeRun(p *paragraph, r *run, lang string) {
	in := shaping.Input{
		Text: p.text, RunStart: r.start, RunEnd: r.end,
		Direction: di.DirectionLTR, Face: s.faces[p.weight], Size: fixed.I(unitsPerEm),
		Script: language.Common, Language: language.NewLanguage(lang),
	}
	if r.level%2 == 1 {
		in.Direction = di.DirectionRTL
	}
	for _, c := range p.text[r.start:r.end] {
		if script := language.LookupScript(c); script.Strong() {
			in.Script = script
			break
		}
	}
	out := s.hb.ShapeNoExtents(in)
	r.glyphs = make([]glyph, 0, len(out.Glyphs))
	for _, g := range out.Glyphs {
		c := min(max(g.TextIndex(), r.start), r.end-1)
		a := em(g.Advance)
		r.glyphs = append(r.glyphs, glyph{g.GlyphID, c, a, em(g.XOffset), em(g.YOffset)})
		p.adv[c] += a
		p.start[c] = true
	}
}

func em(v fixed.Int26_6) float32 { return float32(v) / (64 * unitsPerEm) }
