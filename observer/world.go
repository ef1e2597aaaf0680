package observer

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

// world follows one namespace. It judges at every event, so that a bad moment between
// two observations is seen, however short.
type world struct {
	namespace string
	stop      context.CancelFunc
	feeds     []*feed

	mu sync.Mutex
	// changed says that a feed's state did.
	changed sync.Cond
	scene   scene
	judge   judge
	// found remembers what findImage said, for the Gates as they are.
	found map[foundKey]foundImage
	// watched are the subjects of the last observation, dips the reasons why they
	// weren't healthy at some moment since.
	watched map[subject]bool
	dips    map[subject]v1alpha1.SoakReason
	// broke says that a feed did since the last observation.
	broke bool
}

type foundKey struct {
	gate       *observedGate
	repository string
}

type foundImage struct {
	image gate.Image
	ok    bool
}

// follow begins to follow a namespace, until the world is stopped.
func follow(ctx context.Context, cluster client.WithWatch, namespace string, log *slog.Logger) *world {
	w := newWorld(namespace)
	ctx, w.stop = context.WithCancel(ctx)
	for _, k := range kinds() {
		w.feeds = append(w.feeds, &feed{world: w, client: cluster, kind: k, log: log})
	}
	for _, f := range w.feeds {
		go f.run(ctx)
	}
	return w
}

func newWorld(namespace string) *world {
	w := &world{
		namespace: namespace,
		stop:      func() {},
		scene:     scene{pods: map[types.UID]*pod{}, workloads: map[types.UID]*workload{}},
		found:     map[foundKey]foundImage{},
		watched:   map[subject]bool{},
		dips:      map[subject]v1alpha1.SoakReason{},
	}
	w.changed.L = &w.mu
	return w
}

// ready says whether all that the namespace had at the start is known.
func (w *world) ready() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.any(feedBegins)
}

// any says whether a feed is in a state.
func (w *world) any(state feedState) bool {
	return slices.ContainsFunc(w.feeds, func(f *feed) bool { return f.state == state })
}

// settle waits while watches go on where others ended in order, as they do every some
// minutes: what happens meanwhile is seen as soon as they do.
func (w *world) settle(ctx context.Context) {
	defer context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.changed.Broadcast()
	})()
	w.mu.Lock()
	defer w.mu.Unlock()
	for ctx.Err() == nil && w.any(feedResumes) {
		w.changed.Wait()
	}
}

// doubt begins all watches anew.
func (w *world) doubt() {
	for _, f := range w.feeds {
		f.doubt()
	}
}

// change changes the scene, and looks at it.
func (w *world) change(scene func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	scene()
	w.notice()
}

func (w *world) set(o any) {
	switch o := o.(type) {
	case *corev1.Pod:
		w.scene.pods[o.UID] = newPod(o)
	case client.Object:
		if read := newWorkload(o); read != nil {
			w.scene.workloads[o.GetUID()] = read
		}
	}
}

func (w *world) remove(o any) {
	if o, ok := o.(client.Object); ok {
		delete(w.scene.pods, o.GetUID())
		delete(w.scene.workloads, o.GetUID())
	}
}

// empty removes all of a kind.
func (w *world) empty(kind string) {
	if kind == "Pod" {
		clear(w.scene.pods)
	}
	maps.DeleteFunc(w.scene.workloads, func(_ types.UID, w *workload) bool { return w.identity.Kind == kind })
}

// notice records which of the watched subjects aren't healthy at this moment.
func (w *world) notice() {
	if len(w.watched) == 0 {
		return
	}
	subjects, _ := w.judge.assess(w.scene)
	for of := range w.watched {
		h, runs := subjects[of]
		if !runs {
			h.Reason = v1alpha1.SoakNotRunning
		}
		if h.Reason != "" && w.dips[of] == "" {
			w.dips[of] = h.Reason
		}
	}
}

// sight is what an observation of a namespace sees.
type sight struct {
	// at is the instant of the look: what is written and asked afterwards takes time in
	// which nobody looks.
	at       instant
	subjects map[subject]health
	dips     map[subject]v1alpha1.SoakReason
	tagged   map[string]string
	// broke says that something may have gone unseen since the last look, blind that it
	// may still.
	broke, blind bool
}

// dip is why a digest wasn't healthy, or not seen, since the last look; empty where
// neither is so.
func (s sight) dip(spec v1alpha1.SoakSpec) v1alpha1.SoakReason {
	if s.broke {
		return v1alpha1.SoakUnobserved
	}
	return s.dips[subject{spec.Gate, spec.Repository, spec.Digest}]
}

// of is the look at a digest, as its track takes it.
func (s sight) of(spec v1alpha1.SoakSpec) observation { return s.at.observation(s.dip(spec)) }

// errLate is about a watch that ended in order, and isn't there again for the look.
var errLate = errors.New("a watch ended, and the next one takes long")

// look sees how the namespace is, and how it was since the last look.
func (w *world) look(gates []*observedGate, contradicts contradicts, clock clock) sight {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := sight{at: read(clock)} // before the judging: what comes after it is the next look's
	w.judge = judge{gates: gates, find: w.find, contradicts: contradicts}
	clear(w.found)
	s.subjects, s.tagged = w.judge.assess(w.scene)
	s.dips, w.dips = w.dips, map[subject]v1alpha1.SoakReason{}
	for _, f := range w.feeds {
		if f.state == feedResumes {
			f.breaksBy(errLate)
		}
	}
	s.blind = w.any(feedBroke)
	s.broke, w.broke = w.broke, false
	w.watched = map[subject]bool{}
	for of := range s.subjects {
		w.watched[of] = true
	}
	return s
}

// find is gate.FindImage, once for each repository: it parses patterns.
func (w *world) find(g *observedGate, repository string) (gate.Image, bool) {
	key := foundKey{g, repository}
	known, ok := w.found[key]
	if !ok {
		known.image, known.ok = gate.FindImage(g.spec, repository)
		w.found[key] = known
	}
	return known.image, known.ok
}
