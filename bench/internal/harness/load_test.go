package harness

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

func TestLoadRunsEachClientAtLeastOnce(t *testing.T) {
	var counter, done atomic.Int64
	s, err := Load(t.Context(), 0, 3, 0, &counter, func(context.Context, int) error { done.Add(1); return nil })
	if err != nil || s.Count != 3 || done.Load() != 3 {
		t.Errorf("%d of %d counted, %v", s.Count, done.Load(), err)
	}
}

func TestLoadEndsWithoutErrorOnErrEnough(t *testing.T) {
	var counter atomic.Int64
	s, err := Load(t.Context(), 0, 2, time.Hour, &counter, func(_ context.Context, number int) error {
		if number > 10 {
			return ErrEnough
		}
		return nil
	})
	if err != nil || s.Count != 10 {
		t.Errorf("%d counted, %v, want 10", s.Count, err)
	}
}

func TestLoadEndsAllClientsOnError(t *testing.T) {
	var counter atomic.Int64
	broken := errors.New("broken")
	_, err := Load(t.Context(), 0, 4, time.Hour, &counter, func(_ context.Context, number int) error {
		if number == 5 {
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
}

func TestSampleOfUsesNearestRank(t *testing.T) {
	var times []time.Duration
	for n := range 200 {
		times = append(times, time.Duration(200-n))
	}
	if s := SampleOf(times); s.P50 != 100 || s.P99 != 198 || s.Elapsed != 200*201/2 {
		t.Errorf("p50 %d, p99 %d, elapsed %d", s.P50, s.P99, s.Elapsed)
	}
	if s := SampleOf([]time.Duration{7}); s.P50 != 7 || s.P99 != 7 {
		t.Errorf("one time: p50 %d, p99 %d", s.P50, s.P99)
	}
}
