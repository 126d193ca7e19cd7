package display

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"
	"strings"
	"sync"
	"testing"
)

var sizes = []image.Point{{480, 320}, {640, 480}, small, {1024, 600}, {1280, 720}, large, {480, 800}, {1080, 1920}, {720, 720}}

// Contrast of everything that is read, WCAG 2.2 section 1.4.6.
func TestContrast(t *testing.T) {
	for m, th := range themes {
		for _, p := range th.pairs() {
			if c := contrast(p.text, p.ground); c < 7 {
				t.Errorf("%v: %v on %v has a contrast of %.2f", Mood(m), p.text, p.ground, c)
			}
		}
	}
}

func contrast(a, b color.RGBA) float64 {
	lum := func(c color.RGBA) float64 {
		lin := func(v uint8) float64 {
			s := float64(v) / 255
			if s <= 0.04045 {
				return s / 12.92
			}
			return math.Pow((s+0.055)/1.055, 2.4)
		}
		return 0.2126*lin(c.R) + 0.7152*lin(c.G) + 0.0722*lin(c.B)
	}
	x, y := lum(a)+0.05, lum(b)+0.05
	return max(x/y, y/x)
}

// Moods and token states can be told apart without any colour.
func TestShapesDiffer(t *testing.T) {
	draw := func(paint func(c *canvas, r image.Rectangle)) *image.RGBA {
		c := &canvas{img: image.NewRGBA(image.Rect(0, 0, 64, 64)), eng: engine(), lang: "en"}
		c.rect(c.img.Rect, white)
		paint(c, c.img.Rect)
		return c.img
	}
	var pics []*image.RGBA
	for m := Calm; m <= Done; m++ {
		pics = append(pics, draw(func(c *canvas, r image.Rectangle) { c.fill(emblemShape(m).within(r), black) }))
	}
	for s := TokenInsert; s <= TokenFree; s++ {
		pics = append(pics, draw(func(c *canvas, r image.Rectangle) { c.tokenSign(s, r, black, white) }))
	}
	for i, a := range pics {
		for j, b := range pics[:i] {
			if n, _ := differing(a, b); n < 64*64/50 {
				t.Errorf("pictures %d and %d differ in %d pixels only", i, j, n)
			}
		}
	}
}

// Every screen of the family, at every size, leaves the outer margin of the body
// alone, and its targets lie apart, on the panel and large enough for a finger.
func TestFamilyAtAllSizes(t *testing.T) {
	for _, size := range sizes {
		for _, p := range family {
			for _, lang := range []string{"fa", "en"} {
				s := p.in(lang)
				f, err := Render(s, size)
				if errors.Is(err, ErrFit) && size == sizes[0] && s.ID == "receipt" {
					continue // 244 pixels of symbol leave too little for its text
				}
				if err != nil {
					t.Error(err)
					continue
				}
				checkFrame(t, s, f, size)
			}
		}
	}
}

// checkFrame holds what is true for every frame.
func checkFrame(t *testing.T, s Screen, f *Frame, size image.Point) {
	t.Helper()
	if f.Image.Rect != (image.Rectangle{Max: size}) {
		t.Fatalf("%s: picture of %v, want %v", s.ID, f.Image.Rect, size)
	}
	want := len(s.Choices)
	if s.Input != nil && s.Input.Keypad {
		want += 12
	}
	if len(f.Targets) != want {
		t.Errorf("%s at %v: %d targets, want %d", s.ID, size, len(f.Targets), want)
	}
	u := newLayout(nil, &s, size).u
	for i, a := range f.Targets {
		if !a.Rect.In(f.Image.Rect) || a.Rect.Dx() < int(43*u) || a.Rect.Dy() < int(43*u) {
			t.Errorf("%s at %v: target %q is %v", s.ID, size, a.ID, a.Rect)
		}
		for _, b := range f.Targets[:i] {
			if a.Rect.Overlaps(b.Rect) || a.ID == b.ID {
				t.Errorf("%s at %v: targets %q %v and %q %v", s.ID, size, a.ID, a.Rect, b.ID, b.Rect)
			}
		}
	}
	head := 0 // the body begins where the left column becomes paper for good
	for y := size.Y - 1; y >= 0 && f.Image.RGBAAt(0, y) == paper; y-- {
		head = y
	}
	if head > size.Y*2/3 {
		t.Errorf("%s at %v: the head ends at %d, or something touches the edge", s.ID, size, head)
	}
	margin := int(unitMargin*u) / 2
	for y := head; y < size.Y; y++ {
		for x := range margin {
			if f.Image.RGBAAt(x, y) != paper || f.Image.RGBAAt(size.X-1-x, y) != paper {
				t.Fatalf("%s at %v: ink in the margin at %d,%d", s.ID, size, x, y)
			}
		}
	}
}

// Text grows longer until the error; whatever is drawn until then is whole.
func TestLongestText(t *testing.T) {
	words := map[string]string{"fa": "گواهی\u200cنامه ", "en": "certificate ", "one word": "شناسه", "digits": "0123456789"}
	for lang, word := range words {
		for _, size := range []image.Point{small, large} {
			fitted := 0
			for n := 1; ; n += 1 + n/8 {
				s := family[5].fa // the PIN screen: everything at once
				s.ID, s.Lang, s.RTL = "long", lang, true
				s.Lines = []string{strings.Repeat(word, n)}
				f, err := Render(s, size)
				if err != nil {
					if !errors.Is(err, ErrFit) || !strings.Contains(err.Error(), `"long"`) {
						t.Errorf("error does not say what is wrong: %v", err)
					}
					break
				}
				checkFrame(t, s, f, size)
				fitted = n
			}
			if fitted < 5 {
				t.Errorf("%s at %v: only %d words fit", lang, size, fitted)
			}
		}
	}
}

func TestMirror(t *testing.T) {
	s := family[1].in("en")
	left, err := Render(s, small)
	if err != nil {
		t.Fatal(err)
	}
	s.RTL = true
	right, err := Render(s, small)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range left.Targets {
		b := right.Targets[i]
		if a.ID != b.ID || a.Rect.Min.Y != b.Rect.Min.Y || abs(a.Rect.Min.X-(small.X-b.Rect.Max.X)) > 1 {
			t.Errorf("target %q at %v, mirrored %q at %v", a.ID, a.Rect, b.ID, b.Rect)
		}
	}
	// The keypad is not mirrored: it looks like the real one beside the panel.
	pad := Screen{ID: "pad", Title: "pad", Input: &Input{Keypad: true}, RTL: true}
	f, err := Render(pad, small)
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]image.Rectangle{}
	for _, k := range f.Targets {
		at[k.ID] = k.Rect
	}
	if at["key:1"].Min.X >= at["key:3"].Min.X || at["key:back"].Min.X >= at["key:ok"].Min.X || at["key:1"].Min.Y >= at["key:7"].Min.Y {
		t.Errorf("keypad: %v", at)
	}
	if id, ok := f.At(at["key:5"].Min); id != "key:5" || !ok {
		t.Errorf("At says %q", id)
	}
	if id, ok := f.At(image.Point{}); ok {
		t.Errorf("At says %q where nothing is", id)
	}
}

// Caches change nothing: a fresh start, a warm one and eight at once agree.
func TestPure(t *testing.T) {
	s := family[1].in("fa")
	want, err := Render(s, small)
	if err != nil {
		t.Fatal(err)
	}
	sh := newShaper()
	cold := &textEngine{shaper: sh, glyphs: newGlyphs(sh.faces)}
	c := &canvas{img: image.NewRGBA(image.Rectangle{Max: small}), eng: cold, lang: s.Lang, rtl: s.RTL}
	c.rect(c.img.Rect, paper)
	if err := newLayout(c, &s, small).draw(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(c.img.Pix, want.Image.Pix) {
		t.Error("a cold engine draws something else")
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			f, err := Render(s, small)
			if err != nil || !bytes.Equal(f.Image.Pix, want.Image.Pix) {
				t.Errorf("drawn at the same time: %v", err)
			}
		})
	}
	wg.Wait()
}

func TestRenderRefuses(t *testing.T) {
	good := func() Screen { return Screen{ID: "x", Title: "x"} }
	for name, c := range map[string]struct {
		size image.Point
		edit func(*Screen)
	}{
		"narrow":         {image.Pt(479, 320), func(*Screen) {}},
		"low":            {image.Pt(480, 319), func(*Screen) {}},
		"huge":           {image.Pt(1<<20, 1<<20), func(*Screen) {}},
		"mood":           {small, func(s *Screen) { s.Mood = 4 }},
		"token":          {small, func(s *Screen) { s.Token.State = 4 }},
		"choice no ID":   {small, func(s *Screen) { s.Choices = []Choice{{}} }},
		"choice twice":   {small, func(s *Screen) { s.Choices = []Choice{{ID: "a"}, {ID: "a"}} }},
		"key":            {small, func(s *Screen) { s.Choices = []Choice{{ID: "a", Key: 'x'}} }},
		"held":           {small, func(s *Screen) { s.Choices = []Choice{{ID: "a", Hold: true, Held: 101}} }},
		"progress":       {small, func(s *Screen) { s.Progress = &Progress{Done: 2, Total: 1} }},
		"progress of 0":  {small, func(s *Screen) { s.Progress = &Progress{} }},
		"QR and keypad":  {small, func(s *Screen) { s.QR, s.Input = "A", &Input{Keypad: true} }},
		"QR persian":     {small, func(s *Screen) { s.QR = "رسید" }},
		"QR too large":   {image.Pt(480, 320), func(s *Screen) { s.QR = strings.Repeat("A", 1000) }},
		"many lines":     {small, func(s *Screen) { s.Lines = make([]string, maxItems+1) }},
		"too much":       {small, func(s *Screen) { s.Lines = []string{strings.Repeat("a ", maxRunes)} }},
		"endless title":  {small, func(s *Screen) { s.Title = strings.Repeat("کلمه ", 99) }},
		"endless banner": {small, func(s *Screen) { s.Banner = strings.Repeat("کلمه ", 99) }},
	} {
		s := good()
		c.edit(&s)
		f, err := Render(s, c.size)
		if err == nil || f != nil || !strings.Contains(err.Error(), `"x"`) {
			t.Errorf("%s: frame %v, error %v", name, f != nil, err)
		}
	}
	if _, err := Render(good(), image.Pt(480, 320)); err != nil {
		t.Errorf("the least panel: %v", err)
	}
}

func TestText(t *testing.T) {
	s := family[1].in("fa")
	s.Facts = append(s.Facts, Fact{Label: "a", Value: "\u2066b\u00a0c\u2069"})
	s.Input = &Input{Prompt: "p", Value: "●●"}
	s.Progress = &Progress{Done: 1, Total: 2, Text: "۱ از ۲"}
	s.QRCaption = "caption"
	got := s.Text()
	want := strings.Join([]string{
		"این گواهی از آنِ شماست؟",
		"نام: سارا احمدی\u200cنیا", "کد ملی: 049***0899", "پایان اعتبار: ۱۴۰۴/۰۹/۲۲ (۲۰ روز دیگر)",
		"شماره سریال: 5A:3F:00:9C:71:E2", "توکن: Feitian ePass2003 در درگاه ۱", "a: b c",
		"p", "●●", "۱ از ۲", "caption", "توکن را بیرون نکشید", "[OK] بله، ادامه", "[C] خیر",
		"زبان: کلید L برای انگلیسی · Language: press L for English", "",
	}, "\n")
	if got != want {
		t.Errorf("text is\n%s\nwant\n%s", got, want)
	}
}

func TestNames(t *testing.T) {
	for want, v := range map[string]fmt.Stringer{
		"calm": Calm, "ask": Ask, "alarm": Alarm, "done": Done, "mood(9)": Mood(9),
		"silent": TokenSilent, "insert": TokenInsert, "keep": TokenKeep, "free": TokenFree, "token(9)": TokenState(9),
	} {
		if v.String() != want {
			t.Errorf("%q, want %q", v, want)
		}
	}
}

// FuzzRender puts arbitrary text everywhere.
func FuzzRender(f *testing.F) {
	f.Add("سلام", "hello", uint16(0), true)
	f.Add("a\u202eb\u2067c\u2066d", "\u2069\u2069\u202c", uint16(0xffff), false)
	f.Add("بد\xff\xfe", "\u0301\u0301\u0301", uint16(0x1234), true)
	f.Add(strings.Repeat("ـ", 300), strings.Repeat("W", 300), uint16(0x0f0f), true)
	f.Add("\u200f\u200e\u061c", "لا\u200dلله ﷽ 🙂", uint16(0x00ff), false)
	f.Fuzz(func(t *testing.T, a, b string, bits uint16, rtl bool) {
		bit := func(n int) bool { return bits>>n&1 == 1 }
		s := Screen{ID: "fuzz", Mood: Mood(bits & 3), Lang: "fa", RTL: rtl, Title: a, Lines: []string{b, a}}
		if bit(2) {
			s.Facts = []Fact{{a, b, bit(3)}, {b, a, !bit(3)}}
		}
		if bit(4) {
			s.Choices = []Choice{{ID: "a", Label: b, Key: '\n', Primary: true, Hold: bit(5), Held: int(bits >> 9 & 63)}, {ID: "b", Label: a}}
		}
		if bit(6) {
			s.Input = &Input{Prompt: a, Value: b, Keypad: bit(7)}
		} else if bit(7) {
			s.QR, s.QRCaption = a, b
		}
		s.Token = TokenHint{TokenState(bits >> 8 & 3), a}
		if bit(10) {
			s.Progress = &Progress{Done: int(bits >> 11), Total: 40, Text: b}
		}
		if bit(15) {
			s.Banner = a + b
		}
		size := sizes[int(bits>>12)%3]
		frame, err := Render(s, size)
		if err != nil {
			if frame != nil {
				t.Error("a frame and an error")
			}
			return
		}
		checkFrame(t, s, frame, size)
	})
}

func BenchmarkRender(b *testing.B) {
	for _, size := range []image.Point{small, large} {
		for _, id := range []int{1, 5, 7} {
			s := family[id].in("fa")
			b.Run(fmt.Sprintf("%s-%dx%d", s.ID, size.X, size.Y), func(b *testing.B) {
				for b.Loop() {
					if _, err := Render(s, size); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkQR(b *testing.B) {
	for b.Loop() {
		if _, err := encodeQR(receiptText); err != nil {
			b.Fatal(err)
		}
	}
}

// A picture drawn on an old one is the same picture.
func TestRenderOn(t *testing.T) {
	var old *image.RGBA
	for i, p := range family {
		for _, size := range []image.Point{small, small, {X: 1280, Y: 800}} {
			want, err := Render(p.in("fa"), size)
			if err != nil {
				t.Fatal(err)
			}
			got, err := RenderOn(p.in("fa"), size, old)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Image.Pix, want.Image.Pix) || got.Image.Rect != want.Image.Rect {
				t.Errorf("%s at %v: another picture", p.fa.ID, size)
			}
			if i > 0 && old.Rect == got.Image.Rect && old != got.Image {
				t.Error("the old picture was not used")
			}
			old = got.Image
		}
	}
}
