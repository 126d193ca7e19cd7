package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

const patience = 30 * time.Second

// monitor is a fake QEMU: it greets, and gives each command the lines that answer
// returns.
func monitor(t *testing.T, greeting string, answer func(command string) []string) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	go func() {
		defer theirs.Close()
		if greeting == "" {
			return
		}
		fmt.Fprintln(theirs, greeting)
		for lines := bufio.NewScanner(theirs); lines.Scan(); {
			for _, a := range answer(lines.Text()) {
				if _, err := fmt.Fprintln(theirs, a); err != nil {
					return
				}
			}
		}
	}()
	return ours
}

const greeting = `{"QMP": {"version": {}, "capabilities": []}}`

func TestQMP(t *testing.T) {
	conn := monitor(t, greeting, func(c string) []string {
		switch {
		case strings.Contains(c, `"qmp_capabilities"`):
			return []string{`{"return": {}, "id": 1}`}
		case strings.Contains(c, `"query-status"`):
			return []string{`{"event": "DEVICE_DELETED", "data": {}}`, `{"return": {"status": "running"}, "id": 2}`}
		}
		return []string{`{"return": {}, "id": 99}`, `{"error": {"class": "GenericError", "desc": "no such device"}, "id": 3}`}
	})
	q, err := NewQMP(conn, patience)
	if err != nil {
		t.Fatal(err)
	}
	var status struct{ Status string }
	if err := q.Do(patience, "query-status", nil, &status); err != nil || status.Status != "running" {
		t.Errorf("%+v, %v", status, err)
	}
	if n := q.Events("DEVICE_DELETED"); n != 1 {
		t.Errorf("%d events", n)
	}
	if err := q.Do(patience, "device_del", map[string]any{"id": "x"}, nil); err == nil || !strings.Contains(err.Error(), "no such device") {
		t.Errorf("%v", err)
	}
}

func TestQMPFailures(t *testing.T) {
	yes := func(c string) []string {
		if strings.Contains(c, "qmp_capabilities") {
			return []string{`{"return": {}, "id": 1}`}
		}
		return nil
	}
	if _, err := NewQMP(monitor(t, "", yes), patience); !errors.Is(err, errQMPEnded) {
		t.Errorf("no greeting: %v", err)
	}
	if _, err := NewQMP(monitor(t, "no JSON", yes), patience); !errors.Is(err, errQMPEnded) {
		t.Errorf("bad greeting: %v", err)
	}
	q, err := NewQMP(monitor(t, greeting, yes), patience)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Do(10*time.Millisecond, "stop", nil, nil); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("silence: %v", err)
	}
	long := func(c string) []string {
		if a := yes(c); a != nil {
			return a
		}
		return []string{`{"event": "` + strings.Repeat("x", maxQMPLine) + `"}`}
	}
	if q, err = NewQMP(monitor(t, greeting, long), patience); err != nil {
		t.Fatal(err)
	}
	if err := q.Do(patience, "stop", nil, nil); !errors.Is(err, errQMPEnded) && !strings.Contains(err.Error(), "closed") {
		t.Errorf("endless line: %v", err)
	}
}
