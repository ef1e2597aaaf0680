package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"
)

// turns bounds how many requests are in work at once: each holds a repository in
// memory, and then what its chart renders to.
type turns struct {
	free *semaphore.Weighted
	most int
}

func newTurns(most int) turns {
	return turns{free: semaphore.NewWeighted(int64(most)), most: most}
}

// errNoTurn is of a request whose turn didn't come in time.
var errNoTurn = errors.New("too many requests at once")

// take waits for a turn, at most for nine tenths of the time that ctx leaves: in the
// rest the error must still get to whoever asked. A nil error wants a call of give.
func (t turns) take(ctx context.Context) error {
	waiting := ctx
	start := time.Now()
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		waiting, cancel = context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/10))
		defer cancel()
	}
	if err := t.free.Acquire(waiting, 1); err == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return fmt.Errorf("%w: %d are in work (--max-requests), and in %v none of them ended: raise that limit with the memory's, or run more repo-servers",
		errNoTurn, t.most, time.Since(start).Round(time.Millisecond))
}

func (t turns) give() { t.free.Release(1) }
