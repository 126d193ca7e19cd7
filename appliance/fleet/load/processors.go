package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// processors is what was used of the processors up to a moment.
type processors struct {
	at   time.Time
	busy time.Duration // by all programs on the machine
	own  time.Duration // by this program and its child
}

// tick is the unit of /proc on Linux, whatever the kernel's own is (USER_HZ).
const tick = 10 * time.Millisecond

// useOf reads /proc; child is 0 while there is none.
func useOf(child int) (processors, error) {
	p := processors{at: time.Now()}
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return p, err
	}
	all := strings.Fields(strings.SplitN(string(stat), "\n", 2)[0]) // cpu user nice system idle iowait irq softirq …
	for _, i := range []int{1, 2, 3, 6, 7} {
		if p.busy, err = add(p.busy, all, i); err != nil {
			return p, err
		}
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return p, err
	}
	p.own = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	if child == 0 {
		return p, nil
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
	if err != nil {
		return p, err
	}
	_, rest, _ := strings.Cut(string(b), ") ") // behind the name; utime and stime are fields 14 and 15 in proc(5)
	for _, i := range []int{11, 12} {
		if p.own, err = add(p.own, strings.Fields(rest), i); err != nil {
			return p, err
		}
	}
	return p, nil
}

func add(d time.Duration, fields []string, i int) (time.Duration, error) {
	if i >= len(fields) {
		return d, fmt.Errorf("/proc has %d fields, want %d", len(fields), i+1)
	}
	n, err := strconv.ParseInt(fields[i], 10, 64)
	return d + time.Duration(n)*tick, err
}

// others is the share of the machine that other programs took between two moments.
func others(from, to processors) float64 {
	took := to.at.Sub(from.at) * time.Duration(runtime.NumCPU())
	return max(0, float64((to.busy-from.busy)-(to.own-from.own))/float64(took))
}
