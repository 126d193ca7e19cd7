package desk

import (
	"crypto/sha256"
	"fmt"

	"mohr.internal/usb/usbtest/card"
)

// Card is a virtual MyEID token in a state file: what QEMU's reader or a PC/SC daemon can be given.
type Card struct {
	State string // path of the file, see package usb/usbtest/card
	Label string
	PIN   string
}

// make writes the state file of an initialised card; issue, if not nil, gives it a key and a certificate.
func (c Card) make(owner string, issue func(spki []byte) ([]byte, error)) error {
	number := sha256.Sum256([]byte(c.Label)) // every card of a place has its own
	made := card.New(card.Options{Serial: [10]byte(number[:10])})
	if err := made.Initialise(card.Profile{Label: c.Label, PIN: c.PIN}); err != nil {
		return fmt.Errorf("desk: %w", err)
	}
	if issue != nil {
		if _, err := made.Issue(c.PIN, owner, issue); err != nil {
			return fmt.Errorf("desk: card %s: %w", c.Label, err)
		}
	}
	if err := made.Save(c.State); err != nil {
		return fmt.Errorf("desk: card %s: %w", c.Label, err)
	}
	return nil
}
