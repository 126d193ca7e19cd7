package card

// nextTLV reads one BER-TLV data object with a tag of one byte (ISO/IEC 7816-4,
// 5.2.2; lengths of one to three bytes, in the shortest form). Bytes 00 between
// objects are skipped: OpenSC puts two at the end of a DF's template. At the end
// of b the tag is 0.
func nextTLV(b []byte) (tag byte, value, rest []byte, ok bool) {
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	if len(b) == 0 {
		return 0, nil, nil, true
	}
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return 0, nil, nil, false
	}
	tag, n, b := b[0], int(b[1]), b[2:]
	switch {
	case n == 0x81 && len(b) >= 1 && b[0] >= 0x80:
		n, b = int(b[0]), b[1:]
	case n == 0x82 && len(b) >= 2 && b[0] > 0:
		n, b = int(b[0])<<8|int(b[1]), b[2:]
	case n >= 0x80:
		return 0, nil, nil, false
	}
	if n > len(b) {
		return 0, nil, nil, false
	}
	return tag, b[:n], b[n:], true
}

// readTLVs reads objects until the end of b; none may come twice.
func readTLVs(b []byte) (map[byte][]byte, bool) {
	found := map[byte][]byte{}
	for {
		tag, value, rest, ok := nextTLV(b)
		if !ok || found[tag] != nil {
			return nil, false
		}
		if tag == 0 {
			return found, true
		}
		if found[tag] = value; value == nil {
			found[tag] = []byte{}
		}
		b = rest
	}
}

// tlv writes one data object.
func tlv(tag byte, value ...byte) []byte {
	switch n := len(value); {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, value...)
	case n < 0x100:
		return append([]byte{tag, 0x81, byte(n)}, value...)
	default:
		return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, value...)
	}
}
