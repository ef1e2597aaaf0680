package policycache

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/envladder/envladder/api/v1alpha1"
)

// The kinds that the Cache follows.
var (
	GateKind      = v1alpha1.GroupVersion.WithKind("Gate")
	RecallKind    = v1alpha1.GroupVersion.WithKind("Recall")
	ExceptionKind = v1alpha1.GroupVersion.WithKind("Exception")
)

// Cache has the Gates, Recalls and Exceptions as informers last saw them. Each is decoded
// once, when it changes, and not for each request.
type Cache struct {
	log *slog.Logger

	mu    sync.RWMutex
	gates map[string]CachedGate
	// recalls that could be decoded. recallList is the same as a sorted list; nil after a
	// change, until it is next needed.
	recalls    map[string]v1alpha1.Recall
	recallList []v1alpha1.Recall
	// unreadableRecalls maps names to why the Recall can't be decoded. What such a Recall
	// forbids isn't known, so nothing is admitted while there is one.
	unreadableRecalls map[string]error
	// exceptions that could be decoded, and the same as a sorted list, like recallList.
	exceptions    map[string]v1alpha1.Exception
	exceptionList []v1alpha1.Exception

	synced  []func() bool
	changed chan struct{}
}

// New returns an empty Cache. It isn't ready before Watch was called and the informers
// have delivered what the cluster stores.
func New(log *slog.Logger) *Cache {
	return &Cache{
		log: log, gates: map[string]CachedGate{}, recalls: map[string]v1alpha1.Recall{}, unreadableRecalls: map[string]error{},
		exceptions: map[string]v1alpha1.Exception{}, changed: make(chan struct{}, 1),
	}
}

// Watch fills the Cache from informers, once these run.
func (c *Cache) Watch(ctx context.Context, informers cache.Informers) error {
	for _, watched := range []struct {
		plural string
		kind   schema.GroupVersionKind
		set    func(*unstructured.Unstructured)
		remove func(name string)
	}{
		{"Gates", GateKind, c.SetGate, c.DeleteGate},
		{"Recalls", RecallKind, c.SetRecall, c.DeleteRecall},
		{"Exceptions", ExceptionKind, c.SetException, c.DeleteException},
	} {
		informer, err := informers.GetInformer(ctx, NewObject(watched.kind))
		if err != nil {
			return fmt.Errorf("watching %s (are envladder's CRDs installed, and may this account list them?): %w", watched.plural, err)
		}
		registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: func(o any) { watched.set(asUnstructured(o)); c.notify() },
			UpdateFunc: func(old, o any) {
				watched.set(asUnstructured(o))
				// An update of the status alone has the same generation: the webhook wrote it.
				if asUnstructured(old).GetGeneration() != asUnstructured(o).GetGeneration() {
					c.notify()
				}
			},
			DeleteFunc: func(o any) {
				if tombstone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
					o = tombstone.Obj
				}
				watched.remove(asUnstructured(o).GetName())
				c.notify()
			},
		})
		if err != nil {
			return fmt.Errorf("watching %s: %w", watched.plural, err)
		}
		c.synced = append(c.synced, registration.HasSynced)
	}
	return nil
}

// NewObject returns an empty object of a kind.
func NewObject(kind schema.GroupVersionKind) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind)
	return u
}

// asUnstructured returns an object as informers of unstructured objects deliver it.
func asUnstructured(o any) *unstructured.Unstructured {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		panic(fmt.Sprintf("an informer of unstructured objects delivered a %T", o))
	}
	return u
}

// notify puts a token into the channel that Changed returns.
func (c *Cache) notify() {
	select {
	case c.changed <- struct{}{}:
	default: // it holds a token already
	}
}

// Changed returns a channel that holds a token after a Gate, Recall or Exception has
// changed. It is for one reader.
func (c *Cache) Changed() <-chan struct{} { return c.changed }

// Ready reports whether the Cache has every Gate, Recall and Exception that the cluster
// had when the informers started.
func (c *Cache) Ready() bool {
	return len(c.synced) > 0 && !slices.ContainsFunc(c.synced, func(synced func() bool) bool { return !synced() })
}

// GatesFor returns the Gates that name a namespace, sorted by name.
func (c *Cache) GatesFor(namespace string) []CachedGate {
	return c.selectGates(func(g CachedGate) bool { return g.Covers(namespace) })
}

// Gates returns all Gates, sorted by name.
func (c *Cache) Gates() []CachedGate {
	return c.selectGates(func(CachedGate) bool { return true })
}

func (c *Cache) selectGates(selected func(CachedGate) bool) []CachedGate {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var gates []CachedGate
	for _, g := range c.gates {
		if selected(g) {
			gates = append(gates, g)
		}
	}
	slices.SortFunc(gates, func(a, b CachedGate) int { return cmp.Compare(a.Name, b.Name) })
	return gates
}

// Recalls returns all Recalls that could be decoded, sorted by name.
func (c *Cache) Recalls() []v1alpha1.Recall {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.recallList == nil {
		c.recallList = slices.SortedFunc(maps.Values(c.recalls), func(a, b v1alpha1.Recall) int { return cmp.Compare(a.Name, b.Name) })
	}
	return c.recallList
}

// UnreadableRecall returns the name of a Recall that can't be decoded, and why; no error
// if there is none.
func (c *Cache) UnreadableRecall() (name string, err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, name := range slices.Sorted(maps.Keys(c.unreadableRecalls)) {
		return name, c.unreadableRecalls[name]
	}
	return "", nil
}

// Exceptions returns all Exceptions that could be decoded, sorted by name.
func (c *Cache) Exceptions() []v1alpha1.Exception {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exceptionList == nil {
		c.exceptionList = slices.SortedFunc(maps.Values(c.exceptions), func(a, b v1alpha1.Exception) int { return cmp.Compare(a.Name, b.Name) })
	}
	return c.exceptionList
}
