package singleflight

import (
	"context"
	"sync"
	"time"

	"github.com/envladder/envladder/internal/panics"
)

// Group has the work that is in progress, by key. Its zero value is ready for use. It is
// safe for concurrent use.
type Group[V any] struct {
	mu    sync.Mutex
	calls map[string]*call[V]
}

// call is work in progress.
type call[V any] struct {
	// timeout of the work, zero for none.
	timeout time.Duration
	// waiting counts the callers, guarded by Group.mu.
	waiting int
	cancel  context.CancelFunc

	done   chan struct{}
	result V
	err    error
}

// Do returns the result of work, which it runs unless equal work is in progress; then it
// waits for that. Callers share the result, so no one may change it. The work's context has
// the deadline of the caller that started it, and ends when no caller waits. Do returns
// early with ctx's error.
func (g *Group[V]) Do(ctx context.Context, key string, work func(context.Context) (V, error)) (V, error) {
	c := g.join(ctx, key, work)
	select {
	case <-c.done:
		return c.result, c.err
	case <-ctx.Done():
		g.leave(key, c)
		var none V
		return none, ctx.Err()
	}
}

// join joins the call in progress, or starts one. It doesn't join a call with much less time
// than this caller has: that may fail where this caller's wouldn't.
func (g *Group[V]) join(ctx context.Context, key string, work func(context.Context) (V, error)) *call[V] {
	timeout := timeLeft(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	if known := g.calls[key]; known != nil && (known.timeout == 0 || (timeout != 0 && known.timeout >= timeout/2)) {
		known.waiting++
		return known
	}
	working, cancel := context.WithCancel(context.WithoutCancel(ctx)) //nolint:gosec // run and leave call it
	if timeout != 0 {
		working, cancel = context.WithTimeout(context.WithoutCancel(ctx), timeout) //nolint:gosec // run and leave call it
	}
	started := &call[V]{timeout: timeout, waiting: 1, cancel: cancel, done: make(chan struct{})}
	if g.calls == nil {
		g.calls = map[string]*call[V]{}
	}
	g.calls[key] = started
	go g.run(working, key, started, work)
	return started
}

// run runs the work of a call, and removes the call.
func (g *Group[V]) run(ctx context.Context, key string, c *call[V], work func(context.Context) (V, error)) {
	defer c.cancel()
	c.err = panics.Catch(func() (err error) {
		c.result, err = work(ctx)
		return err
	})
	g.mu.Lock()
	g.remove(key, c)
	g.mu.Unlock()
	close(c.done)
}

// leave removes a caller from a call, and cancels the call if it was the last.
func (g *Group[V]) leave(key string, c *call[V]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.waiting--
	if c.waiting == 0 {
		g.remove(key, c) // before another caller can join the canceled call
		c.cancel()
	}
}

// remove removes a call. g.mu must be held.
func (g *Group[V]) remove(key string, c *call[V]) {
	if g.calls[key] == c {
		delete(g.calls, key)
	}
}

// timeLeft returns the time until ctx's deadline, zero where it has none.
func timeLeft(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(time.Until(deadline), 1)
}
