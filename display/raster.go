package display

import (
	"image"
	"image/color"
	"image/draw"
	"math"

	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/font/opentype"
	"golang.org/x/image/vector"
)

// maskKey names a drawn glyph: face, glyph, size in pixels, and at which quarter
// of a pixel it starts.
type maskKey struct {
	weight weight
	id     font.GID
	size   int
	phase  uint8
}

// mask is a drawn glyph; at is its top left corner seen from the pen.
type mask struct {
	w, h int
	at   image.Point
	pix  []byte
}

// maskBytes bounds the glyph cache. Two screens in two languages at 1920x1080
// take about a quarter of it.
const maskBytes = 8 << 20

// glyphs draws glyphs and keeps them. It is not safe for concurrent use.
type glyphs struct {
	faces [2]*font.Face
	ras   vector.Rasterizer
	cache map[maskKey]*mask
	bytes int
}

func newGlyphs(faces [2]*font.Face) *glyphs {
	return &glyphs{faces: faces, cache: map[maskKey]*mask{}}
}

// get returns the mask of a glyph, nil for one without ink.
func (g *glyphs) get(k maskKey) *mask {
	if m, ok := g.cache[k]; ok {
		return m
	}
	m := g.draw(k)
	if m != nil {
		g.bytes += len(m.pix)
	}
	if g.bytes > maskBytes {
		clear(g.cache)
		g.bytes = 0
	}
	g.cache[k] = m
	return m
}

func (g *glyphs) draw(k maskKey) *mask {
	outline, ok := g.faces[k.weight].GlyphDataOutline(k.id)
	if !ok || len(outline.Segments) == 0 {
		return nil
	}
	scale := float32(k.size) / unitsPerEm
	shift := float32(k.phase) / 4
	at := func(p opentype.SegmentPoint) (x, y float32) { return p.X*scale + shift, -p.Y * scale }

	x0, y0, x1, y1 := float32(math.MaxFloat32), float32(math.MaxFloat32), float32(-math.MaxFloat32), float32(-math.MaxFloat32)
	for _, s := range outline.Segments {
		for _, p := range s.ArgsSlice() {
			x, y := at(p)
			x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
		}
	}
	left, top := floor(x0), floor(y0)
	w, h := ceil(x1)-left, ceil(y1)-top
	if w <= 0 || h <= 0 || w > 1<<12 || h > 1<<12 {
		return nil
	}
	g.ras.Reset(w, h)
	g.ras.DrawOp = draw.Src
	rel := func(p opentype.SegmentPoint) (float32, float32) {
		x, y := at(p)
		return x - float32(left), y - float32(top)
	}
	for i, s := range outline.Segments {
		ax, ay := rel(s.Args[0])
		bx, by := rel(s.Args[1])
		cx, cy := rel(s.Args[2])
		switch s.Op {
		case opentype.SegmentOpMoveTo:
			if i > 0 {
				g.ras.ClosePath()
			}
			g.ras.MoveTo(ax, ay)
		case opentype.SegmentOpLineTo:
			g.ras.LineTo(ax, ay)
		case opentype.SegmentOpQuadTo:
			g.ras.QuadTo(ax, ay, bx, by)
		case opentype.SegmentOpCubeTo:
			g.ras.CubeTo(ax, ay, bx, by, cx, cy)
		}
	}
	g.ras.ClosePath()
	alpha := image.NewAlpha(image.Rect(0, 0, w, h))
	g.ras.Draw(alpha, alpha.Rect, image.Opaque, image.Point{})
	return &mask{w: w, h: h, at: image.Pt(left, top), pix: alpha.Pix}
}

// blend lays an opaque colour over img through m, the pen being at x, y.
func blend(img *image.RGBA, m *mask, x, y int, c color.RGBA) {
	r := image.Rect(0, 0, m.w, m.h).Add(m.at).Add(image.Pt(x, y))
	in := r.Intersect(img.Rect)
	for row := in.Min.Y; row < in.Max.Y; row++ {
		src := m.pix[(row-r.Min.Y)*m.w+in.Min.X-r.Min.X:][:in.Dx()]
		dst := img.Pix[img.PixOffset(in.Min.X, row):][:in.Dx()*4]
		for i, a := range src {
			if a == 0 {
				continue
			}
			d := dst[i*4 : i*4+4 : i*4+4]
			d[0] = mix(d[0], c.R, a)
			d[1] = mix(d[1], c.G, a)
			d[2] = mix(d[2], c.B, a)
		}
	}
}

// mix goes from a to b by t/255, rounded.
func mix(a, b, t uint8) uint8 {
	v := uint32(a)*(255-uint32(t)) + uint32(b)*uint32(t) + 127
	return uint8((v + 1 + v>>8) >> 8)
}

func floor(v float32) int { return int(math.Floor(float64(v))) }
func ceil(v float32) int  { return int(math.Ceil(float64(v))) }
