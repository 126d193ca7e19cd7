package desk

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Recorder writes what was on a Glass as PNG files, in order: 01-idle.png, 02-citizen.png … Of several
// pictures of one screen in a row, as when digits are typed or a button is held, the last one is kept.
type Recorder struct {
	dir string
	now func() time.Time

	mu      sync.Mutex
	last    *Shot
	seen    []Seen
	work    sync.WaitGroup
	closed  bool
	failure error
}

// Seen is one screen that was shown.
type Seen struct {
	File  string // base name
	ID    string
	Title string
	Text  string
	Since time.Time
}

// NewRecorder records g into dir, which it makes, until Close. now gives the times in Seen.
func NewRecorder(g *Glass, dir string, now func() time.Time) (*Recorder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("desk: recorder: %w", err)
	}
	r := &Recorder{dir: dir, now: now}
	g.observe(r.take)
	return r, nil
}

func (r *Recorder) take(s Shot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	if r.last == nil || face(*r.last) != face(s) {
		r.keep()
		r.seen = append(r.seen, Seen{File: fmt.Sprintf("%02d-%s.png", len(r.seen)+1, fileName(s.ID)), ID: s.ID, Since: r.now()})
	}
	now := &r.seen[len(r.seen)-1]
	now.Title, now.Text = s.Title, s.Text
	r.last = &s
}

// face tells screens apart: by what they say and offer, but not by what is being typed into them.
func face(s Shot) string {
	var b strings.Builder
	b.WriteString(s.ID + "\x00" + s.Lang + "\x00" + s.Title)
	text := s.Text
	for _, t := range s.Targets {
		b.WriteString("\x00" + t.ID)
		if strings.HasPrefix(t.ID, "key:") {
			text = ""
		}
	}
	return b.String() + "\x00" + text
}

// keep writes the picture of the screen that goes.
func (r *Recorder) keep() {
	if r.last == nil {
		return
	}
	shot, path := *r.last, filepath.Join(r.dir, r.seen[len(r.seen)-1].File)
	r.last = nil
	r.work.Go(func() {
		data, err := shot.PNG()
		if err == nil {
			err = os.WriteFile(path, data, 0o644)
		}
		if err != nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.failure == nil {
				r.failure = fmt.Errorf("desk: recorder: %w", err)
			}
		}
	})
}

// Close writes the last picture and returns everything that was seen.
func (r *Recorder) Close() ([]Seen, error) {
	r.mu.Lock()
	r.keep()
	r.closed = true
	r.mu.Unlock()
	r.work.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen, r.failure
}

// fileName keeps only what is harmless in a file's name.
func fileName(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, strings.ToLower(id))
}
