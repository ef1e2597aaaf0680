package programs

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// progress prints one line for each build while someone waits for it. On a terminal it updates
// the line every second.
type progress struct {
	w        io.Writer
	terminal bool

	mu       sync.Mutex
	watchers int
	stopTick func()

	// total and number count the builds that take time, number the ones that were begun.
	total, number int
	// left, done and took are sums of seconds: the usual ones of waiting and of finished
	// builds, and the actual ones of finished builds.
	left, done, took float64
	begun            time.Time

	current  *Job
	since    time.Time
	printed  bool
	borrowed bool // another process builds the program
}

func newProgress(w io.Writer) *progress { return &progress{w: w, terminal: IsTerminal(w)} }

// add counts a job.
func (p *progress) add(job Job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if job.Seconds > 0 {
		p.total++
		p.left += job.Seconds
	}
}

// begin starts the line of a job.
func (p *progress) begin(job Job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if job.Seconds == 0 {
		return
	}
	p.number++
	p.left -= job.Seconds
	p.current, p.since, p.printed, p.borrowed = &job, time.Now(), false, false
	if p.begun.IsZero() {
		p.begun = p.since
	}
	p.start()
}

// waiting reports that another process builds the current program.
func (p *progress) waiting() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.borrowed = true
	if p.printed && !p.terminal {
		fmt.Fprint(p.w, byAnother)
	}
}

// byAnother is appended to the line of a program that another process builds.
const byAnother = " (by another process)"

// start prints the start of the line if someone waits.
func (p *progress) start() {
	if p.current == nil || p.watchers == 0 || p.printed {
		return
	}
	p.printed = true
	fmt.Fprint(p.w, p.line())
}

// line returns the start of the line.
func (p *progress) line() string {
	line := fmt.Sprintf("[%d/%d] building %s …", p.number, p.total, label(*p.current))
	if p.borrowed {
		line += byAnother
	}
	return line
}

// label returns a job's name and version.
func label(job Job) string {
	if job.Version == "" {
		return job.Name
	}
	return job.Name + " " + job.Version
}

// end ends the line of the current job.
func (p *progress) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil {
		return
	}
	took := time.Since(p.since)
	// A build that finds most of its packages in Go's cache says nothing about the machine.
	if took.Seconds() > p.current.Seconds/4 {
		p.done += p.current.Seconds
		p.took += took.Seconds()
	}
	if p.printed {
		text := fmt.Sprintf(" %.0fs", took.Seconds())
		switch {
		case err != nil:
			text += " failed"
		case p.number < p.total:
			text += p.times(0, 0)
		}
		p.finishLine(text)
	}
	p.current = nil
}

// finishLine ends a line, which on a terminal has been updated.
func (p *progress) finishLine(text string) {
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s%s\n", p.line(), text)
		return
	}
	fmt.Fprintln(p.w, text)
}

// times returns the elapsed time and an estimate of the remaining time.
func (p *progress) times(current float64, ran time.Duration) string {
	left := estimate(p.done, p.took, p.left, current, ran)
	return fmt.Sprintf(" (%s elapsed, about %s left)", rounded(time.Since(p.begun)), rounded(left))
}

// rounded rounds a duration to what a reader needs.
func rounded(d time.Duration) time.Duration {
	if d < time.Minute {
		return d.Round(time.Second)
	}
	return d.Round(10 * time.Second)
}

// watch prints progress until the returned function is called.
func (p *progress) watch() (stop func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watchers++
	p.start()
	if p.watchers == 1 && p.terminal {
		p.stopTick = p.tick()
	}
	return p.unwatch
}

// unwatch ends the printing. The current build goes on.
func (p *progress) unwatch() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watchers--
	if p.watchers > 0 {
		return
	}
	if p.stopTick != nil {
		p.stopTick()
		p.stopTick = nil
	}
	if p.current != nil && p.printed {
		p.finishLine(" still building")
		p.printed = false
	}
}

// tick updates the line every second.
func (p *progress) tick() (stop func()) {
	ticker := time.NewTicker(time.Second)
	done := make(chan struct{})
	go func() {
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				p.update()
			}
		}
	}()
	return func() { close(done) }
}

// update prints the line again with the times so far.
func (p *progress) update() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil || !p.printed {
		return
	}
	ran := time.Since(p.since)
	fmt.Fprintf(p.w, "\r\x1b[K%s %.0fs%s", p.line(), ran.Seconds(), p.times(p.current.Seconds, ran))
}

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
