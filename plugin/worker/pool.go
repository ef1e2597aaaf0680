// Package worker renders charts in processes of its own, since Helm's engine can't be
// stopped: a template that never ends, that uses up memory or that overflows the stack
// costs one worker, and its request gets an error that names it.
//
// A Pool is the parent's side, Work the worker's. Both are the same program, so what
// they say to each other has no versions.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/manifest"
)

// Config of a pool.
type Config struct {
	// Most workers there are at once. Renders beyond that wait.
	Most int
	// Memory of a worker in bytes, beyond what it takes to start.
	Memory int64
	// Timeout of a render whose context has no earlier deadline.
	Timeout time.Duration
	Log     *slog.Logger
	// Killed, where set, is told of each worker that was lost, and why.
	Killed func(Reason)
}

// DefaultMemory is a few times what the largest public charts take.
const DefaultMemory = 512 << 20

// DefaultTimeout is that of the repo-server's requests (ARGOCD_EXEC_TIMEOUT is 90 s,
// its gRPC calls have 60 s).
const DefaultTimeout = time.Minute

// Pool has the workers. Close must be called in the end.
type Pool struct {
	config Config
	slots  *semaphore.Weighted

	mu     sync.Mutex
	idle   []*process // the one that was used last is the last
	all    map[*process]bool
	closed bool
}

// NewPool has no workers until there is work.
func NewPool(config Config) *Pool {
	return &Pool{config: config, slots: semaphore.NewWeighted(int64(config.Most)), all: map[*process]bool{}}
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

// Render renders the chart by the recipe in a worker. The error is a *LostError where
// that cost the worker, and ctx's where the caller took the question back.
func (p *Pool) Render(ctx context.Context, source *chart.Source, recipe chart.RenderOptions) (manifest.Manifests, error) {
	encoded, err := recipe.Encode()
	if err != nil {
		return nil, fmt.Errorf("handing chart %q to a worker: %w", source.Path, err)
	}
	if err := p.slots.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("waiting for a worker: %w", err)
	}
	defer p.slots.Release(1)
	r := request{Recipe: encoded}
	limit := p.limit(ctx)
	last, lost, err := p.attempt(ctx, source, r, limit)
	if err != nil {
		return nil, err
	}
	if lost != nil {
		lost.Template = p.trace(ctx, source, r, limit)
		lost.Chart = source.Path
		return nil, lost
	}
	return last.Manifests, last.err()
}

// limit is how long a render may take: of what the caller's deadline leaves three
// quarters, so that there is time to find out which template is to blame.
func (p *Pool) limit(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(p.config.Timeout, time.Until(deadline)/4*3)
	}
	return p.config.Timeout
}

// attempt asks a worker, and another one where the first was lost and had worked
// before: what it was lost by may be its past, or the kernel's need of memory.
func (p *Pool) attempt(ctx context.Context, source *chart.Source, r request, limit time.Duration) (answer, *LostError, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	w, used, err := p.take(keyOf(source))
	if err != nil {
		return answer{}, nil, err
	}
	last, lost, err := p.run(limited, w, source, r, nil)
	if lost != nil && used && lost.Reason != ReasonTime {
		if w, err = p.start(); err != nil {
			return answer{}, nil, err
		}
		last, lost, err = p.run(limited, w, source, r, nil)
	}
	if lost != nil {
		lost.Limit, lost.Memory = limit, p.config.Memory
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return last, lost, err
}

// trace renders again with templates that say when they begin, or when what they gave is
// read, and returns the last that did; empty where none does. A render that was stopped late is stopped earlier
// now: a third of its time, which the caller's deadline leaves by limit.
func (p *Pool) trace(ctx context.Context, source *chart.Source, r request, limit time.Duration) string {
	ctx, cancel := context.WithTimeout(ctx, limit/4)
	defer cancel()
	w, err := p.start()
	if err != nil {
		p.config.Log.Error("finding the template that a worker was lost by", "error", err)
		return ""
	}
	var template string
	r.Trace = true
	_, _, err = p.run(ctx, w, source, r, func(a answer) { template = a.Template })
	if err != nil {
		p.config.Log.Debug("finding the template that a worker was lost by", "error", err)
	}
	return template
}

// run has w work on a request until ctx ends. Then, and where the worker fails, it is
// lost: it is killed, and not to be used again.
func (p *Pool) run(ctx context.Context, w *process, source *chart.Source, r request, progress func(answer)) (answer, *LostError, error) {
	stop := context.AfterFunc(ctx, w.kill)
	last, err := w.ask(source, r, progress)
	if stop() && err == nil {
		p.put(w)
		return last, nil, nil
	}
	said := w.end()
	p.forget(w)
	if err == nil {
		return last, nil, nil // it was done when the time was over
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		p.lose(ReasonGone, source, "")
		return answer{}, nil, ctx.Err()
	case p.isClosed():
		return answer{}, nil, errClosed
	}
	reason := ReasonTime
	if ctx.Err() == nil {
		reason = reasonOf(said)
	}
	p.lose(reason, source, said)
	return answer{}, &LostError{Reason: reason, Unsure: reason == ReasonMemory && strings.Contains(said, wildAccess)}, nil
}

// lose says that a worker is lost, once for each.
func (p *Pool) lose(reason Reason, source *chart.Source, said string) {
	p.config.Log.Warn("lost a worker", "reason", string(reason), "chart", source.Path, "said", said)
	if p.config.Killed != nil {
		p.config.Killed(reason)
	}
}

// take takes an idle worker, preferably one that has the chart, or starts one. used is
// set for one that has worked before.
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

func (p *Pool) put(w *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		w.end()
		return
	}
	p.idle = append(p.idle, w)
}

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
