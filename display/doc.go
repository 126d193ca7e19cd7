// Package display turns a Screen, which is plain data, into a picture of one
// panel's size and a list of places that can be touched.
//
// Render is pure: the same Screen and size give the same pixels. There is no
// clock, no file and no device here, and no sentence either: every word a
// person reads comes from the caller, in the caller's language, with its digits
// and dates already in the right form. Putting a picture on a panel and taking
// keys and touches from it is the sister package panel.
//
// Three nouns:
//
//   - Screen: what is to be said and asked, once, in one language.
//   - Frame: the picture of a Screen and its Targets.
//   - Target: a rectangle that stands for a Choice or a keypad key.
//
// Text is shaped with go-text/typesetting (Unicode bidirectional algorithm,
// UAX #9; line breaking, UAX #14) and drawn in Vazirmatn, which holds Persian
// and Latin; the font and its licence (OFL 1.1) are in the folder font. QR
// symbols follow ISO/IEC 18004: level M, modules of a whole number of pixels
// and at least four, quiet zone of four modules, never inverted.
//
// What does not fit is made smaller, down to a size that can still be read from
// arm's length; what then still does not fit is an error that names the screen.
// Nothing is ever clipped or left out in silence.
//
// Not done here: animation, scrolling, pictures other than the built-in signs,
// colour emoji, 1-bit and e-paper panels.
package display
