package display

import (
	"bytes"
	_ "embed"
	"fmt"
	"sync"

	"github.com/go-text/typesetting/font"
)

// The font files are those of the Vazirmatn release 33.0.3, unmodified, as the
// reserved font name in font/OFL.txt asks.
//
//go:embed font/Vazirmatn-Regular.ttf
var regularTTF []byte

//go:embed font/Vazirmatn-Bold.ttf
var boldTTF []byte

// weight is one of the two faces.
type weight uint8

const (
	regular weight = iota
	bold
)

// Measures in ems, the same for both weights.
const (
	unitsPerEm = 2048
	// The font asks for lines of 1.56 em. Its ink, with the marks of a fully
	// pointed word and an accented capital, lies between 0.95 above and 0.33 below
	// the base line; a test measures it.
	ascent    = 1.0
	descent   = 0.4
	leading   = ascent + descent
	capHeight = 1638.0 / unitsPerEm
)

// fonts parses the embedded files once.
var fonts = sync.OnceValue(func() (f [2]*font.Font) {
	for w, data := range [][]byte{regularTTF, boldTTF} {
		face, err := font.ParseTTF(bytes.NewReader(data))
		if err != nil {
			panic(fmt.Sprintf("display: embedded font %d: %v", w, err)) // tests load both
		}
		f[w] = face.Font
	}
	return f
})
