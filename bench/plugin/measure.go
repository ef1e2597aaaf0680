package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/envladder/envladder/bench/internal/harness"
)

// result is one line of the table.
type result struct {
	harness.Sample

	chart, contender string
	// clients is the number of clients, or 0 for the first render after a start.
	clients int
}

// measure measures a contender: its first render, and its renders with each number of clients.
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
	defer c.Stop()
	var number atomic.Int64
	if _, err := c.render(ctx, 0); err != nil {
		return nil, err
	}
	for _, clients := range o.clients {
		sample, err := harness.Load(ctx, c.PID(), clients, o.time, &number, func(ctx context.Context, number int) error {
			_, err := c.render(ctx, number)
			return err
		})
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(os.Stderr, "%s, %s, %d at once: %.1f a second, p50 %s\n", r.name, c.name(), clients, sample.Rate(), harness.Round(sample.P50))
		results = append(results, result{chart: r.name, contender: c.name(), clients: clients, Sample: sample})
	}
	return results, nil
}

// measureCold measures the first render after each of several starts.
func measureCold(ctx context.Context, o options, r repository, c contender) (result, error) {
	var size int
	var times []time.Duration
	for range o.cold {
		if err := c.start(ctx); err != nil {
			return result{}, err
		}
		begin := time.Now()
		var err error
		size, err = c.render(ctx, 0)
		times = append(times, time.Since(begin))
		c.Stop()
		if err != nil {
			return result{}, err
		}
	}
	// The transport alone returns as many bytes as our plugin, which was measured before it.
	cold := result{chart: r.name, contender: c.name(), Sample: harness.SampleOf(times)}
	return cold, os.WriteFile(filepath.Join(filepath.Dir(r.root), "size-"+r.name), []byte(strconv.Itoa(size)), 0o600)
}
