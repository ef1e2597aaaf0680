package webhook

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
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/verdict"
)

var (
	gateKind      = v1alpha1.GroupVersion.WithKind("Gate")
	recallKind    = v1alpha1.GroupVersion.WithKind("Recall")
	exceptionKind = v1alpha1.GroupVersion.WithKind("Exception")
)

// guard is a Gate as the cluster has it.
type guard struct {
	verdict.Gate
	// unreadable is why it can't be read, which no judge can be asked about. What it
	// says wrongly is the judge's to find.
	unreadable error
	// everywhere is set where not even its namespaces could be read.
	everywhere bool
}

func (g guard) names(namespace string) bool {
	return g.everywhere || slices.Contains(g.Spec.Namespaces, namespace)
}

// readGate makes a guard of whatever the cluster holds; it has no error, since a Gate
// that is skipped would leave its namespaces open. Of one that can't be read it keeps
// what a denial needs: its name, and its namespaces where those can be read.
func readGate(u *unstructured.Unstructured) (read guard) {
	defer func() {
		// In an informer's goroutine a panic would end the webhook, and again
		// whenever it starts: one Gate would stop all namespaces.
		if p := recover(); p != nil {
			read = guard{unreadable: fmt.Errorf("envladder failed while it read the Gate: %v", p), everywhere: true}
			read.Gate.Gate = &v1alpha1.Gate{}
			read.Name = u.GetName()
			read.Ref = gate.Ref{Name: u.GetName()}
		}
	}()
	g, unknown, err := v1alpha1.GateFrom(u.Object)
	if err == nil {
		return guard{Gate: verdict.Gate{Gate: g, Unknown: unknown, Ref: gate.RefTo(g)}}
	}
	g = &v1alpha1.Gate{}
	g.Name, g.Generation = u.GetName(), u.GetGeneration()
	g.Spec.Environment, _, _ = unstructured.NestedString(u.Object, "spec", "environment")
	namespaces, found, nsErr := unstructured.NestedStringSlice(u.Object, "spec", "namespaces")
	g.Spec.Namespaces = namespaces
	return guard{Gate: verdict.Gate{Gate: g, Ref: gate.RefTo(g)}, unreadable: err, everywhere: nsErr != nil || !found}
}

// faults are why the Gate isn't judged by, none where it is.
func (g guard) faults() []gate.Reason {
	if g.unreadable != nil {
		return []gate.Reason{gate.NewReason(gate.GateInvalid, "%v", g.unreadable)}
	}
	return slices.Concat(gate.Check(g.Gate.Gate), gate.CheckSupported(g.Gate.Gate, g.Unknown))
}

// store has the Gates, Recalls and Exceptions as informers last saw them. A Gate is read
// once, when it changes, not once a request.
type store struct {
	log *slog.Logger

	mu      sync.RWMutex
	gates   map[string]guard
	recalls map[string]v1alpha1.Recall
	// unread are Recalls that can't be read. Whatever they forbid isn't known, so
	// nothing is let by while there is one.
	unread map[string]error
	// recallList is recalls as a sorted list, made when first asked for after a change.
	recallList []v1alpha1.Recall
	// exceptions that can be read; one that can't gives no leave.
	exceptions map[string]v1alpha1.Exception
	// exceptionList is to exceptions what recallList is to recalls.
	exceptionList []v1alpha1.Exception
	synced        []func() bool
	// changed holds a token after something was read that rulings go by.
	changed chan struct{}
}

func newStore(log *slog.Logger) *store {
	return &store{
		log: log, gates: map[string]guard{}, recalls: map[string]v1alpha1.Recall{}, unread: map[string]error{},
		exceptions: map[string]v1alpha1.Exception{}, changed: make(chan struct{}, 1),
	}
}

// note has whoever waits for changes know of one.
func (s *store) note() {
	select {
	case s.changed <- struct{}{}:
	default: // there is a token already
	}
}

// watch fills the store from informers, once these run.
func (s *store) watch(ctx context.Context, informers cache.Informers) error {
	for _, watched := range []struct {
		kind   string
		object *unstructured.Unstructured
		set    func(*unstructured.Unstructured)
		remove func(name string)
	}{
		{"Gates", emptyOf(gateKind), s.setGate, s.removeGate},
		{"Recalls", emptyOf(recallKind), s.setRecall, s.removeRecall},
		{"Exceptions", emptyOf(exceptionKind), s.setException, s.removeException},
	} {
		informer, err := informers.GetInformer(ctx, watched.object)
		if err != nil {
			return fmt.Errorf("watching %s (are envladder's CRDs installed, and may this account list them?): %w", watched.kind, err)
		}
		registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: func(o any) { watched.set(received(o)); s.note() },
			UpdateFunc: func(old, o any) {
				watched.set(received(o))
				if received(old).GetGeneration() != received(o).GetGeneration() { // else it is a status, which we write
					s.note()
				}
			},
			DeleteFunc: func(o any) {
				if tombstone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
					o = tombstone.Obj
				}
				watched.remove(received(o).GetName())
				s.note()
			},
		})
		if err != nil {
			return fmt.Errorf("watching %s: %w", watched.kind, err)
		}
		s.synced = append(s.synced, registration.HasSynced)
	}
	return nil
}

// received is an object as informers of unstructured objects give it.
func received(o any) *unstructured.Unstructured {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		panic(fmt.Sprintf("an informer of unstructured objects gave a %T", o))
	}
	return u
}

func emptyOf(kind schema.GroupVersionKind) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind)
	return u
}

// ready says whether every Gate, Recall and Exception that the cluster had at the start
// has been read.
func (s *store) ready() bool {
	return len(s.synced) > 0 && !slices.ContainsFunc(s.synced, func(synced func() bool) bool { return !synced() })
}

// guarding are the Gates that name a namespace, sorted by name.
func (s *store) guarding(namespace string) []guard {
	return s.those(func(g guard) bool { return g.names(namespace) })
}

// all are all Gates, sorted by name.
func (s *store) all() []guard {
	return s.those(func(guard) bool { return true })
}

func (s *store) those(wanted func(guard) bool) []guard {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var gates []guard
	for _, g := range s.gates {
		if wanted(g) {
			gates = append(gates, g)
		}
	}
	slices.SortFunc(gates, func(a, b guard) int { return cmp.Compare(a.Name, b.Name) })
	return gates
}

// recalled are all Recalls, sorted by name.
func (s *store) recalled() []v1alpha1.Recall {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recallList == nil {
		s.recallList = slices.SortedFunc(maps.Values(s.recalls), func(a, b v1alpha1.Recall) int { return cmp.Compare(a.Name, b.Name) })
	}
	return s.recallList
}

// excepted are all Exceptions that can be read, sorted by name.
func (s *store) excepted() []v1alpha1.Exception {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.exceptionList == nil {
		s.exceptionList = slices.SortedFunc(maps.Values(s.exceptions), func(a, b v1alpha1.Exception) int { return cmp.Compare(a.Name, b.Name) })
	}
	return s.exceptionList
}

// unreadRecall names a Recall that can't be read, if there is one.
func (s *store) unreadRecall() (name string, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, name := range slices.Sorted(maps.Keys(s.unread)) {
		return name, s.unread[name]
	}
	return "", nil
}

func (s *store) setGate(u *unstructured.Unstructured) {
	g := readGate(u)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gates[u.GetName()] = g
	s.log.Info("read a Gate", "gate", g.Name, "generation", g.Generation, "namespaces", g.Spec.Namespaces, "faults", len(g.faults()))
}

func (s *store) removeGate(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.gates, name)
	s.log.Info("a Gate is gone", "gate", name)
}

func (s *store) setRecall(u *unstructured.Unstructured) {
	recall, err := readRecall(u)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recallList = nil
	delete(s.unread, u.GetName())
	delete(s.recalls, u.GetName())
	if err != nil {
		s.unread[u.GetName()] = err
		s.log.Error("a Recall can't be read; every guarded namespace denies until it can", "recall", u.GetName(), "error", err)
		return
	}
	s.recalls[u.GetName()] = *recall
	s.log.Info("read a Recall", "recall", recall.Name, "digests", len(recall.Spec.Digests))
}

// readRecall takes a panic for a Recall that can't be read, as readGate does.
func readRecall(u *unstructured.Unstructured) (recall *v1alpha1.Recall, err error) {
	defer func() {
		if p := recover(); p != nil {
			recall, err = nil, fmt.Errorf("envladder failed while it read the Recall: %v", p)
		}
	}()
	return v1alpha1.RecallFrom(u.Object)
}

func (s *store) removeRecall(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recallList = nil
	delete(s.recalls, name)
	delete(s.unread, name)
	s.log.Info("a Recall is gone", "recall", name)
}

func (s *store) setException(u *unstructured.Unstructured) {
	exception, err := readException(u)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exceptionList = nil
	delete(s.exceptions, u.GetName())
	if err != nil {
		s.log.Error("an Exception can't be read; it gives no leave", "exception", u.GetName(), "error", err)
		return
	}
	s.exceptions[u.GetName()] = *exception
	s.log.Info("read an Exception", "exception", exception.Name, "digest", exception.Spec.Digest,
		"namespaces", exception.Spec.Namespaces, "expiresAt", exception.Spec.ExpiresAt.Time)
}

// readException takes a panic for an Exception that can't be read, as readGate does.
func readException(u *unstructured.Unstructured) (exception *v1alpha1.Exception, err error) {
	defer func() {
		if p := recover(); p != nil {
			exception, err = nil, fmt.Errorf("envladder failed while it read the Exception: %v", p)
		}
	}()
	return v1alpha1.ExceptionFrom(u.Object)
}

func (s *store) removeException(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exceptionList = nil
	delete(s.exceptions, name)
	s.log.Info("an Exception is gone", "exception", name)
}
