package bed

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// ForTest starts a bed for one test. The bed stops when the test ends or panics, or when the
// run is interrupted. A failed test logs the last lines of each log.
func ForTest(tb testing.TB, parts Parts) *Bed {
	tb.Helper()
	b, err := Up(tb.Context(), Options{Parts: parts})
	if err != nil {
		tb.Fatal(err)
	}
	stop := b.downOnSignal()
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the logs end:\n%s", b.LogTails())
		}
		stop()
		if err := b.Down(); err != nil {
			tb.Error(err)
		}
	})
	return b
}

// Main starts a bed that the tests of a package share, passes it to use, runs the tests, and
// returns the exit code for os.Exit.
//
//	func TestMain(m *testing.M) {
//		os.Exit(bed.Main(m, bed.Parts{Gitea: true}, func(b *bed.Bed) { shared = b }))
//	}
func Main(m *testing.M, parts Parts, use func(*Bed)) int {
	b, err := Up(context.Background(), Options{Parts: parts})
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	defer b.Down()
	defer b.downOnSignal()()
	use(b)
	code := m.Run()
	if code != 0 {
		b.progressf("%s", b.LogTails())
	}
	return code
}

// downOnSignal stops the bed before a signal ends the process.
func (b *Bed) downOnSignal() (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case s := <-signals:
			b.Down()
			signal.Stop(signals)
			// Ends the process by the signal, as without a handler.
			signal.Reset(s)
			if number, ok := s.(syscall.Signal); ok {
				_ = syscall.Kill(os.Getpid(), number)
			}
		case <-done:
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

// LogTails returns the last lines of every process's log.
func (b *Bed) LogTails() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all strings.Builder
	for _, p := range b.processes {
		fmt.Fprintf(&all, "%s:%s\n", p.Name, p.tail())
	}
	return all.String()
}
