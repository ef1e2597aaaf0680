package harness

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage measures a process and its descendants.
type Usage struct {
	root   int
	before time.Duration
	peak   int64
	end    chan struct{}
	done   chan struct{}
}

// Watch starts to measure a process. For 0, this process, nothing is measured.
func Watch(root int) *Usage {
	u := &Usage{root: root, end: make(chan struct{}), done: make(chan struct{})}
	if root == 0 {
		close(u.done)
		return u
	}
	u.before, _ = tree(root)
	go func() {
		defer close(u.done)
		for {
			select {
			case <-u.end:
				return
			case <-time.After(20 * time.Millisecond):
				_, memory := tree(root)
				u.peak = max(u.peak, memory)
			}
		}
	}()
	return u
}

// Stop returns the processor time since Watch and the peak memory in bytes, or zero for this
// process itself.
func (u *Usage) Stop() (time.Duration, int64) {
	close(u.end)
	<-u.done
	if u.root == 0 {
		return 0, 0
	}
	now, _ := tree(u.root)
	return max(0, now-u.before), u.peak
}

// stat is an entry of /proc (see proc_pid_stat(5)).
type stat struct {
	parent int
	cpu    time.Duration
	memory int64
}

// tree returns the processor time and memory of a process and its descendants. The processor
// time includes that of children that have ended and were waited for.
func tree(root int) (cpu time.Duration, memory int64) {
	all := map[int]stat{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		id, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if p, ok := readStat(file); ok {
			all[id] = p
		}
	}
	for id, p := range all {
		for at := id; at > 1; at = all[at].parent {
			if at == root {
				cpu += p.cpu
				memory += p.memory
				break
			}
		}
	}
	return cpu, memory
}

// ticks is the number of clock ticks a second in /proc. It is the same on all Linux platforms
// that Go supports.
const ticks = 100

// readStat parses a stat file.
func readStat(file string) (stat, bool) {
	data, err := os.ReadFile(file)
	if err != nil {
		return stat{}, false
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 22 {
		return stat{}, false
	}
	number := func(i int) int64 { n, _ := strconv.ParseInt(fields[i-3], 10, 64); return n }
	spent := number(14) + number(15) + number(16) + number(17)
	return stat{
		parent: int(number(4)),
		cpu:    time.Duration(spent) * time.Second / ticks,
		memory: number(24) * int64(os.Getpagesize()),
	}, true
}

// Memory returns the current memory of a process and its descendants, in bytes.
func Memory(pid int) int64 {
	_, memory := tree(pid)
	return memory
}
