//go:build pins

// Package gokrazy pins what the image takes from the gokrazy project, apart from the
// product's own go.mod: the system, the kernels and the Raspberry Pi's firmware. The
// only code of ours here is init.
package gokrazy

import (
	_ "github.com/gokrazy/firmware"
	_ "github.com/gokrazy/gokrazy/cmd/dhcp"
	_ "github.com/gokrazy/gokrazy/cmd/ntp"
	_ "github.com/gokrazy/gokrazy/cmd/randomd"
	_ "github.com/gokrazy/kernel.amd64"
	_ "github.com/gokrazy/kernel.rpi"
	_ "github.com/gokrazy/rpi-eeprom"
)
