package plugin

import (
	"context"
	"sync"
	"time"

	"github.com/envladder/envladder/internal/panics"
)

// flights are renders in work, by key: equal requests wait for one. Unlike with
// x/sync/singleflight a render goes on as long as anyone waits for it, whoever asked
// first, and ends when nobody does.
type flights struct {
	mu    sync.Mutex
	byKey map[string]*flight
}

type flight struct {
	// time that it has, zero for no bound.
	time time.Duration
	// waiting is how many wait, guarded by flights.mu.
	waiting int
	cancel  context.CancelFunc

	done   chan struct{}
	result documents
	err    error
}

type work func(context.Context) (documents, error)

func (f *flights) do(ctx context.Context, key string, do work) (documents, error) {
	joined := f.join(ctx, key, do)
	select {
	case <-joined.done:
		return joined.result, joined.err
	case <-ctx.Done():
		f.leave(key, joined)
		return nil, ctx.Err()
	}
}

// join joins a render that is in work, or begins one. One that has much less time than
// this caller isn't joined: it may fail where this caller's wouldn't.
func (f *flights) join(ctx context.Context, key string, do work) *flight {
	mine := timeOf(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	if known := f.byKey[key]; known != nil && (known.time == 0 || mine != 0 && known.time >= mine/2) {
		known.waiting++
		return known
	}
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	if mine != 0 {
		working, cancel = context.WithTimeout(context.WithoutCancel(ctx), mine)
	}
	begun := &flight{time: mine, waiting: 1, cancel: cancel, done: make(chan struct{})}
	if f.byKey == nil {
		f.byKey = map[string]*flight{}
	}
	f.byKey[key] = begun
	go f.fly(working, key, begun, do)
	return begun
}

func (f *flights) fly(ctx context.Context, key string, begun *flight, do work) {
	defer begun.cancel()
	begun.err = panics.Catch(func() (err error) {
		begun.result, err = do(ctx)
		return err
	})
	f.mu.Lock()
	f.remove(key, begun)
	f.mu.Unlock()
	close(begun.done)
}

func (f *flights) leave(key string, left *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	left.waiting--
	if left.waiting == 0 {
		f.remove(key, left) // before anyone can join what is canceled
		left.cancel()
	}
}

// remove must be called with f.mu held.
func (f *flights) remove(key string, gone *flight) {
	if f.byKey[key] == gone {
		delete(f.byKey, key)
	}
}

// timeOf is how much time ctx leaves, zero where it has no deadline.
func timeOf(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(time.Until(deadline), 1)
}
