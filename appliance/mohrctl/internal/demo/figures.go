package demo

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
)

var ended = regexp.MustCompile(`msg="ceremony ended" .*total=(\S+) waited=(\S+) token=(\S+) own=(\S+)`)

// ceremonyFigures takes from kioskd's own log how its first ceremony spent its
// time, and what drawing a screen cost.
func (r *report) ceremonyFigures(log string) error {
	f, err := os.Open(log)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	var drawn, stored sum
	for lines.Scan() {
		line := lines.Text()
		if err := errors.Join(drawn.add(line, "render_us="), stored.add(line, "store_us=")); err != nil {
			return err
		}
		m := ended.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		var times [4]time.Duration
		for i, s := range m[1:] {
			if times[i], err = time.ParseDuration(s); err != nil {
				return fmt.Errorf("demo: log line %q: %w", line, err)
			}
		}
		r.figure("token_time_s", "%.2f", times[2].Seconds())
		r.figure("people_and_network_time_s", "%.2f", times[1].Seconds())
		r.figure("kiosk_own_time_ms", "%.0f", float64(times[3].Microseconds())/1000)
		r.figure("of_it_drawing_ms", "%v screens", drawn)
		r.figure("of_it_storing_ms", "%v records, each on two copies", stored)
		return nil
	}
	return fmt.Errorf("demo: no end of a ceremony in %s: %w", log, lines.Err())
}

// sum adds up one kind of time in the log.
type sum struct {
	n    int
	time time.Duration
}

func (s *sum) add(line, key string) error {
	_, us, ok := strings.Cut(line, key)
	if !ok {
		return nil
	}
	d, err := time.ParseDuration(us + "us")
	if err != nil {
		return fmt.Errorf("demo: log line %q: %w", line, err)
	}
	s.n++
	s.time += d
	return nil
}

func (s sum) String() string {
	return fmt.Sprintf("%.0f in %d", float64(s.time.Microseconds())/1000, s.n)
}
