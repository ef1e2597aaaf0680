package programs

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// A Job is one build of a queue.
type Job struct {
	Name, Version string
	// Seconds is the usual time of the build on two cores if everything before it in the table
	// is built. The estimate of the remaining time scales it by the actual times.
	Seconds float64
	// Build returns the program from the cache, or builds it. It calls waiting if another
	// process builds the program.
	Build func(ctx context.Context, waiting func()) (Built, error)
}

// A Queue builds programs in the background, one at a time, since each build uses all cores. It
// reports progress only during Wait, so that a demo can print in the meantime.
type Queue struct {
	ctx      context.Context
	stop     context.CancelFunc
	progress *progress

	mu      sync.Mutex
	entries []*entry
	running bool
	closed  bool
	worker  sync.WaitGroup
}

// entry is a job and its result, which is valid after done is closed.
type entry struct {
	Job
	done  chan struct{}
	built Built
	err   error
}

// NewQueue returns an empty queue that reports progress to w. Close it.
func NewQueue(ctx context.Context, w io.Writer) *Queue {
	ctx, stop := context.WithCancel(ctx)
	return &Queue{ctx: ctx, stop: stop, progress: newProgress(w)}
}

// Close stops the current build and waits for its end. All waiting calls return an error.
func (q *Queue) Close() {
	q.stop()
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.worker.Wait()
}

// AddPrograms appends the programs with these names that the queue doesn't have.
func (q *Queue) AddPrograms(names ...string) error {
	toolchain, err := toolchain()
	if err != nil {
		return err
	}
	for _, name := range names {
		p, err := Lookup(name)
		if err != nil {
			return err
		}
		q.Add(p.job(toolchain))
	}
	return nil
}

// job returns the program's job. A cached program takes no time.
func (p Program) job(toolchain string) Job {
	job := Job{Name: p.Name, Version: p.Version, Seconds: p.Seconds}
	if dir, err := p.cacheDir(toolchain); err == nil {
		if _, err := p.cached(dir); err == nil {
			job.Seconds = 0
		}
	}
	job.Build = func(ctx context.Context, waiting func()) (Built, error) {
		return p.build(ctx, toolchain, waiting)
	}
	return job
}

// Add appends a job, unless the queue has one of the same name.
func (q *Queue) Add(job Job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.find(job.Name) != nil {
		return
	}
	e := &entry{Job: job, done: make(chan struct{})}
	q.entries = append(q.entries, e)
	if q.closed {
		e.err = context.Canceled
		close(e.done)
		return
	}
	q.progress.add(job)
	if !q.running {
		q.running = true
		q.worker.Go(q.work)
	}
}

// entry returns the entry with the name, or nil.
func (q *Queue) entry(name string) *entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.find(name)
}

// find returns the entry with the name, or nil. The caller holds the lock.
func (q *Queue) find(name string) *entry {
	i := slices.IndexFunc(q.entries, func(e *entry) bool { return e.Name == name })
	if i < 0 {
		return nil
	}
	return q.entries[i]
}

// work builds the entries in order until none is left.
func (q *Queue) work() {
	for next := 0; ; next++ {
		q.mu.Lock()
		for next < len(q.entries) && q.entries[next].finished() {
			next++
		}
		if next == len(q.entries) {
			q.running = false
			q.mu.Unlock()
			return
		}
		e := q.entries[next]
		q.mu.Unlock()
		q.progress.begin(e.Job)
		e.built, e.err = e.Build(q.ctx, q.progress.waiting)
		if q.ctx.Err() != nil {
			e.err = q.ctx.Err() // the compiler's error is only that it was killed
		}
		q.progress.end(e.err)
		close(e.done)
	}
}

// finished reports whether the entry has its result.
func (e *entry) finished() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

// Wait returns the named programs as soon as they are built, and reports progress in the
// meantime. It adds programs that the queue doesn't have.
func (q *Queue) Wait(ctx context.Context, names ...string) ([]Built, error) {
	entries, err := q.entriesOf(names)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(entries, func(e *entry) bool { return !e.finished() }) {
		return results(entries)
	}
	defer q.progress.watch()()
	for _, e := range entries {
		select {
		case <-e.done:
		case <-ctx.Done():
			return nil, e.wrap(ctx.Err())
		}
		if e.err != nil {
			break
		}
	}
	return results(entries)
}

// entriesOf returns the entries with these names. It adds those that the queue doesn't have.
func (q *Queue) entriesOf(names []string) ([]*entry, error) {
	var entries []*entry
	for _, name := range names {
		e := q.entry(name)
		if e == nil {
			if err := q.AddPrograms(name); err != nil {
				return nil, err
			}
			e = q.entry(name)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// results returns the results of entries up to the first that failed.
func results(entries []*entry) ([]Built, error) {
	built := make([]Built, 0, len(entries))
	for _, e := range entries {
		if e.err != nil {
			return nil, e.wrap(e.err)
		}
		built = append(built, e.built)
	}
	return built, nil
}

// wrap adds the program to an error.
func (e *entry) wrap(err error) error {
	return fmt.Errorf("building %s: %w", label(e.Job), err)
}

// Path returns the path of one program as soon as it is built.
func (q *Queue) Path(ctx context.Context, name string) (string, error) {
	built, err := q.Wait(ctx, name)
	if err != nil {
		return "", err
	}
	return built[0].Path, nil
}

// estimate returns the remaining time of jobs with these usual seconds, of which some are done.
// done and took are the usual and the actual seconds of finished builds; left and current are
// usual seconds of those that wait and of the one that has run for ran.
func estimate(done, took, left, current float64, ran time.Duration) time.Duration {
	scale := 1.0
	if done > 0 {
		scale = took / done
	}
	remaining := scale*left + max(0, scale*current-ran.Seconds())
	return time.Duration(remaining * float64(time.Second))
}
