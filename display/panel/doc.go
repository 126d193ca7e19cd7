// Package panel puts pictures on panels and takes keys and touches from them.
//
// A Panel shows a display.Frame and tells what a person pressed. Three kinds are
// here: a Linux framebuffer with a USB keypad (Framebuffer), the appliance's own;
// one that wraps any periph display.Drawer, for small displays; and one that speaks
// over a Unix socket, for a desk: Dial is the kiosk's end, Serve the end that has
// the window.
//
// The framebuffer's driver says how large the screen is and how pixels are laid out
// (linux/fb.h); 16 and 32 bits are drawn, anything else is refused by name. The text
// console is switched to KD_GRAPHICS and K_OFF. The keypad is whatever keyboard is in
// one USB port, found through sysfs; no other device is opened. It is used only while
// grabbed (EVIOCGRAB), so that no digit of a PIN reaches anything else
// (linux/input.h). Not done yet: touch screens.
//
// The socket protocol. Each message is a length of four bytes, big-endian, of
// what follows, at most 16 MiB; then one byte of kind; then the body:
//
//	'H' hello   desk to kiosk, first, once: JSON {"version":1,"width":W,"height":H}
//	'F' frame   kiosk to desk: header length of four bytes, JSON header, then the
//	            pixels of the header's dirty rectangle, RGBA, row by row
//	'E' event   desk to kiosk: JSON {"kind":"key","key":"1"} or
//	            {"kind":"down","x":X,"y":Y}
//
// JSON is read strictly: unknown members, trailing bytes and values out of range
// end the connection. The first frame of a connection covers the whole panel,
// later ones only what changed. There are no acknowledgements.
//
// Not done here: authentication; who may connect is said by the rights of the
// socket's folder. No screen is drawn here, and nothing of the kiosk is known.
package panel
