package main

import (
	"errors"
	"image"
	"image/draw"
	"os"
	"strings"
	"testing"
)

func TestQR(t *testing.T) {
	for _, name := range []string{"receipt", "receipt-2"} {
		want, err := os.ReadFile("testdata/" + name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		p := open(t, name)
		if text, err := p.QR(); err != nil || text != strings.TrimSpace(string(want)) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
		if err := p.Lit(); err != nil {
			t.Error(err)
		}
	}
}

func open(t *testing.T, name string) *Picture {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".png")
	if err != nil {
		t.Fatal(err)
	}
	img, err := decodePNG(b)
	if err != nil {
		t.Fatal(err)
	}
	return &Picture{name + ".png", img}
}

func TestNoPicture(t *testing.T) {
	dark := &Picture{"dark.png", image.NewGray(image.Rect(0, 0, 800, 600))}
	if err := dark.Lit(); !errors.Is(err, errBlank) {
		t.Errorf("%v", err)
	}
	if text, err := dark.QR(); err == nil {
		t.Errorf("read %q in the dark", text)
	}
	bright := image.NewGray(image.Rect(0, 0, 800, 600))
	draw.Draw(bright, bright.Bounds(), image.White, image.Point{}, draw.Src)
	if text, err := (&Picture{"bright.png", bright}).QR(); err == nil {
		t.Errorf("read %q on white", text)
	}
	b, err := os.ReadFile("testdata/receipt.png")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodePNG(b[:100]); err == nil {
		t.Error("half a file is a picture")
	}
}
