//go:build !linux

package worker

import (
	"os"
	"syscall"
)

func executable() (string, error) { return os.Executable() }

// attributes: the kernel kills no orphans here. A worker ends when its pipe does, which
// it sees between two requests.
func attributes() *syscall.SysProcAttr { return nil }

// limitMemory limits nothing: there is no limit that the Go runtime could be held to.
func limitMemory(int64) error { return nil }
