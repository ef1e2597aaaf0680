package engine

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/observer/soakstore"
	"github.com/envladder/envladder/observer/watch"
)

const (
	// maxMissedIntervals is how many intervals may lie between two samples whose time
	// counts: an observation that is late, because the API server was slow, isn't a gap.
	maxMissedIntervals = 3
	// resumeTimeout is how long an observation waits for watches that ended regularly to
	// resume: an API server takes some milliseconds.
	resumeTimeout = time.Second
	// openRetry is how long a Soak that couldn't be created isn't tried again: in a
	// namespace that is being deleted none can be.
	openRetry = time.Minute
)

// Options are the parts that an Engine works with.
type Options struct {
	// Client reads the API server, not a cache.
	Client client.WithWatch
	// Gates reads a cache of Gates.
	Gates    client.Reader
	Catalog  *watch.Catalog
	Nodes    watch.Nodes
	Store    *soakstore.Store
	Attester Attester
	Recorder record.EventRecorder
	// Observer identifies this start of the observer.
	Observer v1alpha1.SoakObserver
	// Interval between observations.
	Interval time.Duration
	Log      *slog.Logger
}

// Engine measures while this replica is the leader: one goroutine, which alone has the
// trackers.
type Engine struct {
	Options

	// Clock, and Ticks and Stepped, which are nil but in tests: these send the ticks and
	// receive the result of each observation.
	Clock   watch.Clock
	Ticks   <-chan time.Time
	Stepped chan<- error

	cluster    string // uid of kube-system
	namespaces map[string]*namespace
	trackers   trackers
	warnings   warnings
	results    chan attestResult
}

// New returns an engine that measures by the system's clock.
func New(o Options) *Engine {
	return &Engine{
		Options:    o,
		Clock:      watch.NewSystemClock(),
		namespaces: map[string]*namespace{},
		trackers:   newTrackers(),
		warnings:   warnings{recorder: o.Recorder, log: o.Log, reported: map[string]string{}},
		results:    make(chan attestResult, maxSigning),
	}
}

// NeedLeaderElection makes the manager start the engine in the leader only.
func (e *Engine) NeedLeaderElection() bool { return true }

// Start measures until ctx ends, or until another observer is found to measure too.
func (e *Engine) Start(ctx context.Context) error {
	e.Log.Info("measuring", "instance", e.Observer.Instance, "interval", e.Interval)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the watches
	ticks := e.Ticks
	if ticks == nil {
		ticker := time.NewTicker(e.Interval)
		defer ticker.Stop()
		ticks = ticker.C
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case r := <-e.results:
			err = e.handleResult(ctx, r)
		case <-ticks:
			err = e.observeAll(ctx)
			if e.Stepped != nil {
				e.Stepped <- err
			}
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// observeAll observes all namespaces once. Its errors end the observer; errors that may
// pass are logged, and the next observation tries again.
func (e *Engine) observeAll(ctx context.Context) error {
	gates, unusable, err := watch.ReadGates(ctx, e.Gates)
	if err != nil {
		e.Log.Error("reading Gates failed; nothing is measured until it works", "error", err)
		return nil
	}
	e.warnings.warnUnusable(unusable)
	e.trackers.expireRetries(e.elapsed())
	reached := e.probe(ctx)
	e.syncWatchers(ctx, gates, reached)
	waiting, cancel := context.WithTimeout(ctx, resumeTimeout)
	defer cancel()
	for _, name := range slices.Sorted(maps.Keys(e.namespaces)) {
		ns := e.namespaces[name]
		if !ns.watcher.Synced() {
			continue
		}
		if reached {
			ns.watcher.WaitForResume(waiting)
		} else {
			ns.watcher.Restart()
		}
		inNamespace := watch.InNamespace(gates, name)
		o := ns.watcher.Observe(inNamespace, e.Catalog.Contradicts, e.Clock)
		e.warnings.warnTagged(inNamespace, o.Tagged)
		if err := e.observeNamespace(ctx, ns, inNamespace, o, reached); err != nil {
			return err
		}
	}
	if !reached {
		return nil
	}
	return e.flushPending(ctx, gates)
}

// elapsed returns the time by the monotonic clock.
func (e *Engine) elapsed() time.Duration { return watch.Now(e.Clock).Elapsed }

// now returns the time by the wall clock.
func (e *Engine) now() time.Time { return watch.Now(e.Clock).Wall }

// Watcher returns the watcher of a namespace. Tests call it between two observations.
func (e *Engine) Watcher(namespace string) *watch.NamespaceWatcher {
	return e.namespaces[namespace].watcher
}

// Pending returns how many statements of stopped digests wait to be pushed. Tests call it
// once the engine has ended.
func (e *Engine) Pending() int { return len(e.trackers.pending) }
