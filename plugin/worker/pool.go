package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/manifest"
)

// Config configures a pool.
type Config struct {
	// MaxWorkers is the maximum number of workers. Further renders wait.
	MaxWorkers int
	// Memory is the memory limit of a worker in bytes, in addition to the memory at its start.
	Memory int64
	// Timeout is the timeout of a render if its context has no earlier deadline.
	Timeout time.Duration
	Log     *slog.Logger
	// Killed, if set, is called for each worker that was killed or crashed.
	Killed func(Reason)
}

// DefaultMemory is a few times the memory that the largest public charts take.
const DefaultMemory = 512 << 20

// DefaultTimeout is the timeout of the repo-server's gRPC calls; ARGOCD_EXEC_TIMEOUT is 90 s.
const DefaultTimeout = time.Minute

// Pool is a pool of workers. The caller must call Close after use.
type Pool struct {
	config Config
	slots  *semaphore.Weighted

	mu     sync.Mutex
	idle   []*process // the most recently used is the last
	all    map[*process]bool
	closed bool
}

// NewPool returns a pool, which starts workers when they are needed.
func NewPool(config Config) *Pool {
	return &Pool{config: config, slots: semaphore.NewWeighted(int64(config.MaxWorkers)), all: map[*process]bool{}}
}

// Close kills all workers, busy or not.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for w := range p.all {
		w.kill()
	}
	for _, w := range p.idle {
		w.end()
	}
	p.idle = nil
}

var errClosed = errors.New("the plugin is shutting down")

// Render renders the chart in a worker. The error is a *WorkerError where the worker was
// killed or crashed, and ctx's error where the caller canceled the request.
func (p *Pool) Render(ctx context.Context, source *chart.Source, options chart.RenderOptions) (manifest.Manifests, error) {
	encoded, err := options.Encode()
	if err != nil {
		return nil, fmt.Errorf("sending chart %q to a worker: %w", source.Path, err)
	}
	if err := p.slots.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("waiting for a worker: %w", err)
	}
	defer p.slots.Release(1)
	r := request{Options: encoded}
	limit := p.limit(ctx)
	last, failed, err := p.attempt(ctx, source, r, limit)
	if err != nil {
		return nil, err
	}
	if failed != nil {
		failed.Template = p.trace(ctx, source, r, limit)
		failed.Chart = source.Path
		return nil, failed
	}
	return last.Manifests, last.err()
}

// limit returns how long a render may take: three quarters of the time until the caller's
// deadline, so that there is time to find the template that is to blame.
func (p *Pool) limit(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(p.config.Timeout, time.Until(deadline)/4*3)
	}
	return p.config.Timeout
}

// attempt renders in a worker. If that crashes and was used before, attempt renders again in
// a new one: earlier requests, or the kernel's need of memory, may have caused the crash.
func (p *Pool) attempt(ctx context.Context, source *chart.Source, r request, limit time.Duration) (answer, *WorkerError, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	w, used, err := p.take(keyOf(source))
	if err != nil {
		return answer{}, nil, err
	}
	last, failed, err := p.run(limited, w, source, r, nil)
	if failed != nil && used && failed.Reason != ReasonTime {
		if w, err = p.start(); err != nil {
			return answer{}, nil, err
		}
		last, failed, err = p.run(limited, w, source, r, nil)
	}
	if failed != nil {
		failed.Limit, failed.Memory = limit, p.config.Memory
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return last, failed, err
}

// trace renders again with templates that report when they start and when their output is
// parsed, and returns the last one that did; empty where none did. It has a third of the
// render's time, which limit reserves.
func (p *Pool) trace(ctx context.Context, source *chart.Source, r request, limit time.Duration) string {
	ctx, cancel := context.WithTimeout(ctx, limit/4)
	defer cancel()
	w, err := p.start()
	if err != nil {
		p.config.Log.Error("finding the template that stopped a worker", "error", err)
		return ""
	}
	var template string
	r.Trace = true
	_, _, err = p.run(ctx, w, source, r, func(a answer) { template = a.Template })
	if err != nil {
		p.config.Log.Debug("finding the template that stopped a worker", "error", err)
	}
	return template
}

// run sends a request to w. If ctx ends first or w fails, run kills w, which must not be used
// again.
func (p *Pool) run(ctx context.Context, w *process, source *chart.Source, r request, progress func(answer)) (answer, *WorkerError, error) {
	stop := context.AfterFunc(ctx, w.kill)
	last, err := w.send(source, r, progress)
	if stop() && err == nil {
		p.put(w)
		return last, nil, nil
	}
	output := w.end()
	p.forget(w)
	if err == nil {
		return last, nil, nil // it finished at the deadline
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		p.reportKilled(ReasonGone, source, "")
		return answer{}, nil, ctx.Err()
	case p.isClosed():
		return answer{}, nil, errClosed
	}
	reason := ReasonTime
	if ctx.Err() == nil {
		reason = reasonOf(output)
	}
	p.reportKilled(reason, source, output)
	return answer{}, &WorkerError{Reason: reason, Unsure: reason == ReasonMemory && containsAny(output, signalMessages...)}, nil
}

// reportKilled logs and counts a worker that was killed or crashed.
func (p *Pool) reportKilled(reason Reason, source *chart.Source, output string) {
	p.config.Log.Warn("worker was killed or crashed", "reason", string(reason), "chart", source.Path, "output", output)
	if p.config.Killed != nil {
		p.config.Killed(reason)
	}
}

// take takes an idle worker, preferably one that has the chart, or starts one. used is set
// for a worker that has served requests before.
func (p *Pool) take(key string) (w *process, used bool, err error) {
	p.mu.Lock()
	if last := len(p.idle) - 1; last >= 0 {
		at := slices.IndexFunc(p.idle, func(w *process) bool { return w.charts[key] })
		if at < 0 {
			at = last
		}
		w := p.idle[at]
		p.idle = slices.Delete(p.idle, at, at+1)
		p.mu.Unlock()
		return w, true, nil
	}
	p.mu.Unlock()
	w, err = p.start()
	return w, false, err
}

// start starts a worker.
func (p *Pool) start() (*process, error) {
	w, err := start(p.config.Memory)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		w.end()
		return nil, errClosed
	}
	p.all[w] = true
	return w, nil
}

// put makes a worker idle.
func (p *Pool) put(w *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		w.end()
		return
	}
	p.idle = append(p.idle, w)
}

// forget removes a worker that has ended.
func (p *Pool) forget(w *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, w)
}

func (p *Pool) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}
