//go:build !linux

package bed

import "syscall"

// childAttributes returns attributes that put a child in its own process group. Only Linux can
// end a child together with its parent.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
