package display

import "image/color"

// theme is the colours of one mood. Every pair of text and ground that is used
// has a contrast of at least 7:1 (WCAG 2.2, 1.4.6); a test walks pairs.
type theme struct {
	strong color.RGBA // emblem, main button, bar
	tint   color.RGBA // ground of the head
	motif  color.RGBA // ornament on the head, below text
	title  color.RGBA // title on the head
	emblem color.RGBA // ground of the emblem
	sign   color.RGBA // sign on the emblem
}

var (
	paper = rgb(0xfaf7f1) // ground of the screen
	card  = rgb(0xffffff) // ground of facts, fields, QR
	ink   = rgb(0x15212b) // text
	muted = rgb(0x3a4752) // labels, banner
	held  = rgb(0xefebe3) // the part of a button that has been held long enough
	rule  = rgb(0xd8d1c4) // thin lines, never the only bearer of a meaning
	white = rgb(0xffffff)
	black = rgb(0x000000)
)

var themes = [...]theme{
	Calm:  {rgb(0x0a4a55), rgb(0xdfecec), rgb(0xd2e4e4), rgb(0x0a4a55), rgb(0x0a4a55), white},
	Ask:   {rgb(0x24357f), rgb(0xe4e8f6), rgb(0xd9dff2), rgb(0x24357f), rgb(0x24357f), white},
	Alarm: {rgb(0x8c1518), rgb(0x8c1518), rgb(0x9a1e20), white, white, rgb(0x8c1518)},
	Done:  {rgb(0x12512f), rgb(0xdceede), rgb(0xcfe6d3), rgb(0x12512f), rgb(0x12512f), white},
}

// pair is a text colour and what it stands on.
type pair struct{ text, ground color.RGBA }

// pairs lists every combination in which something has to be read.
func (t theme) pairs() []pair {
	return []pair{
		{ink, paper}, {ink, card}, {muted, paper}, {muted, card},
		{t.strong, paper}, {t.strong, card}, {t.strong, held}, {white, ink}, {white, t.strong},
		{t.title, t.tint}, {t.title, t.motif}, {t.sign, t.emblem},
		{black, white}, {themes[Done].strong, card},
	}
}

func rgb(v uint32) color.RGBA {
	return color.RGBA{R: uint8(v >> 16), G: uint8(v >> 8), B: uint8(v), A: 255}
}
