package bed

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	dirPrefix = "envladder-bed-"
	pidFile   = "pid"
)

// sweep removes the folders of beds whose process was killed before it could stop them. It
// ignores folders that can't be removed.
func sweep() {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		if abandoned(dir) {
			_ = os.RemoveAll(dir)
		}
	}
}

// abandoned reports whether the process of a bed's folder has ended.
func abandoned(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, keepFile)); err == nil {
		return false
	}
	data, err := os.ReadFile(filepath.Join(dir, pidFile))
	if err != nil {
		return false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	return err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// keepFile marks a folder that is kept after its bed has stopped.
const keepFile = "keep"
