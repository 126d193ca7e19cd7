package main

import (
	"errors"
	"image"
	"os"
	"strings"
	"testing"
)

func TestQR(t *testing.T) {
	b, err := os.ReadFile("testdata/receipt.png")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/receipt.txt")
	if err != nil {
		t.Fatal(err)
	}
	img, err := decodePNG(b)
	if err != nil {
		t.Fatal(err)
	}
	p := &Picture{"receipt.png", img}
	if text, err := p.QR(); err != nil || text != strings.TrimSpace(string(want)) {
		t.Errorf("%q, %v", text, err)
	}
	if err := p.Lit(); err != nil {
		t.Error(err)
	}
	dark := &Picture{"dark.png", image.NewGray(image.Rect(0, 0, 800, 600))}
	if err := dark.Lit(); !errors.Is(err, errBlank) {
		t.Errorf("%v", err)
	}
	if text, err := dark.QR(); err == nil {
		t.Errorf("read %q in the dark", text)
	}
	if _, err := decodePNG(b[:100]); err == nil {
		t.Error("half a file is a picture")
	}
}
