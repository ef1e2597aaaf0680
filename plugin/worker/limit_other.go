//go:build !linux

package worker

import (
	"os"
	"syscall"
)

func executable() (string, error) { return os.Executable() }

// attributes returns nothing: this kernel kills no orphans. A worker ends when its pipe closes,
// which it notices between two requests.
func attributes() *syscall.SysProcAttr { return nil }

// limitMemory does nothing: these systems have no limit that works with the Go runtime.
func limitMemory(int64) error { return nil }
