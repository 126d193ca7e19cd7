package card

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// seeded is repeatable randomness.
func seeded() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{1}) }

func blank() *Card { return New(Options{Serial: [10]byte{9: 1}, Rand: seeded()}) }

func initialised(tb testing.TB) *Card {
	tb.Helper()
	c := blank()
	if err := c.Initialise(Profile{Label: "Citizen"}); err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			converse(t, nil, string(b))
		})
	}
}

// converse plays a transcript; on the first wrong answer it shows what went
// before since the last comment.
func converse(t *testing.T, c *Card, text string) {
	t.Helper()
	var answer []byte
	var shown strings.Builder
	for n, line := range strings.Split(strings.TrimSpace(text), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			shown.Reset()
		}
		fmt.Fprintln(&shown, line)
		kind, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "card blank":
			c = blank()
		case line == "card initialised":
			c = initialised(t)
		case line == "reset":
			c.Reset()
		case kind == ">":
			answer = c.Transmit(unhex(t, rest))
		case kind == "<":
			if !matches(answer, strings.ReplaceAll(rest, " ", "")) {
				t.Fatalf("line %d: answer %X\n%s", n+1, answer, shown.String())
			}
		case kind != "#" && line != "":
			t.Fatalf("line %d: %q", n+1, line)
		}
	}
}

func matches(answer []byte, want string) bool {
	got := fmt.Sprintf("%X", answer)
	head, tail, any := strings.Cut(want, "*")
	return got == want || any && len(got) >= len(head)+len(tail) && strings.HasPrefix(got, head) && strings.HasSuffix(got, tail)
}

func unhex(tb testing.TB, text string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		tb.Fatalf("%q: %v", text, err)
	}
	return b
}
