package config

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// maxOffset bounds a clock shift to a hundred years either way.
const maxOffset = 100 * 366 * 24 * 60 * 60

// ReadOffset returns the shift in a clock file: one decimal number of seconds,
// with a sign if negative, and at most one newline. The program that shifts the
// date replaces the file by rename, so a reader never sees half a number.
func ReadOffset(path string) (time.Duration, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("config: clock: %w", err)
	}
	defer f.Close()
	var buf [32]byte
	n, _ := f.Read(buf[:]) // nothing read is an empty, hence bad, number
	return parseOffset(string(buf[:n]))
}

func parseOffset(s string) (time.Duration, error) {
	n, err := strconv.ParseInt(strings.TrimSuffix(s, "\n"), 10, 64)
	if err != nil || n < -maxOffset || n > maxOffset {
		return 0, fmt.Errorf("config: clock: %q is not a number of seconds up to %d", s, maxOffset)
	}
	return time.Duration(n) * time.Second, nil
}
