package panel

import (
	"encoding/binary"
	"fmt"
	"image"
)

// Requests and structures of linux/fb.h, in the layout of a 64-bit kernel.
const (
	fbioGetVScreenInfo = 0x4600
	fbioGetFScreenInfo = 0x4602

	sizeVScreenInfo = 160
	sizeFScreenInfo = 80

	fbTypePackedPixels  = 0
	fbVisualTrueColor   = 2
	fbVisualDirectColor = 4
)

// Bounds of what is taken from a driver: what package display can draw, and no smaller
// than every page of the ceremony fits. One that does not would end it half-way.
const (
	minFBWidth, minFBHeight = 640, 480
	maxFBWidth, maxFBHeight = 4096, 4096
	maxFBLine               = 1 << 17
	maxFBLines              = 1 << 15
)

// channel is where one colour lies in a pixel: length bits from bit offset.
type channel struct{ offset, length uint32 }

// geometry is what has to be known to put pixels into a framebuffer.
type geometry struct {
	size       image.Point // visible
	origin     image.Point // of the visible part in memory
	line       int         // bytes from one line to the next
	pixel      int         // bytes of one pixel: 2 or 4
	r, g, b, a channel     // a has no length where there is none
}

// parseGeometry reads fb_var_screeninfo and fb_fix_screeninfo. Whatever would not
// be drawn right is refused by name.
func parseGeometry(v *[sizeVScreenInfo]byte, f *[sizeFScreenInfo]byte) (geometry, error) {
	le := binary.LittleEndian
	word := func(i int) uint32 { return le.Uint32(v[4*i:]) }
	fail := func(format string, args ...any) (geometry, error) {
		return geometry{}, fmt.Errorf("panel: framebuffer: "+format, args...)
	}
	width, height, xoff, yoff := word(0), word(1), word(4), word(5)
	bits, grey := word(6), word(7)
	memory, kind, visual, line := le.Uint32(f[24:]), le.Uint32(f[28:]), le.Uint32(f[36:]), le.Uint32(f[48:])
	switch {
	case width < minFBWidth || height < minFBHeight || width > maxFBWidth || height > maxFBHeight:
		return fail("%dx%d, want %dx%d to %dx%d", width, height, minFBWidth, minFBHeight, maxFBWidth, maxFBHeight)
	case bits != 16 && bits != 32:
		return fail("%d bits per pixel, want 16 or 32", bits)
	case kind != fbTypePackedPixels:
		return fail("type %d, want packed pixels", kind)
	case visual != fbVisualTrueColor && visual != fbVisualDirectColor:
		return fail("visual %d, want true colour", visual)
	case grey != 0:
		return fail("grey or FourCC format %#x", grey)
	case line > maxFBLine || xoff > maxFBLine || yoff > maxFBLines:
		return fail("line of %d bytes, offset %d,%d", line, xoff, yoff)
	case uint64(line) < uint64(xoff+width)*uint64(bits/8):
		return fail("line of %d bytes is too short for %d+%d pixels of %d bits", line, xoff, width, bits)
	case memory != 0 && uint64(memory) < uint64(yoff+height-1)*uint64(line)+uint64(xoff+width)*uint64(bits/8):
		return fail("%d bytes of memory are too few for %d+%d lines of %d bytes", memory, yoff, height, line)
	}
	g := geometry{
		size: image.Pt(int(width), int(height)), origin: image.Pt(int(xoff), int(yoff)),
		line: int(line), pixel: int(bits / 8),
	}
	var used uint32
	for i, c := range []*channel{&g.r, &g.g, &g.b, &g.a} {
		name := [...]string{"red", "green", "blue", "alpha"}[i]
		offset, length, right := word(8+3*i), word(9+3*i), word(10+3*i)
		if c == &g.a && length == 0 {
			continue
		}
		if length < 1 || length > 8 || offset > bits-length || right != 0 {
			return fail("%s has %d bits at %d (msb_right %d) of %d", name, length, offset, right, bits)
		}
		mask := uint32(1<<length-1) << offset
		if used&mask != 0 {
			return fail("%s at %d overlaps another colour", name, offset)
		}
		used |= mask
		*c = channel{offset, length}
	}
	return g, nil
}

// at is where a visible pixel lies in the device.
func (g geometry) at(x, y int) int64 {
	return int64(g.origin.Y+y)*int64(g.line) + int64(g.origin.X+x)*int64(g.pixel)
}

// appendPixels converts a row of RGBA pixels.
func (g geometry) appendPixels(dst, rgba []byte) []byte {
	place := func(c channel, v byte) uint32 { return uint32(v>>(8-c.length)) << c.offset }
	opaque := uint32(1<<g.a.length-1) << g.a.offset
	for ; len(rgba) >= 4; rgba = rgba[4:] {
		p := place(g.r, rgba[0]) | place(g.g, rgba[1]) | place(g.b, rgba[2]) | opaque
		if g.pixel == 2 {
			dst = append(dst, byte(p), byte(p>>8))
		} else {
			dst = append(dst, byte(p), byte(p>>8), byte(p>>16), byte(p>>24))
		}
	}
	return dst
}
