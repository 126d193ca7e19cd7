package main

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"golang.org/x/image/draw"
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

// sizes at which the picture is given to the decoder, in per cent: gozxing may take
// the bits of a code for one of its corners, as a phone may until it is moved.
var sizes = []int{100, 150, 60, 125, 80, 200}

// QR reads the QR code in the picture.
func (p *Picture) QR() (string, error) {
	var last error
	for _, size := range sizes {
		b := p.Bounds()
		scaled := image.NewGray(image.Rect(0, 0, b.Dx()*size/100, b.Dy()*size/100))
		draw.CatmullRom.Scale(scaled, scaled.Bounds(), p.Image, b, draw.Src, nil)
		bits, err := gozxing.NewBinaryBitmapFromImage(scaled)
		if err != nil {
			return "", fmt.Errorf("%s: %w", p.File, err)
		}
		found, err := qrcode.NewQRCodeReader().Decode(bits, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true})
		if err == nil {
			return found.GetText(), nil
		}
		last = err
	}
	return "", fmt.Errorf("no QR code read in %s: %w", p.File, last)
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
