package worker

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// executable is this very program, even where its file was replaced meanwhile.
func executable() (string, error) { return "/proc/self/exe", nil }

// attributes give a worker a process group of its own, so that a signal to ours isn't
// one to it, and have the kernel kill it when this process dies in whatever way.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// limitMemory lets the process have memory bytes of writable memory more than it has.
// The kernel refuses what is beyond, and Go ends a program that is refused memory.
func limitMemory(memory int64) error {
	has, err := dataSize()
	if err != nil {
		return err
	}
	if memory < 0 {
		return fmt.Errorf("limiting memory to %d bytes: want 0 or more", memory)
	}
	limit := has + uint64(memory)
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		return fmt.Errorf("limiting memory to %d bytes: %w", limit, err)
	}
	return nil
}

// dataSize is what RLIMIT_DATA counts, in bytes.
func dataSize() (uint64, error) {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("reading the size of the process: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		if size, ok := strings.CutPrefix(line, "VmData:"); ok {
			kib, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(size), "kB")), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("reading the size of the process: %w", err)
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("reading the size of the process: /proc/self/status has no VmData")
}
