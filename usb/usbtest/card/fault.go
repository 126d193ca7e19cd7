package card

import (
	"fmt"
	"strconv"
	"strings"
)

// Fault is something that happens once, at the n-th command after it was set,
// or the n-th with one instruction. Instruction bytes that the dispatcher does
// not know count as well.
type Fault struct {
	N           int   // 1 is the next
	Instruction *byte // nil: any

	Status     Status // answered in place of executing, if not 0
	PullBefore bool   // the card is pulled before the command is executed
	PullAfter  bool   // it is pulled when the command is executed and not answered
}

// ParseFault reads "n=3,ins=46,sw=6F00" or "n=1,pull=before" or "pull=after";
// n is 1 if absent.
func ParseFault(text string) (Fault, error) {
	f := Fault{N: 1}
	actions := 0
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		var err error
		switch name {
		case "n":
			if f.N, err = strconv.Atoi(value); err == nil && f.N < 1 {
				err = strconv.ErrRange
			}
		case "ins":
			var n uint64
			n, err = strconv.ParseUint(value, 16, 8)
			ins := byte(n)
			f.Instruction = &ins
		case "sw":
			var n uint64
			if n, err = strconv.ParseUint(value, 16, 16); err == nil && n>>12 != 6 && n>>12 != 9 {
				err = strconv.ErrRange
			}
			f.Status = Status(n)
			actions++
		case "pull":
			f.PullBefore, f.PullAfter = value == "before", value == "after"
			if !f.PullBefore && !f.PullAfter {
				err = strconv.ErrSyntax
			}
			actions++
		default:
			err = strconv.ErrSyntax
		}
		if err != nil {
			return Fault{}, fmt.Errorf("card: fault %q: %s: %w", text, part, err)
		}
	}
	if actions != 1 {
		return Fault{}, fmt.Errorf("card: fault %q: want one of sw and pull", text)
	}
	return f, nil
}

// due counts a command down and says whether the fault happens now.
func (f *Fault) due(instruction byte) bool {
	if f.Instruction != nil && *f.Instruction != instruction {
		return false
	}
	f.N--
	return f.N == 0
}
