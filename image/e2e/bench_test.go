package main

import (
	"testing"

	"mohr.internal/kiosk/nationalid"
)

func TestNationalID(t *testing.T) {
	for n := range 200 {
		if id := nationalID(n); !nationalid.National(id) {
			t.Errorf("%d: %s", n, id)
		}
	}
}
