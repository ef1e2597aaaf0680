// Package workertest runs a test's binary as the workers of its pools.
package workertest

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/envladder/envladder/plugin/worker"
)

// Main implements TestMain: the binary serves requests if it was started as a worker, and runs
// its tests otherwise.
func Main(m *testing.M) {
	if len(os.Args) != 3 || os.Args[1] != worker.Command {
		os.Exit(m.Run())
	}
	memory, err := strconv.ParseInt(os.Args[2], 10, 64)
	if err == nil {
		err = worker.Work(os.Stdin, os.Stdout, memory)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
