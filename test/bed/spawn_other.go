//go:build !linux

package bed

import "syscall"

// childAttributes put a child in a process group of its own. Only Linux can
// bind a child's life to its parent's.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
