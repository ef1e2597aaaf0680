package worker

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// executable returns the path of this program, even if its file was replaced.
func executable() (string, error) { return "/proc/self/exe", nil }

// attributes returns the attributes of a worker: a separate process group, so that it doesn't
// receive signals to this one, and a signal by which the kernel kills it when this process ends.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// limitMemory limits the process's writable memory to memory bytes more than it has. Beyond
// that, allocations fail, which ends a Go program.
func limitMemory(memory int64) error {
	current, err := dataSize()
	if err != nil {
		return err
	}
	if memory < 0 {
		return fmt.Errorf("limiting memory to %d bytes: want 0 or more", memory)
	}
	limit := current + uint64(memory)
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		return fmt.Errorf("limiting memory to %d bytes: %w", limit, err)
	}
	return nil
}

// dataSize returns the memory that RLIMIT_DATA counts, in bytes.
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
