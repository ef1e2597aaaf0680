package bed

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// A Report has the times and the memory of a bed.
type Report struct {
	// Seconds is the time that the parts took to start, without building programs.
	Seconds float64 `json:"seconds"`
	// MemoryMiB is the resident memory of all processes of the bed.
	MemoryMiB float64         `json:"memoryMiB"`
	Parts     []PartReport    `json:"parts"`
	Processes []ProcessReport `json:"processes"`
}

// A PartReport has the start time of one part: a cluster, Argo CD, Gitea.
type PartReport struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// A ProcessReport has the figures of one process.
type ProcessReport struct {
	Name      string  `json:"name"`
	PID       int     `json:"pid"`
	Seconds   float64 `json:"seconds"`
	MemoryMiB float64 `json:"memoryMiB"`
	Log       string  `json:"log"`
}

// Report returns the figures of the bed. Memory is measured now, and only on Linux.
func (b *Bed) Report() Report {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := Report{Seconds: seconds(b.took), Parts: append([]PartReport{}, b.parts...), Processes: []ProcessReport{}}
	for _, p := range b.processes {
		p.mu.Lock()
		started := p.started
		p.mu.Unlock()
		memory := resident(p.PID())
		r.MemoryMiB += memory
		r.Processes = append(r.Processes, ProcessReport{
			Name: p.Name, PID: p.PID(), Seconds: seconds(started), MemoryMiB: memory, Log: p.Log,
		})
	}
	return r
}

// part records and reports how long a part took to start.
func (b *Bed) part(name string, begin time.Time) {
	took := time.Since(begin)
	b.mu.Lock()
	b.parts = append(b.parts, PartReport{Name: name, Seconds: seconds(took)})
	b.mu.Unlock()
	b.progressf("%s is up (%.1fs)", name, took.Seconds())
}

// seconds returns a duration in seconds, rounded to hundredths.
func seconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Millisecond)) / float64(time.Second)
}

// resident returns the resident memory of a process in MiB, 0 if unknown.
func resident(pid int) float64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		value, ok := strings.CutPrefix(lines.Text(), "VmRSS:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		if err != nil {
			return 0
		}
		return float64(int(kib / 1024))
	}
	return 0
}
