package display

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// Two decoders that have nothing to do with the encoder read every golden
// picture that has a symbol.
func TestQRGoldensDecode(t *testing.T) {
	for _, p := range family {
		for _, lang := range []string{"fa", "en"} {
			s := p.in(lang)
			for _, size := range []image.Point{small, large} {
				if s.QR == "" {
					continue
				}
				path := filepath.Join("testdata", "golden", fmt.Sprintf("%s-%s-%dx%d.png", s.ID, lang, size.X, size.Y))
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				m, err := png.Decode(bytes.NewReader(data))
				if err != nil {
					t.Fatal(err)
				}
				if got := zxing(t, m); got != s.QR {
					t.Errorf("%s: gozxing reads %q", path, got)
				}
				t.Run("zbarimg-"+filepath.Base(path), func(t *testing.T) {
					if got := zbar(t, path); got != s.QR {
						t.Errorf("zbarimg reads %q", got)
					}
				})
			}
		}
	}
}

func zxing(t *testing.T, m image.Image) string {
	t.Helper()
	bitmap, err := gozxing.NewBinaryBitmapFromImage(m)
	if err != nil {
		t.Fatal(err)
	}
	r, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true})
	if err != nil {
		t.Errorf("gozxing: %v", err)
		return ""
	}
	return r.GetText()
}

func zbar(t *testing.T, path string) string {
	t.Helper()
	if _, err := exec.LookPath("zbarimg"); err != nil {
		t.Skip("zbarimg is not installed (Debian: zbar-tools)")
	}
	out, err := exec.Command("zbarimg", "-q", "--raw", path).Output()
	if err != nil {
		t.Errorf("zbarimg: %v", err)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// A receipt is version 9 at level M; a lower-case letter would cost a version.
func TestQRVersion(t *testing.T) {
	for _, c := range []struct {
		text    string
		version int
	}{
		{receiptText, 9},
		{"KR1:" + strings.Repeat("A", 258), 9}, // 262, the most version 9-M takes
		{"KR1:" + strings.Repeat("A", 259), 10},
		{"KR:123456789", 1},
	} {
		q, err := encodeQR(c.text)
		if err != nil {
			t.Fatal(err)
		}
		if q.version != c.version {
			t.Errorf("%d characters: version %d, want %d", len(c.text), q.version, c.version)
		}
		if level := formatLevel(q); level != 0 {
			t.Errorf("%d characters: error correction bits %02b, want 00 (M)", len(c.text), level)
		}
	}
}

// formatLevel reads the level from the format information beside the upper left
// finder pattern (ISO/IEC 18004 section 7.9); its mask begins with 10.
func formatLevel(q *qrSymbol) int {
	level := 0
	for x := range 2 {
		level <<= 1
		if q.modules[8][x] {
			level |= 1
		}
	}
	return level ^ 0b10
}

func TestQRRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"persian": "رسید", "line end": "A\nB", "byte": "A\xff", "too long": strings.Repeat("A", maxQR+1),
	} {
		if _, err := encodeQR(text); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
	q, err := encodeQR("KR1:TEST")
	if err != nil {
		t.Fatal(err)
	}
	q.modules[3][3] = false
	if q.check() == nil {
		t.Error("a broken finder pattern was not noticed")
	}
	q.version++
	if q.check() == nil {
		t.Error("a wrong size was not noticed")
	}
}

// On the panel, modules are whole pixels, at least four, and four modules of
// white are round the symbol.
func TestQRPixels(t *testing.T) {
	for _, size := range []image.Point{small, large, {480, 800}, {480, 320}} {
		s := Screen{ID: "qr", Mood: Done, QR: receiptText, Title: "رسید", RTL: true, Lang: "fa"}
		f, err := Render(s, size)
		if err != nil {
			t.Fatal(err)
		}
		q, err := encodeQR(s.QR)
		if err != nil {
			t.Fatal(err)
		}
		at, px := findSymbol(t, f.Image, q)
		if px < minModule {
			t.Errorf("%v: modules of %d pixels", size, px)
		}
		for y := -quietZone * px; y < (len(q.modules)+quietZone)*px; y++ {
			for x := -quietZone * px; x < (len(q.modules)+quietZone)*px; x++ {
				dark := x >= 0 && y >= 0 && x/px < len(q.modules) && y/px < len(q.modules) && q.modules[y/px][x/px]
				want := white
				if dark {
					want = black
				}
				if got := f.Image.RGBAAt(at.X+x, at.Y+y); got != want {
					t.Fatalf("%v: pixel %d,%d of the symbol is %v", size, x, y, got)
				}
			}
		}
	}
}

// findSymbol finds the first black pixel, which is the finder pattern's corner.
func findSymbol(t *testing.T, m *image.RGBA, q *qrSymbol) (at image.Point, px int) {
	t.Helper()
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			if m.RGBAAt(x, y) != black {
				continue
			}
			for n := 0; m.RGBAAt(x+n, y) == black; n++ {
				px = n + 1
			}
			return image.Pt(x, y), px / 7
		}
	}
	t.Fatal("no symbol")
	return
}
