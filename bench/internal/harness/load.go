package harness

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Sample is the result of one measurement.
type Sample struct {
	Count             int
	Elapsed, P50, P99 time.Duration
	// CPU is the processor time of the process for each run, and Peak its peak memory in bytes.
	// Both are zero if no process was measured.
	CPU  time.Duration
	Peak int64
}

// Rate returns the number of runs a second.
func (s Sample) Rate() float64 { return float64(s.Count) / s.Elapsed.Seconds() }

// SampleOf returns the sample of runs that were made one after the other. It needs at least one.
func SampleOf(times []time.Duration) Sample {
	slices.Sort(times)
	s := Sample{Count: len(times), P50: quantile(times, 50), P99: quantile(times, 99)}
	for _, t := range times {
		s.Elapsed += t
	}
	return s
}

// ErrEnough ends a Load without an error if at least one run was made: there is no more work.
var ErrEnough = errors.New("no more work")

// Load has a number of clients call do repeatedly and concurrently until the time has passed,
// each at least once, and measures a process meanwhile. The first error ends it. The numbers
// that do gets continue from the counter.
func Load(ctx context.Context, pid, clients int, long time.Duration, counter *atomic.Int64, do func(ctx context.Context, number int) error) (Sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	usage := Watch(pid)
	begin := time.Now()
	all := make([][]time.Duration, clients)
	var group sync.WaitGroup
	for i := range all {
		group.Go(func() {
			for first := true; (first || time.Since(begin) < long) && ctx.Err() == nil; first = false {
				start := time.Now()
				switch err := do(ctx, int(counter.Add(1))); {
				case errors.Is(err, ErrEnough):
					return
				case err != nil:
					cancel(err)
					return
				}
				all[i] = append(all[i], time.Since(start))
			}
		})
	}
	group.Wait()
	elapsed := time.Since(begin)
	cpu, peak := usage.Stop()
	if err := context.Cause(ctx); err != nil {
		return Sample{}, err
	}
	times := slices.Concat(all...)
	if len(times) == 0 {
		return Sample{}, ErrEnough
	}
	s := SampleOf(times)
	s.Elapsed, s.CPU, s.Peak = elapsed, cpu/time.Duration(s.Count), peak
	return s, nil
}

// quantile returns a quantile of sorted times by the nearest rank.
func quantile(times []time.Duration, percent int) time.Duration {
	return times[max(0, (len(times)*percent+99)/100-1)]
}
