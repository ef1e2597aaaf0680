package promote

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	shortestWait = 50 * time.Millisecond
	longestWait  = 20 * time.Second
)

// backoff waits between attempts, longer each time on average. How many promotions run at
// once isn't known; how few of them should push at the same time depends on how long an
// attempt takes, with this remote and on this machine.
type backoff struct {
	failed  int
	started time.Time
}

func newBackoff() *backoff { return &backoff{started: time.Now()} }

// wait waits for a random time, so that promotions that collided don't collide again.
func (b *backoff) wait(ctx context.Context) error {
	b.failed++
	timer := time.NewTimer(rand.N(b.longest(time.Since(b.started)))) //nolint:gosec // the order of promotions is no secret
	defer timer.Stop()
	select {
	case <-timer.C:
		b.started = time.Now()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("other pushes came first %d times: %w", b.failed, context.Cause(ctx))
	}
}

// longest returns the longest wait after an attempt that took some time: as long as that,
// then twice as long, and so on.
func (b *backoff) longest(attempt time.Duration) time.Duration {
	longest := max(attempt, shortestWait)
	for range b.failed - 1 {
		if longest >= longestWait {
			break
		}
		longest *= 2
	}
	return min(longest, longestWait)
}
