package watch

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

// NamespaceWatcher follows one namespace. It assesses health at every event, so that a
// digest that is unhealthy between two observations is noticed, however briefly.
type NamespaceWatcher struct {
	namespace  string
	stop       context.CancelFunc
	reflectors []*reflector

	mu sync.Mutex
	// changed is signalled when the state of a reflector changes.
	changed  sync.Cond
	snapshot Snapshot
	assessor assessor
	// images caches what findImage returned since the last observation.
	images map[imageKey]imageMatch
	// observed are the subjects of the last observation, dips the reasons why they were
	// unhealthy at some moment since.
	observed map[Subject]bool
	dips     map[Subject]v1alpha1.SoakReason
	// broke is set when a reflector broke since the last observation.
	broke bool
}

type imageKey struct {
	gate       *Gate
	repository string
}

type imageMatch struct {
	image gate.Image
	ok    bool
}

// Start begins to watch a namespace, with its Argo Rollouts if the cluster has them, until ctx
// ends or the watcher is stopped.
func Start(ctx context.Context, cluster client.WithWatch, namespace string, rollouts bool, log *slog.Logger) *NamespaceWatcher {
	w := newNamespaceWatcher(namespace)
	ctx, w.stop = context.WithCancel(ctx)
	kinds := watchedKinds()
	if rollouts {
		kinds = append(kinds, watchedRollouts())
	}
	for _, k := range kinds {
		w.reflectors = append(w.reflectors, &reflector{watcher: w, client: cluster, kind: k, log: log})
	}
	for _, r := range w.reflectors {
		go r.run(ctx)
	}
	return w
}

func newNamespaceWatcher(namespace string) *NamespaceWatcher {
	w := &NamespaceWatcher{
		namespace: namespace,
		stop:      func() {},
		snapshot:  Snapshot{map[types.UID]*Pod{}, map[types.UID]*Workload{}, map[types.UID]*rollout{}},
		images:    map[imageKey]imageMatch{},
		observed:  map[Subject]bool{},
		dips:      map[Subject]v1alpha1.SoakReason{},
	}
	w.changed.L = &w.mu
	return w
}

// Stop ends the watches.
func (w *NamespaceWatcher) Stop() { w.stop() }

// Synced reports whether everything that the namespace had at the start has been listed.
func (w *NamespaceWatcher) Synced() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.anyReflector(reflectorStarting)
}

// anyReflector reports whether a reflector is in a state.
func (w *NamespaceWatcher) anyReflector(state reflectorState) bool {
	return slices.ContainsFunc(w.reflectors, func(r *reflector) bool { return r.state == state })
}

// WaitForResume waits until watches that the API server closed regularly, as it does
// every few minutes, run again: they bring the events of the time between.
func (w *NamespaceWatcher) WaitForResume(ctx context.Context) {
	defer context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.changed.Broadcast()
	})()
	w.mu.Lock()
	defer w.mu.Unlock()
	for ctx.Err() == nil && w.anyReflector(reflectorResuming) {
		w.changed.Wait()
	}
}

// Restart lists and watches everything again.
func (w *NamespaceWatcher) Restart() {
	for _, r := range w.reflectors {
		r.restart()
	}
}

// change changes the snapshot and notes what became unhealthy by it.
func (w *NamespaceWatcher) change(apply func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	apply()
	w.noteDips()
}

func (w *NamespaceWatcher) set(o any) {
	switch o := o.(type) {
	case *corev1.Pod:
		w.snapshot.Pods[o.UID] = newPod(o)
	case *unstructured.Unstructured:
		w.snapshot.rollouts[o.GetUID()] = newRollout(o)
	case client.Object:
		if workload := newWorkload(o); workload != nil {
			w.snapshot.Workloads[o.GetUID()] = workload
		}
	}
}

func (w *NamespaceWatcher) remove(o any) {
	if o, ok := o.(client.Object); ok {
		delete(w.snapshot.Pods, o.GetUID())
		delete(w.snapshot.Workloads, o.GetUID())
		delete(w.snapshot.rollouts, o.GetUID())
	}
}

// removeKind removes all objects of a kind.
func (w *NamespaceWatcher) removeKind(kind string) {
	switch kind {
	case "Pod":
		clear(w.snapshot.Pods)
	case rolloutKind.Kind:
		clear(w.snapshot.rollouts)
	}
	maps.DeleteFunc(w.snapshot.Workloads, func(_ types.UID, workload *Workload) bool { return workload.Identity.Kind == kind })
}

// noteDips records which of the observed subjects aren't healthy at this moment.
func (w *NamespaceWatcher) noteDips() {
	if len(w.observed) == 0 {
		return
	}
	subjects, _ := w.assessor.assess(w.snapshot)
	for subject := range w.observed {
		h, running := subjects[subject]
		if !running {
			h.Reason = v1alpha1.SoakNotRunning
		}
		if h.Reason != "" && w.dips[subject] == "" {
			w.dips[subject] = h.Reason
		}
	}
}

// findImage is gate.FindImage, called once for each repository: it parses patterns.
func (w *NamespaceWatcher) findImage(g *Gate, repository string) (gate.Image, bool) {
	key := imageKey{g, repository}
	match, known := w.images[key]
	if !known {
		match.image, match.ok = gate.FindImage(g.Spec, repository)
		w.images[key] = match
	}
	return match.image, match.ok
}
