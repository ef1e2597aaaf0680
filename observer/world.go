package observer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

// world follows one namespace. It judges at every event, so that a bad moment between
// two observations is seen, however short.
type world struct {
	namespace string
	stop      context.CancelFunc
	synced    []func() bool

	mu    sync.Mutex
	scene scene
	judge judge
	// found remembers what findImage said, for the Gates as they are.
	found map[foundKey]foundImage
	// watched are the subjects of the last observation, dips the reasons why they
	// weren't healthy at some moment since.
	watched map[subject]bool
	dips    map[subject]v1alpha1.SoakReason
	// broke says that a watch failed since the last observation.
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
func follow(ctx context.Context, config *rest.Config, options cache.Options, namespace string, log *slog.Logger) (*world, error) {
	w := newWorld(namespace)
	options.DefaultNamespaces = map[string]cache.Config{namespace: {}}
	options.DefaultTransform = cache.TransformStripManagedFields()
	options.DefaultWatchErrorHandler = w.watchBroke(log)
	informers, err := cache.New(config, options)
	if err != nil {
		return nil, fmt.Errorf("following namespace %q: %w", namespace, err)
	}
	ctx, w.stop = context.WithCancel(ctx)
	for _, kind := range kinds() {
		if err := w.followKind(ctx, informers, kind); err != nil {
			w.stop()
			return nil, fmt.Errorf("following namespace %q: %w", namespace, err)
		}
	}
	go func() {
		if err := informers.Start(ctx); err != nil && ctx.Err() == nil {
			log.Error("following a namespace failed", "namespace", namespace, "error", err)
			w.markBroken()
		}
	}()
	return w, nil
}

func newWorld(namespace string) *world {
	return &world{
		namespace: namespace,
		stop:      func() {},
		scene:     scene{pods: map[types.UID]*pod{}, workloads: map[types.UID]*workload{}},
		found:     map[foundKey]foundImage{},
		watched:   map[subject]bool{},
		dips:      map[subject]v1alpha1.SoakReason{},
	}
}

func (w *world) followKind(ctx context.Context, informers cache.Cache, kind client.Object) error {
	informer, err := informers.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { w.set(o) },
		UpdateFunc: func(_, o any) { w.set(o) },
		DeleteFunc: func(o any) {
			if tombstone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = tombstone.Obj
			}
			w.remove(o)
		},
	})
	if err != nil {
		return err
	}
	w.synced = append(w.synced, registration.HasSynced)
	return nil
}

func (w *world) watchBroke(log *slog.Logger) toolscache.WatchErrorHandlerWithContext {
	return func(ctx context.Context, r *toolscache.Reflector, err error) {
		if ctx.Err() != nil || errors.Is(err, io.EOF) {
			return // a watch that ends orderly goes on where it ended
		}
		log.Warn("following a namespace fails; until it doesn't, time doesn't count there", "namespace", w.namespace, "kind", r.TypeDescription(), "error", err)
		w.markBroken()
	}
}

func (w *world) markBroken() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broke = true
}

// ready says whether all that the namespace had at the start is known.
func (w *world) ready() bool {
	for _, synced := range w.synced {
		if !synced() {
			return false
		}
	}
	return true
}

func (w *world) set(o any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch o := o.(type) {
	case *corev1.Pod:
		w.scene.pods[o.UID] = newPod(o)
	case client.Object:
		if read := newWorkload(o); read != nil {
			w.scene.workloads[o.GetUID()] = read
		}
	}
	w.notice()
}

func (w *world) remove(o any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o, ok := o.(client.Object); ok {
		delete(w.scene.pods, o.GetUID())
		delete(w.scene.workloads, o.GetUID())
	}
	w.notice()
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
	subjects map[subject]health
	dips     map[subject]v1alpha1.SoakReason
	tagged   map[string]string
	broke    bool
}

// look sees how the namespace is, and how it was since the last look.
func (w *world) look(gates []*observedGate, contradicts contradicts) sight {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.judge = judge{gates: gates, find: w.find, contradicts: contradicts}
	clear(w.found)
	var s sight
	s.subjects, s.tagged = w.judge.assess(w.scene)
	s.dips, w.dips = w.dips, map[subject]v1alpha1.SoakReason{}
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
