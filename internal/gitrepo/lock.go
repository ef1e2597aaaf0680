package gitrepo

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// lock waits until there is no other quarantine in this clone, of this process or another.
// Those that exist then belong to killed processes. The lock ends with its process.
func (r *Repository) lock(ctx context.Context) (unlock func(), err error) {
	mutex := lockedfile.MutexAt(filepath.Join(r.common, "envladder.lock"))
	type locked struct {
		unlock func()
		err    error
	}
	done := make(chan locked, 1)
	go func() {
		unlock, err := mutex.Lock()
		done <- locked{unlock, err}
	}()
	select {
	case l := <-done:
		if l.err != nil {
			return nil, fmt.Errorf("locking the repository: %w", l.err)
		}
		return l.unlock, nil
	case <-ctx.Done():
		go func() { // released when it is acquired too late
			if l := <-done; l.err == nil {
				l.unlock()
			}
		}()
		return nil, fmt.Errorf("waiting for another promotion in this clone: %w", context.Cause(ctx))
	}
}
