package display

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden pictures in testdata/golden; look at each before you commit it")

var (
	small = image.Pt(800, 480)
	large = image.Pt(1920, 1080)
)

// tolerance is how far a channel may be off: compilers for some processors fuse
// multiplications, which moves an edge by a shade.
const tolerance = 6

func TestGolden(t *testing.T) {
	for _, p := range family {
		for _, lang := range []string{"fa", "en"} {
			for _, size := range []image.Point{small, large} {
				s := p.in(lang)
				name := fmt.Sprintf("%s-%s-%dx%d", s.ID, lang, size.X, size.Y)
				t.Run(name, func(t *testing.T) {
					f, err := Render(s, size)
					if err != nil {
						t.Fatal(err)
					}
					golden(t, name, f.Image)
				})
			}
		}
	}
}

// golden compares got with testdata/golden/name.png or, with -update, writes it.
func golden(t *testing.T, name string, got *image.RGBA) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".png")
	if *update {
		writePNG(t, path, got)
		return
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (make it with -update)", err)
	}
	m, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	n, at := differing(m, got)
	if n == 0 {
		return
	}
	dir := filepath.Join(os.TempDir(), "mohr-golden") // stays; an ArtifactDir does so only with -artifacts
	if f := flag.Lookup("test.artifacts"); f != nil && f.Value.String() == "true" {
		dir = t.ArtifactDir()
	}
	kept := filepath.Join(dir, name+"-got.png")
	writePNG(t, kept, got)
	t.Errorf("%s: %d pixels of %d differ, all in %v; see %s", name, n, got.Rect.Dx()*got.Rect.Dy(), at, kept)
}

// differing counts pixels that are not alike, and says where they are.
func differing(want image.Image, got *image.RGBA) (n int, at image.Rectangle) {
	if want.Bounds() != got.Rect {
		return got.Rect.Dx() * got.Rect.Dy(), got.Rect
	}
	w := image.NewRGBA(got.Rect)
	draw.Draw(w, w.Rect, want, image.Point{}, draw.Src)
	for y := range got.Rect.Dy() {
		row := got.PixOffset(0, y)
		if bytes.Equal(w.Pix[row:row+w.Stride], got.Pix[row:row+got.Stride]) {
			continue
		}
		for x := range got.Rect.Dx() {
			i := got.PixOffset(x, y)
			for c := range 4 {
				if abs(int(w.Pix[i+c])-int(got.Pix[i+c])) > tolerance {
					n++
					at = at.Union(image.Rect(x, y, x+1, y+1))
					break
				}
			}
		}
	}
	return n, at
}

func writePNG(t *testing.T, path string, m image.Image) {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
