package display

import (
	"image"
	"image/color"
	"image/draw"
	"math"

	"golang.org/x/image/vector"
)

// canvas is the picture being drawn, with what all parts of it share.
type canvas struct {
	img  *image.RGBA
	eng  *textEngine
	lang string
	rtl  bool
	ras  vector.Rasterizer
}

// rect fills r.
func (c *canvas) rect(r image.Rectangle, col color.RGBA) {
	draw.Draw(c.img, r, image.NewUniform(col), image.Point{}, draw.Src)
}

// point is a place within a shape, in pixels or in the shape's own units.
type point struct{ x, y float32 }

// shape is a set of closed outlines. Outlines that turn the same way unite,
// those that turn against each other cut holes.
type shape [][]point

// box is the smallest rectangle of whole pixels round the shape.
func (s shape) box() image.Rectangle {
	x0, y0, x1, y1 := float32(math.MaxFloat32), float32(math.MaxFloat32), float32(-math.MaxFloat32), float32(-math.MaxFloat32)
	for _, o := range s {
		for _, p := range o {
			x0, y0, x1, y1 = min(x0, p.x), min(y0, p.y), max(x1, p.x), max(y1, p.y)
		}
	}
	if x0 > x1 {
		return image.Rectangle{}
	}
	return image.Rect(floor(x0), floor(y0), ceil(x1), ceil(y1))
}

// fill paints a shape.
func (c *canvas) fill(s shape, col color.RGBA) { c.fillIn(s, c.img.Rect, col) }

// fillIn paints what of a shape lies in clip.
func (c *canvas) fillIn(s shape, clip image.Rectangle, col color.RGBA) {
	b := s.box().Intersect(clip).Intersect(c.img.Rect) // the rasteriser itself does not clip
	if b.Empty() {
		return
	}
	c.ras.Reset(b.Dx(), b.Dy())
	for _, o := range s {
		for i, p := range o {
			x, y := p.x-float32(b.Min.X), p.y-float32(b.Min.Y)
			if i == 0 {
				c.ras.MoveTo(x, y)
			} else {
				c.ras.LineTo(x, y)
			}
		}
		c.ras.ClosePath()
	}
	c.ras.Draw(c.img, b, image.NewUniform(col), image.Point{})
}

// within maps a shape drawn on a square of 1 by 1 into the square at r's centre.
func (s shape) within(r image.Rectangle) shape {
	side := float32(min(r.Dx(), r.Dy()))
	x0 := float32(r.Min.X+r.Max.X)/2 - side/2
	y0 := float32(r.Min.Y+r.Max.Y)/2 - side/2
	out := make(shape, len(s))
	for i, o := range s {
		out[i] = make([]point, len(o))
		for j, p := range o {
			out[i][j] = point{x0 + p.x*side, y0 + p.y*side}
		}
	}
	return out
}

// flip mirrors a shape of the unit square left to right.
func (s shape) flip() shape {
	out := make(shape, len(s))
	for i, o := range s {
		for j := range o { // keep the way it turns
			p := o[len(o)-1-j]
			out[i] = append(out[i], point{1 - p.x, p.y})
		}
	}
	return out
}

// arcPoints is how many straight pieces a full circle has: at 500 px across they
// leave the circle by a fifth of a pixel.
const arcPoints = 96

// arc gives points from angle a to b, in turns, clockwise from the right.
func arc(cx, cy, r float32, a, b float64) []point {
	n := max(2, int(math.Ceil(math.Abs(b-a)*arcPoints)))
	pts := make([]point, 0, n+1)
	for i := 0; i <= n; i++ {
		sin, cos := math.Sincos(2 * math.Pi * (a + (b-a)*float64(i)/float64(n)))
		pts = append(pts, point{cx + r*float32(cos), cy + r*float32(sin)})
	}
	return pts
}

func circle(cx, cy, r float32) []point { return arc(cx, cy, r, 0, 1) }

// ring is a circle's line of width w, from turn a to turn b.
func ring(cx, cy, r, w float32, a, b float64) shape {
	if b-a >= 1 {
		return shape{circle(cx, cy, r+w/2), reverse(circle(cx, cy, r-w/2))}
	}
	return shape{append(arc(cx, cy, r+w/2, a, b), arc(cx, cy, r-w/2, b, a)...)}
}

// round is a rectangle with round corners, clockwise.
func round(x0, y0, x1, y1, r float32) []point {
	r = max(0, min(r, (x1-x0)/2, (y1-y0)/2))
	pts := arc(x1-r, y0+r, r, -0.25, 0)
	pts = append(pts, arc(x1-r, y1-r, r, 0, 0.25)...)
	pts = append(pts, arc(x0+r, y1-r, r, 0.25, 0.5)...)
	return append(pts, arc(x0+r, y0+r, r, 0.5, 0.75)...)
}

// roundRect is round in pixels.
func roundRect(r image.Rectangle, radius int) shape {
	return shape{round(float32(r.Min.X), float32(r.Min.Y), float32(r.Max.X), float32(r.Max.Y), float32(radius))}
}

// panel paints r with round corners. Only the corners go through the
// rasteriser: at 1920x1080 the rest would take most of the time of a screen.
func (c *canvas) panel(r image.Rectangle, radius int, col color.RGBA) {
	radius = min(radius, r.Dx()/2, r.Dy()/2)
	c.rect(image.Rect(r.Min.X, r.Min.Y+radius, r.Max.X, r.Max.Y-radius), col)
	c.rect(image.Rect(r.Min.X+radius, r.Min.Y, r.Max.X-radius, r.Min.Y+radius), col)
	c.rect(image.Rect(r.Min.X+radius, r.Max.Y-radius, r.Max.X-radius, r.Max.Y), col)
	c.corners(roundRect(r, radius), r, radius, col)
}

// frame paints a line of a width along the inside of r with round corners.
func (c *canvas) frame(r image.Rectangle, radius, width int, col color.RGBA) {
	radius = min(radius, r.Dx()/2, r.Dy()/2)
	c.rect(image.Rect(r.Min.X+radius, r.Min.Y, r.Max.X-radius, r.Min.Y+width), col)
	c.rect(image.Rect(r.Min.X+radius, r.Max.Y-width, r.Max.X-radius, r.Max.Y), col)
	c.rect(image.Rect(r.Min.X, r.Min.Y+radius, r.Min.X+width, r.Max.Y-radius), col)
	c.rect(image.Rect(r.Max.X-width, r.Min.Y+radius, r.Max.X, r.Max.Y-radius), col)
	inner := roundRect(r.Inset(width), radius-width)
	c.corners(append(roundRect(r, radius), reverse(inner[0])), r, radius, col)
}

// corners paints the four corners of a shape that fills r.
func (c *canvas) corners(s shape, r image.Rectangle, radius int, col color.RGBA) {
	for _, p := range []image.Point{r.Min, {r.Max.X - radius, r.Min.Y}, {r.Min.X, r.Max.Y - radius}, {r.Max.X - radius, r.Max.Y - radius}} {
		c.fillIn(s, image.Rectangle{p, p.Add(image.Pt(radius, radius))}, col)
	}
}

// stroke is a line through points, with round ends and corners. All its pieces
// turn clockwise, so they unite.
func stroke(w float32, pts ...point) shape {
	var s shape
	for i, p := range pts {
		s = append(s, circle(p.x, p.y, w/2))
		if i == 0 {
			continue
		}
		q := pts[i-1]
		dx, dy := p.x-q.x, p.y-q.y
		l := float32(math.Hypot(float64(dx), float64(dy)))
		if l == 0 {
			continue
		}
		nx, ny := -dy/l*w/2, dx/l*w/2
		s = append(s, []point{{q.x - nx, q.y - ny}, {p.x - nx, p.y - ny}, {p.x + nx, p.y + ny}, {q.x + nx, q.y + ny}})
	}
	return s
}

func reverse(pts []point) []point {
	out := make([]point, len(pts))
	for i, p := range pts {
		out[len(pts)-1-i] = p
	}
	return out
}
