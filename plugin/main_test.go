package plugin_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/envladder/envladder/plugin/worker"
)

// TestMain makes this very binary a worker where it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == worker.Command {
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
	os.Exit(m.Run())
}
