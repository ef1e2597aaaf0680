package bed

import "syscall"

// childAttributes returns attributes that put a child in its own process group and make the
// kernel kill it when this process ends, however it ends.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
