package observer

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

// feed brings one kind of a namespace to its world: client-go's Reflector lists and
// watches by it and writes into it, all in one goroutine, so that whatever the API server
// said before a watch is known by the time that the watch runs.
type feed struct {
	world  *world
	client client.WithWatch
	kind   kind
	log    *slog.Logger

	// Guarded by the world's mutex.
	state  feedState
	listed bool               // since the last break
	stream *stream            // the watch that runs, nil between two
	cancel context.CancelFunc // of the watch that runs or is asked for
}

type feedState int

const (
	feedBegins  feedState = iota // nothing is known yet
	feedRuns                     // a watch runs, and what was before it is known
	feedResumes                  // a watch has ended in order: the next may go on where it ended
	feedBroke                    // what happens isn't seen
)

// run lists and watches until ctx ends.
func (f *feed) run(ctx context.Context) {
	source := &toolscache.ListWatch{ListWithContextFunc: f.list, WatchFuncWithContext: f.watch}
	r := toolscache.NewReflectorWithOptions(source, f.kind.object, f, toolscache.ReflectorOptions{Name: "observer"})
	r.UseWatchList = new(bool) // a list has an end, by which the kind is known
	// What it would say, the feed says, once for each break.
	r.RunWithContext(klog.NewContext(ctx, logr.Discard()))
}

// list has what is there as of now: what the API server has in its cache may be old.
func (f *feed) list(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	f.relists()
	options.ResourceVersion, options.ResourceVersionMatch = "", ""
	list := f.kind.list()
	// Limit and Continue are the client's own, and not read from Raw.
	err := f.client.List(ctx, list, &client.ListOptions{Namespace: f.world.namespace, Limit: options.Limit, Continue: options.Continue, Raw: &options})
	f.failed(ctx, err)
	return list, err
}

// errAnew makes the Reflector list, which would try the watch again after some errors.
var errAnew = errors.New("listing anew")

// watch goes on from a list, or from a watch that ended in order. After a break it
// doesn't: when the rest of what was missed will have come, nothing says.
func (f *feed) watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	watched, cancel := context.WithCancel(ctx)
	if !f.begins(cancel) {
		cancel()
		return nil, errAnew
	}
	watching, err := f.client.Watch(watched, f.kind.list(), &client.ListOptions{Namespace: f.world.namespace, Raw: &options})
	if err != nil {
		f.failed(watched, err)
		cancel()
		return nil, errAnew
	}
	s := &stream{Interface: watching, feed: f, events: make(chan watch.Event), cancel: cancel}
	if !f.opened(s) {
		s.Stop()
		return nil, errAnew
	}
	go s.forward(watched)
	return s, nil
}

// begins says whether a watch may begin, which a break then cancels.
func (f *feed) begins(cancel context.CancelFunc) bool {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	f.cancel = cancel
	return f.listed
}

// errShort is about a watch that the Reflector doesn't go on from, because it ended at
// once and brought nothing.
var errShort = errors.New("a watch ended as soon as it began")

// relists notes a list after the first: what came and went before it isn't in it.
func (f *feed) relists() {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if f.state != feedBegins {
		f.breaksBy(errShort)
	}
}

// failed notes that a call failed.
func (f *feed) failed(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	f.breaksBy(err)
}

// breaksBy is for those that hold the world's mutex, as breaks is.
func (f *feed) breaksBy(err error) {
	if f.state != feedBroke {
		f.log.Warn("following a namespace fails; until it doesn't, time doesn't count there", "namespace", f.world.namespace, "kind", f.kind.name, "error", err)
	}
	f.breaks()
}

func (f *feed) breaks() {
	if f.state != feedBegins {
		f.state = feedBroke
	}
	f.listed = false
	if f.cancel != nil {
		f.cancel()
	}
	f.world.broke = true
	f.world.changed.Broadcast()
}

// opened notes that a watch runs. It says whether it may: there may have been a break
// since it was asked for.
func (f *feed) opened(s *stream) bool {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if !f.listed {
		return false
	}
	if f.state == feedBroke {
		f.log.Info("following a namespace goes on", "namespace", f.world.namespace, "kind", f.kind.name)
	}
	f.state, f.stream = feedRuns, s
	f.world.changed.Broadcast()
	return true
}

// ended notes that a watch has no more events, and didn't say why.
func (f *feed) ended(s *stream) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if f.stream != s {
		return
	}
	f.stream = nil
	if f.state == feedRuns {
		f.state = feedResumes
	}
}

// doubt begins the watch anew: its connection may be dead, and say nothing of it.
func (f *feed) doubt() {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	f.breaks()
}

// stream is a watch whose end is noted before the Reflector knows of it.
type stream struct {
	watch.Interface

	feed   *feed
	events chan watch.Event
	cancel context.CancelFunc
}

// ResultChan is the watch's, as far as it was noted.
func (s *stream) ResultChan() <-chan watch.Event { return s.events }

// Stop ends the watch.
func (s *stream) Stop() {
	s.cancel()
	s.Interface.Stop()
}

func (s *stream) forward(ctx context.Context) {
	defer close(s.events)
	defer s.feed.ended(s)
	for event := range s.Interface.ResultChan() {
		if event.Type == watch.Error {
			s.feed.failed(ctx, apierrors.FromObject(event.Object))
		}
		select {
		case s.events <- event:
		case <-ctx.Done():
			return
		}
	}
}

// Add is what a watch brings.
func (f *feed) Add(o any) error { return f.Update(o) }

// Update is what a watch brings.
func (f *feed) Update(o any) error {
	f.world.change(func() { f.world.set(o) })
	return nil
}

// Delete is what a watch brings.
func (f *feed) Delete(o any) error {
	f.world.change(func() { f.world.remove(o) })
	return nil
}

// Replace is what a list brings: all at once, since what is between isn't how the
// namespace was at any moment.
func (f *feed) Replace(all []any, _ string) error {
	f.world.change(func() {
		f.world.empty(f.kind.name)
		for _, o := range all {
			f.world.set(o)
		}
		f.listed = true
	})
	return nil
}

// Resync does nothing: nothing is put off.
func (f *feed) Resync() error { return nil }
