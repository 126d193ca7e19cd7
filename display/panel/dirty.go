package panel

import (
	"bytes"
	"image"
)

// dirtyRect is the smallest rectangle that holds every pixel in which two
// pictures of the same size differ; empty when they are equal.
func dirtyRect(a, b *image.RGBA) image.Rectangle {
	r := a.Rect
	row := func(m *image.RGBA, y int) []byte {
		i := m.PixOffset(r.Min.X, y)
		return m.Pix[i : i+r.Dx()*4]
	}
	for r.Min.Y < r.Max.Y && bytes.Equal(row(a, r.Min.Y), row(b, r.Min.Y)) {
		r.Min.Y++
	}
	for r.Max.Y > r.Min.Y && bytes.Equal(row(a, r.Max.Y-1), row(b, r.Max.Y-1)) {
		r.Max.Y--
	}
	if r.Empty() {
		return image.Rectangle{}
	}
	left, right := r.Dx(), 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		p, q := row(a, y), row(b, y)
		x := 0
		for x < left && bytes.Equal(p[x*4:x*4+4], q[x*4:x*4+4]) {
			x++
		}
		left = x
		x = r.Dx()
		for x > right && bytes.Equal(p[x*4-4:x*4], q[x*4-4:x*4]) {
			x--
		}
		right = x
	}
	r.Min.X, r.Max.X = r.Min.X+left, r.Min.X+right
	return r
}

// cut copies the pixels of r out of m, row by row.
func cut(m *image.RGBA, r image.Rectangle) []byte {
	out := make([]byte, 0, r.Dx()*r.Dy()*4)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		i := m.PixOffset(r.Min.X, y)
		out = append(out, m.Pix[i:i+r.Dx()*4]...)
	}
	return out
}

// paste is the reverse of cut. pix has to be of the right length.
func paste(m *image.RGBA, r image.Rectangle, pix []byte) {
	w := r.Dx() * 4
	for y := r.Min.Y; y < r.Max.Y; y++ {
		copy(m.Pix[m.PixOffset(r.Min.X, y):], pix[:w])
		pix = pix[w:]
	}
}
