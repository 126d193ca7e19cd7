package usb

import (
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Description is what is worth knowing of a device that nobody could use: enough
// for a row of the catalogue, and nothing that is of one person's token only. The
// serial number is left out, and numbers in the texts that look like one.
type Description struct {
	VID, PID, Release     uint16
	Class                 uint8
	Interfaces            []Interface // the first ones
	More                  bool        // there were more
	Malformed             bool        // the descriptors could not be read
	Manufacturer, Product string      // the device's own words, cut
}

// Bounds of a description: its QR code has to be read off a small panel.
const (
	maxDescribed = 12 // interfaces
	maxWords     = 32 // bytes of a text
)

// The text form is "MT1:" and, in base32 without padding (RFC 4648, section 6),
//
//	vid, pid, release   16 bits each, big endian
//	class               8 bits
//	flags               8 bits: 1 more interfaces, 2 malformed
//	interfaces          8 bits: their number; then 6 bytes each: configuration,
//	                    number, alternate setting, class, subclass, protocol
//	manufacturer        8 bits: its length; then the text in UTF-8
//	product             the same
//
// One description has one text. All of its characters are in the QR alphanumeric set.
const descriptionPrefix = "MT1:"

// MaxDescription is the length of the longest text.
const MaxDescription = len(descriptionPrefix) + ((11+6*maxDescribed+2*maxWords)*8+4)/5

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

const (
	flagMore = 1 << iota
	flagMalformed
)

// Describe takes from a device what its description holds.
func Describe(d Device) Description {
	all := d.Interfaces
	if d.Problem != "" {
		all = nil
	}
	n := min(len(all), maxDescribed)
	own := func(s string) string {
		if len(d.Serial) >= 4 {
			s = strings.ReplaceAll(s, d.Serial, "#")
		}
		return impersonal(s)
	}
	return Description{
		VID: d.VID, PID: d.PID, Release: d.Release, Class: d.Class,
		Interfaces: slices.Clone(all[:n]), More: n < len(all), Malformed: d.Problem != "",
		Manufacturer: own(d.Manufacturer), Product: own(d.Product),
	}
}

// Text writes the description for a QR code.
func (d Description) Text() string {
	var flags byte
	if d.More {
		flags |= flagMore
	}
	if d.Malformed {
		flags |= flagMalformed
	}
	b := binary.BigEndian.AppendUint16(nil, d.VID)
	b = binary.BigEndian.AppendUint16(b, d.PID)
	b = binary.BigEndian.AppendUint16(b, d.Release)
	b = append(b, d.Class, flags, byte(len(d.Interfaces)))
	for _, i := range d.Interfaces {
		b = append(b, i.Configuration, i.Number, i.Alternate, i.Class, i.SubClass, i.Protocol)
	}
	for _, s := range []string{d.Manufacturer, d.Product} {
		b = append(append(b, byte(len(s))), s...)
	}
	return descriptionPrefix + base32Text.EncodeToString(b)
}

// ParseDescription reads what Text wrote and refuses everything else.
func ParseDescription(text string) (Description, error) {
	if len(text) > MaxDescription {
		return Description{}, fmt.Errorf("usb: description: longer than %d characters", MaxDescription)
	}
	body, ok := strings.CutPrefix(text, descriptionPrefix)
	if !ok {
		return Description{}, fmt.Errorf("usb: description: does not begin with %s", descriptionPrefix)
	}
	b, err := base32Text.DecodeString(body)
	if err != nil {
		return Description{}, fmt.Errorf("usb: description: %w", err)
	}
	short := errors.New("usb: description: is cut short")
	if len(b) < 9 {
		return Description{}, short
	}
	flags, n := b[7], int(b[8])
	d := Description{
		VID: binary.BigEndian.Uint16(b), PID: binary.BigEndian.Uint16(b[2:]), Release: binary.BigEndian.Uint16(b[4:]), Class: b[6],
		More: flags&flagMore != 0, Malformed: flags&flagMalformed != 0,
	}
	if n > maxDescribed || d.More && n < maxDescribed || d.Malformed && n > 0 {
		return Description{}, fmt.Errorf("usb: description: %d interfaces with flags %#x", n, flags)
	}
	if b = b[9:]; len(b) < 6*n {
		return Description{}, short
	}
	for ; n > 0; n, b = n-1, b[6:] {
		d.Interfaces = append(d.Interfaces, Interface{b[0], b[1], b[2], b[3], b[4], b[5]})
	}
	for _, s := range []*string{&d.Manufacturer, &d.Product} {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return Description{}, short
		}
		*s, b = string(b[1:1+b[0]]), b[1+b[0]:]
		if impersonal(*s) != *s {
			return Description{}, fmt.Errorf("usb: description: text %q is not one that is written", *s)
		}
	}
	if d.Text() != text { // bytes left over, unknown flags, idle bits
		return Description{}, errors.New("usb: description: is not in its one form")
	}
	return d, nil
}

// impersonal makes a device's text short and printable, and puts "#" where a serial
// number may be: for a word with five digits, or of eight hexadecimal digits, and
// for each digit of a text that has eight of them.
func impersonal(s string) string {
	if s = printable(s); len(s) > maxWords {
		s = strings.TrimSpace(strings.ToValidUTF8(s[:maxWords], ""))
	}
	words := strings.Split(s, " ")
	for i, w := range words {
		digits := count(w, unicode.IsNumber)
		hex := count(w, func(r rune) bool { return strings.ContainsRune("0123456789abcdefABCDEF", r) })
		if digits >= 5 || digits > 0 && hex >= 8 && hex == len(w) {
			words[i] = "#"
		}
	}
	if s = strings.Join(words, " "); count(s, unicode.IsNumber) < 8 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsNumber(r) {
			return '#'
		}
		return r
	}, s)
}

func count(s string, is func(rune) bool) (n int) {
	for _, r := range s {
		if is(r) {
			n++
		}
	}
	return n
}
