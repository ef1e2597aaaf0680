package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"
)

// limiter bounds how many requests are in progress at once: each holds a repository in
// memory, and then what its chart renders to.
type limiter struct {
	free  *semaphore.Weighted
	limit int
}

func newLimiter(limit int) limiter {
	return limiter{free: semaphore.NewWeighted(int64(limit)), limit: limit}
}

// errLimit is the error of a request that waited too long.
var errLimit = errors.New("too many requests at once")

// acquire waits until the request may proceed, for at most nine tenths of the time until
// ctx's deadline, so that the error still reaches the caller. If it returns nil the caller
// must call release.
func (l limiter) acquire(ctx context.Context) error {
	waiting := ctx
	start := time.Now()
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		waiting, cancel = context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/10))
		defer cancel()
	}
	if err := l.free.Acquire(waiting, 1); err == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return fmt.Errorf("%w: %d are in progress (--max-requests), and none finished within %v: raise that limit together with the memory limit, or run more repo-servers",
		errLimit, l.limit, time.Since(start).Round(time.Millisecond))
}

// release lets the next request proceed.
func (l limiter) release() { l.free.Release(1) }
