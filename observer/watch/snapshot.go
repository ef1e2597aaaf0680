package watch

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// Snapshot is the pods and workloads of a namespace at an instant.
type Snapshot struct {
	Pods      map[types.UID]*Pod
	Workloads map[types.UID]*Workload

	rollouts map[types.UID]*rollout
}

// Snapshot returns a copy of what the namespace has now.
func (w *NamespaceWatcher) Snapshot() Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Snapshot{maps.Clone(w.snapshot.Pods), maps.Clone(w.snapshot.Workloads), maps.Clone(w.snapshot.rollouts)}
}

func compareIdentity(a, b *Workload) int {
	return cmp.Or(cmp.Compare(a.Identity.Kind, b.Identity.Kind), cmp.Compare(a.Identity.Name, b.Identity.Name), cmp.Compare(a.uid, b.uid))
}

// podsByWorkload returns the pods of each workload: its own, and those of the ReplicaSets
// that it controls. Their controller need not be watched.
func (s Snapshot) podsByWorkload() map[types.UID][]*Pod {
	byWorkload := map[types.UID][]*Pod{}
	for _, p := range s.Pods {
		owner := p.controller
		if w := s.Workloads[owner]; w != nil && (w.controller.watched || w.isRevision()) {
			owner = w.controller.uid
		}
		if owner != "" {
			byWorkload[owner] = append(byWorkload[owner], p)
		}
	}
	for _, pods := range byWorkload {
		slices.SortFunc(pods, func(a, b *Pod) int { return cmp.Compare(a.Name, b.Name) })
	}
	return byWorkload
}

// State describes the watches of a NamespaceWatcher.
type State struct {
	// Broken and Resuming are set where a watch is.
	Broken, Resuming bool
	// Observed is the number of subjects in the last observation, Dips how many of them
	// were unhealthy at some moment since.
	Observed, Dips int
}

// State returns the state of the watches now.
func (w *NamespaceWatcher) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return State{
		Broken:   w.anyReflector(reflectorBroken),
		Resuming: w.anyReflector(reflectorResuming),
		Observed: len(w.observed),
		Dips:     len(w.dips),
	}
}
