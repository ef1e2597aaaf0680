package plugin

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/envladder/envladder/internal/chart"
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

func (h *heldWork) do(ctx context.Context) (chart.Manifests, error) {
	h.begun.Add(1)
	select {
	case <-h.end:
		h.ended <- nil
		return chart.Manifests{{Source: "done"}}, nil
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

func waitUntil(t *testing.T, condition func() bool) {
	t.Helper()
	for range 1000 {
		if condition() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("it didn't come to pass in 5 s")
}

func TestEqualRequestsAreOneRender(t *testing.T) {
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
	waitUntil(t, func() bool { return f.waiters("k") == 10 })
	close(held.end)
	group.Wait()
	if begun := held.begun.Load(); begun != 1 {
		t.Errorf("it was rendered %d times", begun)
	}
	if f.waiters("k") != 0 {
		t.Error("the flight is still known")
	}
}

func TestARenderEndsWhenNobodyWaits(t *testing.T) {
	var f flights
	held := newHeldWork()
	first, goAway := context.WithCancel(t.Context())
	second, goAwayToo := context.WithCancel(t.Context())
	errs := make(chan error, 2)
	go func() { _, err := f.do(first, "k", held.do); errs <- err }()
	waitUntil(t, func() bool { return f.waiters("k") == 1 })
	go func() { _, err := f.do(second, "k", held.do); errs <- err }()
	waitUntil(t, func() bool { return f.waiters("k") == 2 })

	goAway()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
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
}

// Who comes while the last one leaves joins what goes on, or begins anew. Both are made to
// wait for the lock, and the first to miss it once, so that it is handed on in turn.
func TestNobodyJoinsWhatIsCanceled(t *testing.T) {
	for range 50 {
		var f flights
		held := newHeldWork()
		leaving, goAway := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { _, _ = f.do(leaving, "k", held.do) })
		waitUntil(t, func() bool { return f.waiters("k") == 1 })
		f.mu.Lock()
		goAway()
		time.Sleep(2 * time.Millisecond)
		joined := make(chan *flight)
		go func() { joined <- f.join(t.Context(), "k", held.do) }()
		time.Sleep(2 * time.Millisecond)
		f.mu.Unlock()
		f.mu.Lock()
		time.Sleep(2 * time.Millisecond)
		f.mu.Unlock()
		render := <-joined
		group.Wait()
		close(held.end)
		if <-render.done; render.err != nil {
			t.Fatalf("error %v of a render that someone waits for", render.err)
		}
	}
}

func TestAHurriedRenderIsNotJoined(t *testing.T) {
	var f flights
	hurried, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	patient, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	held := newHeldWork()
	var group sync.WaitGroup
	group.Go(func() { _, _ = f.do(hurried, "k", held.do) })
	waitUntil(t, func() bool { return f.waiters("k") == 1 })
	group.Go(func() { _, _ = f.do(patient, "k", held.do) })
	waitUntil(t, func() bool { return held.begun.Load() == 2 })
	close(held.end)
	group.Wait()
}

func TestAPanicIsTheErrorOfThoseWhoWait(t *testing.T) {
	var f flights
	_, err := f.do(t.Context(), "k", func(context.Context) (chart.Manifests, error) { panic("boom") })
	if err == nil {
		t.Error("no error")
	}
}
