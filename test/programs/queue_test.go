package programs

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// buffer is a bytes.Buffer for concurrent use. It closes written when it has something.
type buffer struct {
	mu      sync.Mutex
	content bytes.Buffer
	written chan struct{}
}

func newBuffer() *buffer { return &buffer{written: make(chan struct{})} }

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.content.Len() == 0 {
		defer close(b.written)
	}
	return b.content.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.String()
}

// gatedJob returns a job that ends when the test closes the channel, and one that is closed when
// the job begins.
func gatedJob(name string) (job Job, begun, end chan struct{}) {
	begun, end = make(chan struct{}), make(chan struct{})
	return Job{Name: name, Version: "v1", Seconds: 10, Build: func(ctx context.Context, _ func()) (Built, error) {
		close(begun)
		select {
		case <-end:
			return Built{Name: name, Path: "/" + name}, nil
		case <-ctx.Done():
			return Built{}, errors.New("signal: killed")
		}
	}}, begun, end
}

// startTwo starts a queue with two jobs, of which the first has begun.
func startTwo(t *testing.T, log *buffer) (q *Queue, firstEnd, secondBegun, secondEnd chan struct{}) {
	t.Helper()
	q = NewQueue(t.Context(), log)
	t.Cleanup(q.Close)
	first, firstBegun, firstEnd := gatedJob("first")
	second, secondBegun, secondEnd := gatedJob("second")
	q.Add(first)
	q.Add(second)
	wait(t, "the first build", firstBegun)
	return q, firstEnd, secondBegun, secondEnd
}

// wait waits for a channel to be closed.
func wait(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Fatalf("timed out waiting for %s", what)
	}
}

func TestQueue(t *testing.T) {
	t.Run("builds in order while no one waits", func(t *testing.T) {
		log := newBuffer()
		q, firstEnd, secondBegun, secondEnd := startTwo(t, log)
		select {
		case <-secondBegun:
			t.Error("the second build began before the first ended")
		default:
		}
		close(firstEnd)
		wait(t, "the second build", secondBegun)
		if log.String() != "" {
			t.Errorf("progress while no one waits: %q", log.String())
		}
		built, err := q.Wait(t.Context(), "first")
		if err != nil || len(built) != 1 || built[0].Path != "/first" {
			t.Errorf("got %+v, %v", built, err)
		}
		close(secondEnd)
		if path, err := q.Path(t.Context(), "second"); err != nil || path != "/second" {
			t.Errorf("got %q, %v", path, err)
		}
	})
	t.Run("reports progress while someone waits", func(t *testing.T) {
		log := newBuffer()
		q, firstEnd, secondBegun, secondEnd := startTwo(t, log)
		done := make(chan error)
		go func() {
			_, err := q.Wait(t.Context(), "first")
			done <- err
		}()
		wait(t, "the first line of progress", log.written)
		if got := log.String(); !strings.HasPrefix(got, "[1/2] building first v1 …") {
			t.Errorf("progress begins with %q", got)
		}
		close(firstEnd)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		wait(t, "the second build", secondBegun)
		close(secondEnd)
		if !strings.Contains(log.String(), "about") {
			t.Errorf("no estimate of the remaining time in %q", log.String())
		}
	})
	t.Run("returns the error of a build", func(t *testing.T) {
		q := NewQueue(t.Context(), newBuffer())
		defer q.Close()
		q.Add(Job{Name: "broken", Version: "v1", Seconds: 1, Build: func(context.Context, func()) (Built, error) {
			return Built{}, errors.New("undefined: x")
		}})
		_, err := q.Wait(t.Context(), "broken")
		if err == nil || err.Error() != "building broken v1: undefined: x" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("close ends the current build and every wait", func(t *testing.T) {
		q := NewQueue(t.Context(), newBuffer())
		job, begun, _ := gatedJob("endless")
		q.Add(job)
		wait(t, "the build", begun)
		done := make(chan error)
		go func() {
			_, err := q.Wait(t.Context(), "endless")
			done <- err
		}()
		q.Close()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that the build was canceled", err)
		}
		q.Add(Job{Name: "late", Seconds: 1})
		if _, err := q.Wait(t.Context(), "late"); !errors.Is(err, context.Canceled) {
			t.Errorf("after Close: got %v", err)
		}
	})
	t.Run("a job of the same name is added once", func(t *testing.T) {
		q := NewQueue(t.Context(), newBuffer())
		defer q.Close()
		job, _, end := gatedJob("once")
		close(end)
		q.Add(job)
		q.Add(job) // its Build would panic on the second call
		if _, err := q.Wait(t.Context(), "once"); err != nil {
			t.Error(err)
		}
	})
}

func TestEstimate(t *testing.T) {
	for name, tc := range map[string]struct {
		done, took, left, current float64
		ran, want                 time.Duration
	}{
		"before the first build ends": {left: 100, current: 20, ran: 5 * time.Second, want: 115 * time.Second},
		"on a slower machine":         {done: 10, took: 30, left: 100, want: 300 * time.Second},
		"a build that takes longer":   {left: 10, current: 5, ran: time.Minute, want: 10 * time.Second},
		"at the end":                  {done: 10, took: 12},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, estimate(tc.done, tc.took, tc.left, tc.current, tc.ran)); diff != "" {
				t.Errorf("unexpected estimate (-want +got):\n%s", diff)
			}
		})
	}
}
