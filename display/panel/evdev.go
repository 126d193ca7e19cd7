package panel

import (
	"encoding/binary"
	"fmt"
)

// struct input_event of a 64-bit kernel, and the parts of linux/input-event-codes.h
// that a keypad needs.
const (
	sizeInputEvent = 24

	evSyn      = 0
	evKey      = 1
	synReport  = 0
	synDropped = 3

	keyUp   = 0
	keyDown = 1 // 2 is a repeat
)

// keyMap is what keys mean here. A keypad without Escape and letters has * to cancel
// and / for the language; NumLock plays no part.
var keyMap = map[uint16]rune{
	2: '1', 3: '2', 4: '3', 5: '4', 6: '5', 7: '6', 8: '7', 9: '8', 10: '9', 11: '0', // the row above the letters
	79: '1', 80: '2', 81: '3', 75: '4', 76: '5', 77: '6', 71: '7', 72: '8', 73: '9', 82: '0', // KEY_KP1 …
	0x201: '1', 0x202: '2', 0x203: '3', 0x204: '4', 0x205: '5', 0x206: '6', 0x207: '7', 0x208: '8', 0x209: '9', 0x200: '0', // KEY_NUMERIC_1 …

	28: KeyOK, 96: KeyOK, // KEY_ENTER, KEY_KPENTER
	14: KeyBack, 111: KeyBack, 83: KeyBack, // KEY_BACKSPACE, KEY_DELETE, KEY_KPDOT
	1: KeyCancel, 46: KeyCancel, 55: KeyCancel, 0x20a: KeyCancel, // KEY_ESC, KEY_C, KEY_KPASTERISK, KEY_NUMERIC_STAR
	38: KeyLanguage, 98: KeyLanguage, 0x20b: KeyLanguage, // KEY_L, KEY_KPSLASH, KEY_NUMERIC_POUND
}

// keyboard turns the events of one input device into keys. The zero value has no key
// down.
type keyboard struct {
	down    map[uint16]rune
	dropped bool // the kernel dropped events: nothing counts until the next report
}

// read takes whole events. press says whether the key was taken; release is called
// once for each key that was.
func (k *keyboard) read(b []byte, press func(rune) bool, release func(rune)) error {
	if len(b)%sizeInputEvent != 0 {
		return fmt.Errorf("panel: keypad: %d bytes are no whole events", len(b))
	}
	for ; len(b) > 0; b = b[sizeInputEvent:] {
		kind, code := binary.LittleEndian.Uint16(b[16:]), binary.LittleEndian.Uint16(b[18:])
		value := binary.LittleEndian.Uint32(b[20:])
		switch {
		case kind == evSyn && code == synDropped:
			// Which keys are down now is not known: none, so that nothing is held on.
			k.dropped = true
			k.releaseAll(release)
		case kind == evSyn && code == synReport:
			k.dropped = false
		case kind != evKey || k.dropped:
		case value == keyDown:
			key, known := keyMap[code]
			if _, already := k.down[code]; known && !already && press(key) {
				if k.down == nil {
					k.down = map[uint16]rune{}
				}
				k.down[code] = key
			}
		case value == keyUp:
			if key, was := k.down[code]; was {
				delete(k.down, code)
				release(key)
			}
		}
	}
	return nil
}

// releaseAll lets go of every key, as when the device is pulled.
func (k *keyboard) releaseAll(release func(rune)) {
	for code, key := range k.down {
		delete(k.down, code)
		release(key)
	}
}
