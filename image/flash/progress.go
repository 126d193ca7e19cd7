package main

import (
	"fmt"
	"io"
	"time"
)

// progress says how far a long step is: at a terminal in one line that changes, else
// in a line for each tenth.
type progress struct {
	out      io.Writer
	terminal bool
	now      func() time.Time

	what        string // "" between two steps
	done, total int64
	began, last time.Time
	tenth       int64
}

func (p *progress) begin(what string, total int64) {
	now := p.now()
	p.what, p.done, p.total, p.began, p.last, p.tenth = what, 0, max(total, 1), now, now, 0
}

func (p *progress) add(n int64) {
	p.done = min(p.done+n, p.total)
	now, tenth := p.now(), p.done*10/p.total
	if p.terminal && now.Sub(p.last) >= 200*time.Millisecond {
		p.last = now
		fmt.Fprintf(p.out, "\r\x1b[K%s", p.line(now))
	}
	if !p.terminal && tenth > p.tenth {
		p.tenth = tenth
		fmt.Fprintln(p.out, p.line(now))
	}
}

// end closes the step, if one is open.
func (p *progress) end() {
	if p.what != "" && p.terminal {
		fmt.Fprintf(p.out, "\r\x1b[K%s\n", p.line(p.now()))
	}
	p.what = ""
}

func (p *progress) line(now time.Time) string {
	spent := now.Sub(p.began)
	s := fmt.Sprintf("%-22s %5d of %d MiB  %3d %%", p.what, p.done>>20, p.total>>20, p.done*100/p.total)
	if spent < time.Second || p.done == 0 {
		return s // too early to tell a speed
	}
	speed := float64(p.done) / spent.Seconds()
	s += fmt.Sprintf("  %.1f MB/s", speed/1e6)
	if p.done < p.total {
		left := time.Duration(float64(p.total-p.done) / speed * float64(time.Second)).Round(time.Second)
		s += fmt.Sprintf("  %d:%02d left", int(left.Minutes()), int(left.Seconds())%60)
	}
	return s
}
