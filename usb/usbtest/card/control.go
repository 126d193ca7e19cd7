package card

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Control lists the commands of Do.
const Control = `pull            take the card out
insert          put it back
slow 5s         each key generation takes so much longer
fault SPEC      n=3,ins=46,sw=6F00 or n=1,pull=before or pull=after, once
clear           drop faults that have not happened
full            no memory left
capacity N      N bytes of memory, not less than what is used
atr T           t0, t1, foreign, usual or hex; from the next power-up
status          what is the state of things`

// Do runs one line of the control language.
func (t *Token) Do(line string) (string, error) {
	name, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch name {
	case "pull":
		t.Pull()
	case "insert":
		t.Insert()
	case "slow":
		d, err := time.ParseDuration(arg)
		if err != nil {
			return "", err
		}
		t.SetSlow(d)
	case "fault":
		f, err := ParseFault(arg)
		if err != nil {
			return "", err
		}
		t.AddFault(f)
	case "clear":
		t.ClearFaults()
	case "full":
		return "", t.Use(func(c *Card) { c.SetCapacity(0) })
	case "capacity":
		n, err := strconv.Atoi(arg)
		if err != nil {
			return "", err
		}
		return "", t.Use(func(c *Card) { c.SetCapacity(n) })
	case "atr":
		atr, err := parseATR(arg)
		if err != nil {
			return "", err
		}
		t.SetATR(atr)
	case "status":
		return t.status(), nil
	default:
		return "", fmt.Errorf("card: unknown command %q; there are:\n%s", name, Control)
	}
	return "", nil
}

func parseATR(text string) ([]byte, error) {
	switch text {
	case "t0":
		return ATRT0, nil
	case "t1":
		return ATRT1, nil
	case "foreign":
		return ATRForeign, nil
	case "usual":
		return nil, nil
	}
	b, err := hex.DecodeString(text)
	if err != nil || len(b) < 2 || len(b) > 33 { // ISO/IEC 7816-3, 8.2.1
		return nil, fmt.Errorf("card: ATR %q", text)
	}
	return b, nil
}

func (t *Token) status() string {
	var b bytes.Buffer
	in, _ := t.Inserted()
	fmt.Fprintf(&b, "inserted=%t commands=%d", in, t.Commands())
	t.mu.Lock()
	fmt.Fprintf(&b, " faults=%d slow=%v", len(t.faults), t.slow)
	t.mu.Unlock()
	t.Use(func(c *Card) {
		fmt.Fprintf(&b, " active=%t used=%d capacity=%d", c.active, c.Used(), c.capacity)
		for ref := range c.pins {
			if pin, puk, ok := c.PINTries(ref); ok {
				fmt.Fprintf(&b, " pin%d=%d puk%d=%d", ref, pin, ref, puk)
			}
		}
	})
	return b.String()
}
