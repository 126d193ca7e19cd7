package profile

import (
	"fmt"
	"io"
)

// Draw picks n different security features of a document at random, each set
// with the same chance. It fails if rand fails: a fixed choice would be worse
// than none.
func (d Document) Draw(rand io.Reader, n int) ([]Feature, error) {
	if n < 0 || n > len(d.Features) {
		return nil, fmt.Errorf("profile: document %s: %d of %d features", d.ID, n, len(d.Features))
	}
	left := append([]Feature(nil), d.Features...)
	for i := range n {
		j, err := below(rand, len(left)-i)
		if err != nil {
			return nil, fmt.Errorf("profile: document %s: draw features: %w", d.ID, err)
		}
		left[i], left[i+j] = left[i+j], left[i]
	}
	return left[:n], nil
}

// below returns an even draw from 0..n-1, n at most 256, by throwing away
// bytes beyond the last multiple of n.
func below(rand io.Reader, n int) (int, error) {
	var b [1]byte
	for range 1000 {
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			return 0, err
		}
		if limit := 256 - 256%n; int(b[0]) < limit {
			return int(b[0]) % n, nil
		}
	}
	return 0, fmt.Errorf("random source repeats itself")
}
