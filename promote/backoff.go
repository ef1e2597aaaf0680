package promote

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Bounds of the waiting between attempts.
const (
	shortestWait = 50 * time.Millisecond
	longestWait  = 20 * time.Second
)

// backoff waits between attempts, each time longer on average. How many come at once isn't
// known; that few of them push at the same time depends on how long an attempt takes, with
// this remote and on this machine.
type backoff struct {
	failed int
	began  time.Time
}

func newBackoff() *backoff { return &backoff{began: time.Now()} }

// wait waits for a random time, so that those who collided once don't collide again.
func (b *backoff) wait(ctx context.Context) error {
	b.failed++
	timer := time.NewTimer(rand.N(b.longest(time.Since(b.began)))) //nolint:gosec // who comes next is no secret
	defer timer.Stop()
	select {
	case <-timer.C:
		b.began = time.Now()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("other pushes came first %d times: %w", b.failed, context.Cause(ctx))
	}
}

// longest returns how long to wait at most after an attempt that took so long: once as
// long as that, then twice, and so on.
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
