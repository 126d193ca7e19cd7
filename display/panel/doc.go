// Package panel puts pictures on panels and takes keys and touches from them.
//
// A Panel shows a display.Frame and tells what a person pressed. Two kinds are
// here: one that wraps any periph display.Drawer, for real displays, and one
// that speaks over a Unix socket, for a desk: Dial is the kiosk's end, Serve the
// end that has the window.
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
