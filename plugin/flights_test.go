package plugin

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// heldWork is work that begins when it is called and ends when it is told to, or with
// its context.
type heldWork struct {
	begun atomic.Int32
	end   chan struct{}
	ended chan error
}

func newHeldWork() *heldWork {
	return &heldWork{end: make(chan struct{}), ended: make(chan error, 10)}
}

func (h *heldWork) do(ctx context.Context) (documents, error) {
	h.begun.Add(1)
	select {
	case <-h.end:
		h.ended <- nil
		return documents{"done"}, nil
	case <-ctx.Done():
		h.ended <- ctx.Err()
		return nil, ctx.Err()
	}
}

// waiters is how many wait for key.
func (f *flights) waiters(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if known := f.byKey[key]; known != nil {
		return known.waiting
	}
	return 0
}

func TestEqualRequestsAreOneRender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights
		held := newHeldWork()
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				got, err := f.do(t.Context(), "k", held.do)
				if err != nil || len(got) != 1 {
					t.Errorf("%v, %v", got, err)
				}
			})
		}
		synctest.Wait()
		if waiting := f.waiters("k"); waiting != 10 {
			t.Errorf("%d wait", waiting)
		}
		close(held.end)
		group.Wait()
		if begun := held.begun.Load(); begun != 1 {
			t.Errorf("it was rendered %d times", begun)
		}
		if f.waiters("k") != 0 {
			t.Error("the flight is still known")
		}
	})
}

func TestARenderEndsWhenNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights
		held := newHeldWork()
		first, goAway := context.WithCancel(t.Context())
		second, goAwayToo := context.WithCancel(t.Context())
		errs := make(chan error, 2)
		go func() { _, err := f.do(first, "k", held.do); errs <- err }()
		synctest.Wait()
		go func() { _, err := f.do(second, "k", held.do); errs <- err }()
		synctest.Wait()

		goAway()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		synctest.Wait()
		if len(held.ended) != 0 {
			t.Error("the render ended with the first that asked")
		}
		goAwayToo()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if err := <-held.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the render ended with %v", err)
		}
	})
}

// Who comes when the last one has left begins anew, though the render that is canceled may
// take its time to end.
func TestNobodyJoinsWhatIsCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights
		end := make(chan struct{})
		slow := func(ctx context.Context) (documents, error) {
			<-end
			return nil, ctx.Err()
		}
		left := f.join(t.Context(), "k", slow)
		f.leave("k", left)
		joined := f.join(t.Context(), "k", slow)
		close(end)
		<-left.done
		<-joined.done
		if !errors.Is(left.err, context.Canceled) {
			t.Errorf("error %v of a render that nobody waits for", left.err)
		}
		if joined.err != nil {
			t.Errorf("error %v of a render that someone waits for", joined.err)
		}
	})
}

func TestAHurriedRenderIsNotJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights
		hurried, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		patient, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		held := newHeldWork()
		var group sync.WaitGroup
		group.Go(func() { _, _ = f.do(hurried, "k", held.do) })
		synctest.Wait()
		group.Go(func() { _, _ = f.do(patient, "k", held.do) })
		synctest.Wait()
		if begun := held.begun.Load(); begun != 2 {
			t.Errorf("%d renders have begun", begun)
		}
		close(held.end)
		group.Wait()
	})
}

func TestAPanicIsTheErrorOfThoseWhoWait(t *testing.T) {
	var f flights
	_, err := f.do(t.Context(), "k", func(context.Context) (documents, error) { panic("boom") })
	if err == nil {
		t.Error("no error")
	}
}
