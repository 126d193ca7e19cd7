package display

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
)

// Render draws s for a panel of the given size.
func Render(s Screen, size image.Point) (*Frame, error) {
	if size.X < 480 || size.Y < 320 {
		return nil, fmt.Errorf("display: screen %q: panel of %v is below 480x320", s.ID, size)
	}
	img := image.NewRGBA(image.Rectangle{Max: size})
	draw.Draw(img, img.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	return &Frame{Image: img}, nil
}
