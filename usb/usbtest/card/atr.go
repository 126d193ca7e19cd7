package card

// ATRT1 is MyEID's own answer to reset (ISO/IEC 7816-3, 8.2): T=1, historical
// bytes "MyEID", by which OpenSC knows the card. vpcd takes it.
var ATRT1 = []byte("\x3b\xf5\x18\x00\x00\x81\x31\xfe\x45MyEID\x9a")

// ATRT0 is the shortest one with these historical bytes. QEMU's usb-ccid knows
// T=0 only, and answers the other with "unresponsive card".
var ATRT0 = []byte("\x3b\x05MyEID")

// ATRForeign is a card that no driver knows: the same, but of another maker.
var ATRForeign = []byte("\x3b\x05Other")
