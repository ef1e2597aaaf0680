package singleflight

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// blockedWork is work that ends when end is closed, or with its context.
type blockedWork struct {
	begun atomic.Int32
	end   chan struct{}
	ended chan error
}

func newBlockedWork() *blockedWork {
	return &blockedWork{end: make(chan struct{}), ended: make(chan error, 10)}
}

func (h *blockedWork) do(ctx context.Context) ([]string, error) {
	h.begun.Add(1)
	select {
	case <-h.end:
		h.ended <- nil
		return []string{"done"}, nil
	case <-ctx.Done():
		h.ended <- ctx.Err()
		return nil, ctx.Err()
	}
}

// waiters returns how many callers wait for key.
func (g *Group[V]) waiters(key string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if known := g.calls[key]; known != nil {
		return known.waiting
	}
	return 0
}

func TestGroupRunsEqualWorkOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[[]string]
		blocked := newBlockedWork()
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				got, err := g.Do(t.Context(), "k", blocked.do)
				if err != nil || len(got) != 1 {
					t.Errorf("%v, %v", got, err)
				}
			})
		}
		synctest.Wait()
		if waiting := g.waiters("k"); waiting != 10 {
			t.Errorf("%d callers wait, want 10", waiting)
		}
		close(blocked.end)
		group.Wait()
		if begun := blocked.begun.Load(); begun != 1 {
			t.Errorf("the work ran %d times", begun)
		}
		if g.waiters("k") != 0 {
			t.Error("the call is still known")
		}
	})
}

func TestGroupCancelsWorkWhenLastCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[[]string]
		blocked := newBlockedWork()
		first, goAway := context.WithCancel(t.Context())
		second, goAwayToo := context.WithCancel(t.Context())
		errs := make(chan error, 2)
		go func() { _, err := g.Do(first, "k", blocked.do); errs <- err }()
		synctest.Wait()
		go func() { _, err := g.Do(second, "k", blocked.do); errs <- err }()
		synctest.Wait()

		goAway()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		synctest.Wait()
		if len(blocked.ended) != 0 {
			t.Error("the work ended with the first caller")
		}
		goAwayToo()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if err := <-blocked.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the work ended with %v", err)
		}
	})
}

// A caller that arrives after the last one has left starts new work, even though the canceled
// work may not have ended yet.
func TestGroupDoesNotJoinCanceledWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[[]string]
		end := make(chan struct{})
		slow := func(ctx context.Context) ([]string, error) {
			<-end
			return nil, ctx.Err()
		}
		left := g.join(t.Context(), "k", slow)
		g.leave("k", left)
		joined := g.join(t.Context(), "k", slow)
		close(end)
		<-left.done
		<-joined.done
		if !errors.Is(left.err, context.Canceled) {
			t.Errorf("error %v of abandoned work", left.err)
		}
		if joined.err != nil {
			t.Errorf("error %v of work with a caller", joined.err)
		}
	})
}

func TestGroupDoesNotJoinWorkWithMuchLessTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[[]string]
		hurried, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		patient, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		blocked := newBlockedWork()
		var group sync.WaitGroup
		group.Go(func() { _, _ = g.Do(hurried, "k", blocked.do) })
		synctest.Wait()
		group.Go(func() { _, _ = g.Do(patient, "k", blocked.do) })
		synctest.Wait()
		if begun := blocked.begun.Load(); begun != 2 {
			t.Errorf("%d works have started, want 2", begun)
		}
		close(blocked.end)
		group.Wait()
	})
}

func TestGroupReturnsPanicAsError(t *testing.T) {
	var g Group[[]string]
	_, err := g.Do(t.Context(), "k", func(context.Context) ([]string, error) { panic("boom") })
	if err == nil {
		t.Error("no error")
	}
}
