package main

import (
	"fmt"
	"time"

	"mohr.internal/display/panel"
)

// qcodes are QEMU's names of the keys of the keypad.
var qcodes = map[rune]string{
	panel.KeyOK: "kp_enter", panel.KeyBack: "backspace", panel.KeyCancel: "esc", panel.KeyLanguage: "kp_divide",
}

func qcode(key rune) (string, error) {
	if key >= '0' && key <= '9' {
		return "kp_" + string(key), nil
	}
	if code, ok := qcodes[key]; ok {
		return code, nil
	}
	return "", fmt.Errorf("no key %q on the keypad", key)
}

// Key presses a key of the keypad for so long.
func (m *Machine) Key(key rune, held time.Duration) error {
	code, err := qcode(key)
	if err != nil {
		return err
	}
	if err := m.press(code, true); err != nil {
		return err
	}
	time.Sleep(held)
	return m.press(code, false)
}

// tap is how long a finger stays on a key.
const tap = 60 * time.Millisecond

// Chord presses keys together, by QEMU's names, and lets go of them.
func (m *Machine) Chord(codes ...string) error {
	for _, c := range codes {
		if err := m.press(c, true); err != nil {
			return err
		}
	}
	time.Sleep(tap)
	for _, c := range codes {
		if err := m.press(c, false); err != nil {
			return err
		}
	}
	return nil
}

func (m *Machine) press(code string, down bool) error {
	event := map[string]any{"type": "key", "data": map[string]any{"down": down, "key": map[string]any{"type": "qcode", "data": code}}}
	return m.QMP.Do(qmpLimit, "input-send-event", map[string]any{"events": []any{event}}, nil)
}
