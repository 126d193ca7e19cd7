package module

import (
	"bufio"
	"fmt"
	"os"
	"testing"
)

// search counts the places in a process's memory that hold the pattern that
// TestPINNotInMemory makes from c, without making it itself.
func search(tb testing.TB, pid int, c byte) (hits int) {
	tb.Helper()
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		tb.Skipf("SKIPPED: %v", err)
	}
	defer maps.Close()
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		tb.Skipf("SKIPPED: %v", err)
	}
	defer mem.Close()
	const size = 64 << 10
	buf := make([]byte, size+16)
	defer clear(buf)
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); err != nil || mode[:2] != "rw" {
			continue
		}
		for ; from < to; from += size {
			clear(buf)
			n, _ := mem.ReadAt(buf[:min(int64(len(buf)), to-from)], from)
			for i := 0; i+16 <= n; i++ {
				if b := buf[i : i+16]; b[0] == c && b[1] == c^3 && b[2] == c^5 && b[3] == c^9 && b[4] == c && b[9] == c^3 && b[15] == c^9 {
					hits++
				}
			}
		}
	}
	return hits
}
