package desk

import (
	"bytes"
	"strings"
	"sync"
)

// Bounds of what is kept of the programs' output in memory. The files keep all of it.
const (
	logLines   = 400
	lineLength = 1000
)

// Line is one line a program wrote.
type Line struct {
	Seq     uint64 `json:"seq"` // counts from 1 over all programs
	Program string `json:"program"`
	Text    string `json:"text"`
}

// Log keeps the last lines of all programs in the order they came.
type Log struct {
	mu    sync.Mutex
	lines []Line
	seq   uint64
	news  *notice
}

func newLog(news *notice) *Log { return &Log{news: news} }

// Add appends one line.
func (l *Log) Add(program, text string) {
	if len(text) > lineLength {
		text = text[:lineLength] + " …"
	}
	l.mu.Lock()
	l.seq++
	l.lines = append(l.lines, Line{l.seq, program, strings.ToValidUTF8(text, "\uFFFD")})
	if len(l.lines) > logLines {
		l.lines = append(l.lines[:0], l.lines[len(l.lines)-logLines:]...)
	}
	l.mu.Unlock()
	l.news.tell()
}

// Since returns the lines kept with a number above seq.
func (l *Log) Since(seq uint64) []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, line := range l.lines {
		if line.Seq > seq {
			return append([]Line(nil), l.lines[i:]...)
		}
	}
	return nil
}

// Tail returns the last n lines of one program, or of all with program "", as text for an error message.
func (l *Log) Tail(program string, n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for i := len(l.lines) - 1; i >= 0 && len(out) < n; i-- {
		if line := l.lines[i]; program == "" || line.Program == program {
			out = append(out, line.Program+": "+line.Text)
		}
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return strings.Join(out, "\n")
}

// lineWriter cuts what is written to it into lines for the log.
type lineWriter struct {
	log     *Log
	program string
	rest    []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		i := bytes.IndexByte(w.rest, '\n')
		if i < 0 {
			break
		}
		w.log.Add(w.program, string(w.rest[:i]))
		w.rest = w.rest[i+1:]
	}
	if len(w.rest) > lineLength {
		w.flush()
	}
	return len(p), nil
}

func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.log.Add(w.program, string(w.rest))
		w.rest = nil
	}
}
