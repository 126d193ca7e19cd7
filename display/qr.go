package display

import (
	"errors"
	"fmt"
	"image"

	"github.com/skip2/go-qrcode"
)

const (
	quietZone = 4 // modules, ISO/IEC 18004 section 6.3.8
	minModule = 4 // pixels; below about 0.4 mm phones fail
	// maxQR is the most text one symbol takes: version 40-M in alphanumeric mode
	// has 3391 characters, but nobody's phone reads that off a panel.
	maxQR = 1600
)

// qrSymbol is an encoded QR symbol, without its quiet zone.
type qrSymbol struct {
	version int
	modules [][]bool
}

// side is the symbol's width with its quiet zone, in modules.
func (q *qrSymbol) side() int { return len(q.modules) + 2*quietZone }

// encodeQR makes a symbol of level M. Only the bitmap is taken from the encoder:
// its own pictures have modules of unequal size.
func encodeQR(text string) (q *qrSymbol, err error) {
	if len(text) > maxQR {
		return nil, fmt.Errorf("display: QR of %d characters, most is %d", len(text), maxQR)
	}
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return nil, fmt.Errorf("display: QR text has byte %#02x at %d, only printable ASCII is carried", text[i], i)
		}
	}
	defer func() { // the encoder is known to panic (its issue 37)
		if r := recover(); r != nil {
			q, err = nil, fmt.Errorf("display: QR encoder: %v", r)
		}
	}()
	code, err := qrcode.New(text, qrcode.Medium)
	if err != nil {
		return nil, fmt.Errorf("display: QR encoder: %w", err)
	}
	code.DisableBorder = true
	q = &qrSymbol{version: code.VersionNumber, modules: code.Bitmap()}
	return q, q.check()
}

// check looks at what does not depend on the content: the size that belongs to
// the version, and the three finder patterns (section 6.3.3).
func (q *qrSymbol) check() error {
	n := 17 + 4*q.version
	if q.version < 1 || q.version > 40 || len(q.modules) != n {
		return fmt.Errorf("display: QR version %d with %d rows", q.version, len(q.modules))
	}
	for _, row := range q.modules {
		if len(row) != n {
			return errors.New("display: QR symbol is not square")
		}
	}
	for y := range 7 {
		for x := range 7 {
			ring := max(abs(x-3), abs(y-3)) // distance from the middle
			dark := ring != 2
			if q.modules[y][x] != dark || q.modules[y][n-7+x] != dark || q.modules[n-7+y][x] != dark {
				return errors.New("display: QR symbol lacks a finder pattern")
			}
		}
	}
	return nil
}

func abs(v int) int { return max(v, -v) }

// qr draws the symbol with modules of px pixels, quiet zone included, with its
// top left corner at p. Dark is black and light is white, always.
func (c *canvas) qr(q *qrSymbol, p image.Point, px int) {
	side := q.side() * px
	c.rect(image.Rect(p.X, p.Y, p.X+side, p.Y+side), white)
	for y, row := range q.modules {
		for x := 0; x < len(row); x++ {
			end := x
			for end < len(row) && row[end] {
				end++
			}
			if end > x {
				c.rect(image.Rect(p.X+(quietZone+x)*px, p.Y+(quietZone+y)*px, p.X+(quietZone+end)*px, p.Y+(quietZone+y+1)*px), black)
				x = end
			}
		}
	}
}
