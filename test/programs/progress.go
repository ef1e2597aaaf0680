package programs

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress prints one line for each program. On a terminal it updates the seconds.
type progress struct {
	w             io.Writer
	number, total int
}

// line returns the start of the line.
func (p progress) line(program Program) string {
	return fmt.Sprintf("[%d/%d] building %s %s …", p.number, p.total, program.Name, program.Version)
}

// waiting reports that another process builds the program.
func (p progress) waiting(program Program) {
	fmt.Fprintf(p.w, "[%d/%d] waiting for %s %s, which another process builds\n", p.number, p.total, program.Name, program.Version)
}

// building prints the start of the line. The returned function prints its end.
func (p progress) building(program Program) func(error) {
	start := time.Now()
	stop := make(chan struct{})
	stopped := make(chan struct{})
	fmt.Fprint(p.w, p.line(program))
	go func() {
		defer close(stopped)
		p.tick(program, start, stop)
	}()
	return func(err error) {
		close(stop)
		<-stopped
		end := "\n"
		if err != nil {
			end = " failed\n"
		}
		if isTerminal(p.w) {
			fmt.Fprintf(p.w, "\r%s", p.line(program))
		}
		fmt.Fprintf(p.w, " %.0fs%s", time.Since(start).Seconds(), end)
	}
}

// tick updates the seconds on a terminal.
func (p progress) tick(program Program, start time.Time, stop <-chan struct{}) {
	if !isTerminal(p.w) {
		<-stop
		return
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			fmt.Fprintf(p.w, "\r%s %.0fs", p.line(program), time.Since(start).Seconds())
		}
	}
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
