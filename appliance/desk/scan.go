package desk

import (
	"context"
	"image"
	"strings"
	"sync"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// Scan reads a QR symbol from a picture, as a phone in front of the screen would. It knows nothing of
// how the symbol was made. A picture without a symbol gives "".
func Scan(img image.Image) string {
	bmp, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		return ""
	}
	res, err := qrcode.NewQRCodeReader().Decode(bmp, nil)
	if err != nil {
		return ""
	}
	return res.GetText()
}

// scanner keeps the last receipt that was on the screen.
type scanner struct {
	mu   sync.Mutex
	seq  uint64
	text string
}

// run looks at each screen once until ctx ends.
func (s *scanner) run(ctx context.Context, g *Glass) {
	id := ""
	for ctx.Err() == nil {
		changed := g.Changed()
		if shot, lit := g.Latest(); lit && shot.ID != id {
			id = shot.ID
			s.look(shot)
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// look scans one picture, unless it did before.
func (s *scanner) look(shot Shot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if shot.Seq == s.seq {
		return
	}
	s.seq = shot.Seq
	if text := Scan(shot.Image); strings.HasPrefix(text, "KR1:") {
		s.text = text
	}
}

func (s *scanner) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text
}
