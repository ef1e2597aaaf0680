package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// result is one line of the table.
type result struct {
	chart, contender string
	// clients at once; 0 is the first render after a start.
	clients int
	renders int
	bytes   int
	elapsed time.Duration
	p50     time.Duration
	p99     time.Duration
	// cpu of the contender's processes for each render, peak their memory together.
	cpu  time.Duration
	peak int64
}

func (r result) rate() float64 { return float64(r.renders) / r.elapsed.Seconds() }

func measure(ctx context.Context, o options, r repository, c contender) ([]result, error) {
	var results []result
	cold, err := measureCold(ctx, o, r, c)
	if err != nil {
		return nil, err
	}
	results = append(results, cold)
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	defer c.stop()
	var number atomic.Int64
	if _, err := c.render(ctx, 0); err != nil {
		return nil, err
	}
	for _, clients := range o.clients {
		warm, err := measureWarm(ctx, o.time, c, clients, &number)
		if err != nil {
			return nil, err
		}
		warm.chart, warm.contender = r.name, c.name()
		fmt.Fprintf(os.Stderr, "%s, %s, %d at once: %.1f a second, p50 %s\n", r.name, c.name(), clients, warm.rate(), round(warm.p50))
		results = append(results, warm)
	}
	return results, nil
}

// measureCold measures the first render after each of some starts.
func measureCold(ctx context.Context, o options, r repository, c contender) (result, error) {
	cold := result{chart: r.name, contender: c.name()}
	var times []time.Duration
	for range o.cold {
		if err := c.start(ctx); err != nil {
			return result{}, err
		}
		begin := time.Now()
		size, err := c.render(ctx, 0)
		times = append(times, time.Since(begin))
		c.stop()
		if err != nil {
			return result{}, err
		}
		cold.bytes = size
	}
	slices.Sort(times)
	cold.renders, cold.p50, cold.p99 = len(times), quantile(times, 50), quantile(times, 99)
	for _, t := range times {
		cold.elapsed += t
	}
	// The transport alone answers as much as ours, which was before it.
	return cold, os.WriteFile(filepath.Join(filepath.Dir(r.root), "size-"+r.name), []byte(strconv.Itoa(cold.bytes)), 0o600)
}

func measureWarm(ctx context.Context, long time.Duration, c contender, clients int, number *atomic.Int64) (result, error) {
	usage := watch(c.process())
	begin := time.Now()
	var mu sync.Mutex
	var times []time.Duration
	var failed error
	var size int
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for first := true; first || time.Since(begin) < long; first = false {
				start := time.Now()
				n, err := c.render(ctx, int(number.Add(1)))
				took := time.Since(start)
				mu.Lock()
				if err != nil {
					failed = err
				}
				stop := failed != nil
				times, size = append(times, took), n
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	group.Wait()
	elapsed := time.Since(begin)
	cpu, peak := usage.stop()
	if failed != nil {
		return result{}, failed
	}
	slices.Sort(times)
	return result{
		clients: clients, renders: len(times), bytes: size, elapsed: elapsed,
		p50: quantile(times, 50), p99: quantile(times, 99), cpu: cpu / time.Duration(len(times)), peak: peak,
	}, nil
}

// quantile of sorted times, by the nearest rank.
func quantile(times []time.Duration, percent int) time.Duration {
	return times[max(0, (len(times)*percent+99)/100-1)]
}
