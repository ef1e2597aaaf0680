package appset

import (
	"context"
	"sync"
	"time"

	"github.com/envladder/envladder/internal/panics"
)

// singleflight runs a function once for concurrent callers with the same key, and caches
// its result for a moment. Unlike x/sync's, a call isn't canceled with the caller's context,
// and results are typed. Errors are shared but never cached.
type singleflight[T any] struct {
	// timeout of a call.
	timeout time.Duration
	// withTimeout ends the context of a call; nil is context.WithTimeout.
	withTimeout func(context.Context, time.Duration) (context.Context, context.CancelFunc)
	// ttl is how long a result is cached.
	ttl time.Duration
	now func() time.Time

	mu    sync.Mutex
	calls map[string]*call[T]
}

// call is one run of the function. value, err and ended are set when done is closed.
type call[T any] struct {
	done  chan struct{}
	value T
	err   error
	ended time.Time
}

// do runs a function, or waits for the call that runs it already. The function doesn't get
// the caller's cancellation: a caller that goes away must not fail the others.
func (s *singleflight[T]) do(ctx context.Context, key string, run func(context.Context) (T, error)) (T, error) {
	c := s.join(ctx, key, run)
	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func (s *singleflight[T]) join(ctx context.Context, key string, run func(context.Context) (T, error)) *call[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.calls[key]; ok && s.usable(c) {
		return c
	}
	c := &call[T]{done: make(chan struct{})}
	if s.calls == nil {
		s.calls = map[string]*call[T]{}
	}
	s.calls[key] = c
	withTimeout := s.withTimeout
	if withTimeout == nil {
		withTimeout = context.WithTimeout
	}
	go func() {
		ctx, cancel := withTimeout(context.WithoutCancel(ctx), s.timeout)
		defer cancel()
		c.err = panics.Catch(func() (err error) {
			c.value, err = run(ctx)
			return err
		})
		c.ended = s.now()
		close(c.done)
		if c.err != nil {
			s.drop(key, c)
		}
	}()
	return c
}

// drop removes a call that failed: clients choose the keys, which must not accumulate.
func (s *singleflight[T]) drop(key string, c *call[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[key] == c {
		delete(s.calls, key)
	}
}

// usable reports whether the call is running, or succeeded within the ttl.
func (s *singleflight[T]) usable(c *call[T]) bool {
	select {
	case <-c.done:
		return c.err == nil && s.now().Before(c.ended.Add(s.ttl))
	default:
		return true
	}
}
