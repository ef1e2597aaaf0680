// Command bed builds, starts and stops the test bed.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes, which `bed --help` lists too.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitNotRunning  = 3
	exitInterrupted = 130
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newCommand(cancel).ExecuteContext(ctx)
	cancel()
	if err == nil {
		return
	}
	fmt.Fprintf(os.Stderr, "bed: %v\n", err)
	os.Exit(exitCode(err))
}

// A usageError is an error in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errNotRunning is the error when there is no bed to stop.
var errNotRunning = errors.New("no bed is running")

// exitCode returns the exit code of an error.
func exitCode(err error) int {
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, errNotRunning):
		return exitNotRunning
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	default:
		return exitFailed
	}
}
