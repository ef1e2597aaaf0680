package promote

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	t.Run("grows with attempts and their duration up to its bound", func(t *testing.T) {
		for _, test := range []struct {
			failed        int
			attempt, want time.Duration
		}{
			{1, 0, shortestWait},
			{1, time.Second, time.Second},
			{2, time.Second, 2 * time.Second},
			{4, time.Second, 8 * time.Second},
			{6, time.Second, longestWait},
			{1000, time.Second, longestWait},
			{1, time.Hour, longestWait},
		} {
			b := backoff{failed: test.failed}
			if got := b.longest(test.attempt); got != test.want {
				t.Errorf("after %d attempts of %v: %v, want %v", test.failed, test.attempt, got, test.want)
			}
		}
	})

	t.Run("ends with the context", func(t *testing.T) {
		over := errors.New("the time is over")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(over)
		b := &backoff{started: time.Now().Add(-time.Hour)}
		if err := b.wait(ctx); !errors.Is(err, over) || err.Error() != "other pushes came first 1 times: the time is over" {
			t.Errorf("error %v", err)
		}
	})
}
