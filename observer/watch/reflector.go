package watch

import (
	"context"
	"errors"
	"log/slog"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// reflector brings the objects of one kind to a NamespaceWatcher. It is both the
// ListerWatcher and the store of client-go's Reflector, which lists, watches and writes
// in one goroutine: by the time that a watch runs, everything before it is stored.
type reflector struct {
	watcher *NamespaceWatcher
	client  client.WithWatch
	kind    watchedKind
	log     *slog.Logger

	// Guarded by the watcher's mutex.
	state  reflectorState
	listed bool               // since the last break
	stream *stream            // the running watch, nil between two
	cancel context.CancelFunc // of the watch that runs or is requested
}

type reflectorState int

const (
	reflectorStarting reflectorState = iota // nothing was listed yet
	reflectorRunning                        // a watch runs, and everything before it is known
	reflectorResuming                       // a watch ended regularly: the next may resume where it ended
	reflectorBroken                         // events may be missed
)

// run lists and watches until ctx ends.
func (r *reflector) run(ctx context.Context) {
	source := &toolscache.ListWatch{ListWithContextFunc: r.list, WatchFuncWithContext: r.watch}
	upstream := toolscache.NewReflectorWithOptions(source, r.kind.object, r, toolscache.ReflectorOptions{Name: "observer"})
	upstream.UseWatchList = new(bool) // the end of a list shows that the kind is known
	// Its logs are discarded: this reflector logs each break once.
	upstream.RunWithContext(klog.NewContext(ctx, logr.Discard()))
}

// list reads from etcd: the API server's cache may be behind.
func (r *reflector) list(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	r.noteList()
	options.ResourceVersion, options.ResourceVersionMatch = "", ""
	list := r.kind.newList()
	// Limit and Continue are the client's own options, and not read from Raw.
	err := r.client.List(ctx, list, &client.ListOptions{Namespace: r.watcher.namespace, Limit: options.Limit, Continue: options.Continue, Raw: &options})
	r.noteError(ctx, err)
	return list, err
}

// errListAgain makes client-go's Reflector list instead of retrying the watch.
var errListAgain = errors.New("listing again after a break")

// watch resumes after a list or a watch that ended regularly. After a break it fails so
// that the kind is listed: nothing would show when all missed events have arrived.
func (r *reflector) watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	watched, cancel := context.WithCancel(ctx)
	if !r.mayWatch(cancel) {
		cancel()
		return nil, errListAgain
	}
	events, err := r.client.Watch(watched, r.kind.newList(), &client.ListOptions{Namespace: r.watcher.namespace, Raw: &options})
	if err != nil {
		r.noteError(watched, err)
		cancel()
		return nil, errListAgain
	}
	s := &stream{Interface: events, reflector: r, events: make(chan watch.Event), cancel: cancel}
	if !r.noteRunning(s) {
		s.Stop()
		return nil, errListAgain
	}
	go s.forward(watched)
	return s, nil
}

// mayWatch reports whether a watch may begin, and stores how a break cancels it.
func (r *reflector) mayWatch(cancel context.CancelFunc) bool {
	r.watcher.mu.Lock()
	defer r.watcher.mu.Unlock()
	r.cancel = cancel
	return r.listed
}

// errShortWatch is logged for a watch that the Reflector doesn't resume, because it ended
// at once and without an event.
var errShortWatch = errors.New("the watch ended as soon as it began")

// noteList notes a list after the first: objects that came and went before it aren't in
// it.
func (r *reflector) noteList() {
	r.watcher.mu.Lock()
	defer r.watcher.mu.Unlock()
	if r.state != reflectorStarting {
		r.breakOn(errShortWatch)
	}
}

// noteError notes that a call failed.
func (r *reflector) noteError(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	r.watcher.mu.Lock()
	defer r.watcher.mu.Unlock()
	r.breakOn(err)
}

// breakOn logs and notes a break. The caller holds the watcher's mutex, as for breakNow.
func (r *reflector) breakOn(err error) {
	if r.state != reflectorBroken {
		r.log.Warn("watching a namespace failed; time there doesn't count until it works again", "namespace", r.watcher.namespace, "kind", r.kind.name, "error", err)
	}
	r.breakNow()
}

func (r *reflector) breakNow() {
	if r.state != reflectorStarting {
		r.state = reflectorBroken
	}
	r.listed = false
	if r.cancel != nil {
		r.cancel()
	}
	r.watcher.broke = true
	r.watcher.changed.Broadcast()
}

// noteRunning notes that a watch runs. It returns false where a break happened since the
// watch was requested.
func (r *reflector) noteRunning(s *stream) bool {
	r.watcher.mu.Lock()
	defer r.watcher.mu.Unlock()
	if !r.listed {
		return false
	}
	if r.state == reflectorBroken {
		r.log.Info("watching a namespace works again", "namespace", r.watcher.namespace, "kind", r.kind.name)
	}
	r.state = reflectorRunning
	r.stream = s
	r.watcher.changed.Broadcast()
	return true
}

// noteEnd notes that a watch ended without an error.
func (r *reflector) noteEnd(s *stream) {
	r.watcher.mu.Lock()
	defer r.watcher.mu.Unlock()
	if r.stream != s {
		return
	}
	r.stream = nil
	if r.state == reflectorRunning {
		r.state = reflectorResuming
	}
}

// restart breaks the watch off: its connection may be dead without any error.
func (r *reflector) restart() {
	r.watcher.mu.Lock()
	defer r.watcher.mu.Unlock()
	r.breakNow()
}

// Add stores an object of a watch.
func (r *reflector) Add(o any) error { return r.Update(o) }

// Update stores an object of a watch.
func (r *reflector) Update(o any) error {
	r.watcher.change(func() { r.watcher.set(o) })
	return nil
}

// Delete removes an object.
func (r *reflector) Delete(o any) error {
	r.watcher.change(func() { r.watcher.remove(o) })
	return nil
}

// Replace stores the objects of a list in one step: the namespace was never in a state
// between.
func (r *reflector) Replace(objects []any, _ string) error {
	r.watcher.change(func() {
		r.watcher.removeKind(r.kind.name)
		for _, o := range objects {
			r.watcher.set(o)
		}
		r.listed = true
	})
	return nil
}

// Resync does nothing: no object waits to be handled.
func (r *reflector) Resync() error { return nil }

// stream is a watch whose end is noted before client-go's Reflector sees it.
type stream struct {
	watch.Interface

	reflector *reflector
	events    chan watch.Event
	cancel    context.CancelFunc
}

// ResultChan returns the events that were noted.
func (s *stream) ResultChan() <-chan watch.Event { return s.events }

// Stop ends the watch.
func (s *stream) Stop() {
	s.cancel()
	s.Interface.Stop()
}

func (s *stream) forward(ctx context.Context) {
	defer close(s.events)
	defer s.reflector.noteEnd(s)
	for event := range s.Interface.ResultChan() {
		if event.Type == watch.Error {
			s.reflector.noteError(ctx, apierrors.FromObject(event.Object))
		}
		select {
		case s.events <- event:
		case <-ctx.Done():
			return
		}
	}
}
