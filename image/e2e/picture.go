package main

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"os"
	"path/filepath"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// Bounds of a screendump: a 4K panel, and its PNG.
const (
	maxSide = 4096
	maxPNG  = 64 << 20
)

// Picture is what stands on the guest's display.
type Picture struct {
	File string
	image.Image
}

// Screendump asks QEMU for the display and keeps it as out/NAME.png.
func (m *Machine) Screendump(name string) (*Picture, error) {
	file := filepath.Join(m.Out, name+".png")
	if err := m.QMP.Do(qmpLimit, "screendump", map[string]any{"filename": file, "format": "png"}, nil); err != nil {
		return nil, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPNG+1))
	if err != nil {
		return nil, err
	}
	img, err := decodePNG(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &Picture{file, img}, nil
}

func decodePNG(b []byte) (image.Image, error) {
	c, err := png.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	if len(b) > maxPNG || c.Width > maxSide || c.Height > maxSide {
		return nil, fmt.Errorf("a picture of %d×%d in %d bytes", c.Width, c.Height, len(b))
	}
	return png.Decode(bytes.NewReader(b))
}

// QR reads the QR code in the picture. gozxing takes the bits of some codes for one
// of their corners, so that it is told where the code is: it fills a white square.
func (p *Picture) QR() (string, error) {
	var last error = errNoSquare
	for _, square := range p.squares() {
		cut := image.NewGray(image.Rect(0, 0, square.Dx(), square.Dy()))
		draw.Draw(cut, cut.Bounds(), p.Image, square.Min, draw.Src)
		bits, err := gozxing.NewBinaryBitmapFromImage(cut)
		if err != nil {
			return "", fmt.Errorf("%s: %w", p.File, err)
		}
		found, err := qrcode.NewQRCodeReader().Decode(bits, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true})
		if err == nil {
			return found.GetText(), nil
		}
		last = err
	}
	return "", fmt.Errorf("no QR code read in %s: %w", p.File, last)
}

var errNoSquare = errors.New("no white square in it")

// minSquare is the side of the smallest QR code that a person would scan.
const minSquare = 100

// squares are the white squares, with whatever is in them: of each row that begins
// one the longest stretch of white.
func (p *Picture) squares() (all []image.Rectangle) {
	b := p.Bounds()
	var above image.Rectangle
	for y := b.Min.Y; y < b.Max.Y; y++ {
		from, to, best := -1, 0, 0
		for x, start := b.Min.X, b.Min.X; x <= b.Max.X; x++ {
			if x < b.Max.X && p.white(x, y) {
				continue
			}
			if x-start > best {
				from, to, best = start, x, x-start
			}
			start = x + 1
		}
		square := image.Rect(from, y, to, y+best)
		begins := square.Min.X != above.Min.X || square.Max.X != above.Max.X
		above = square
		if begins && best >= minSquare && square.In(b) && p.white(from, square.Max.Y-1) && p.white(to-1, square.Max.Y-1) {
			all = append(all, square)
		}
	}
	return all
}

func (p *Picture) white(x, y int) bool {
	r, g, b, _ := p.At(x, y).RGBA()
	return r&g&b == 0xffff
}

// errBlank is a display on which nothing can be told apart.
var errBlank = errors.New("the display shows one colour")

// Lit refuses a picture of one colour.
func (p *Picture) Lit() error {
	b := p.Bounds()
	first := p.At(b.Min.X, b.Min.Y)
	for y := b.Min.Y; y < b.Max.Y; y += 4 {
		for x := b.Min.X; x < b.Max.X; x += 4 {
			if p.At(x, y) != first {
				return nil
			}
		}
	}
	return errBlank
}
