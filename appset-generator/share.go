package appset

import (
	"context"
	"sync"
	"time"

	"github.com/envladder/envladder/internal/panics"
)

// shared does a thing once for all who ask for it at the same time, and keeps the
// answer a moment for those who come just after. An error is shared, never kept.
type shared[T any] struct {
	// timeout of doing it, whoever waits.
	timeout time.Duration
	// keep is how long an answer is given again.
	keep time.Duration
	now  func() time.Time

	mu    sync.Mutex
	calls map[string]*call[T]
}

// call is one doing. Value, err and ended are set when done is closed.
type call[T any] struct {
	done  chan struct{}
	value T
	err   error
	ended time.Time
}

// do does it, or waits for who does it already. It isn't the asker's context in which
// it is done: who goes away must not spoil it for the others.
func (s *shared[T]) do(ctx context.Context, key string, do func(context.Context) (T, error)) (T, error) {
	c := s.join(ctx, key, do)
	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func (s *shared[T]) join(ctx context.Context, key string, do func(context.Context) (T, error)) *call[T] {
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
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
		defer cancel()
		c.err = panics.Catch(func() (err error) {
			c.value, err = do(ctx)
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

// drop forgets a call that failed: keys are named by who asks, and mustn't pile up.
func (s *shared[T]) drop(key string, c *call[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[key] == c {
		delete(s.calls, key)
	}
}

// usable says whether the call goes on still, or ended well a moment ago.
func (s *shared[T]) usable(c *call[T]) bool {
	select {
	case <-c.done:
		return c.err == nil && s.now().Before(c.ended.Add(s.keep))
	default:
		return true
	}
}
