package programs

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lock prevents two processes from building the same program. It calls waiting once if another
// process has the lock. The kernel releases the lock of a killed process.
func lock(ctx context.Context, path string, waiting func()) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking: %w", err)
	}
	for reported := false; ; reported = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if err != syscall.EWOULDBLOCK {
			f.Close()
			return nil, fmt.Errorf("locking %q: %w", path, err)
		}
		if !reported {
			waiting()
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("waiting for %q: %w", path, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}
