package kiosk

import (
	"image"
	"testing"

	"mohr.internal/display"
	"mohr.internal/kiosk/words"
)

// The screens of an appliance that has no office, or no place to keep anything, yet.
func TestTroubleGolden(t *testing.T) {
	for _, rule := range []string{"PERM-READONLY", "PERM-SITE"} {
		for _, lang := range words.Languages {
			f, err := display.Render(TroublePage(rule, lang), image.Pt(800, 600))
			if err != nil {
				t.Fatalf("%s in %s: %v", rule, lang, err)
			}
			golden(t, "trouble-"+rule+"-"+lang, f.Image)
		}
	}
}
