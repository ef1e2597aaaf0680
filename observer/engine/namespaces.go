package engine

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/observer/watch"
)

// callTimeout bounds one call to the API server.
const callTimeout = 5 * time.Second

// namespace is one that Gates list.
type namespace struct {
	name    string
	watcher *watch.NamespaceWatcher
	// rollouts is set where the watcher watches Argo Rollouts too.
	rollouts bool
	// continuousSince is since when it has been watched without a break; zero where there
	// was one, and after it the Soaks of stopped digests are not up to date yet.
	continuousSince time.Time
	// lastObserved is when it was observed last.
	lastObserved time.Time
}

// syncWatchers watches the namespaces that Gates list, and no others.
func (e *Engine) syncWatchers(ctx context.Context, gates []*watch.Gate, reached bool) {
	listed := map[string]bool{}
	for _, g := range gates {
		for _, name := range g.Spec.Namespaces {
			listed[name] = true
		}
	}
	for name, ns := range e.namespaces {
		if !listed[name] {
			e.unwatch(ctx, ns)
		}
	}
	rollouts, known := e.servesRollouts(reached)
	for name := range listed {
		ns := e.namespaces[name]
		switch {
		case ns == nil:
			ns = &namespace{name: name}
			e.namespaces[name] = ns
		case ns.rollouts == rollouts || !known: // what is watched stays as it is
			continue
		default: // Argo Rollouts' CRD was installed, or deleted
			ns.watcher.Stop()
			ns.continuousSince = time.Time{}
		}
		ns.rollouts = rollouts
		ns.watcher = watch.Start(ctx, e.Client, name, rollouts, e.Log)
	}
}

// servesRollouts reports whether the cluster has Argo Rollouts, if that is known: an API server
// that doesn't answer isn't queried, since the query has no deadline.
func (e *Engine) servesRollouts(reached bool) (rollouts, known bool) {
	if !reached {
		return false, false
	}
	rollouts, err := watch.ServesRollouts(e.Client)
	if err != nil {
		e.Log.Warn("cannot find out whether the cluster has Argo Rollouts", "error", err)
	}
	return rollouts, err == nil
}

// unwatch stops measuring in a namespace that no Gate lists any more.
func (e *Engine) unwatch(ctx context.Context, ns *namespace) {
	ns.watcher.Stop()
	for _, key := range e.trackers.keysIn(ns.name) {
		e.stop(ctx, key, watch.Health{Message: "no Gate observes this digest any more"}, sampleAt(watch.Now(e.Clock), ""))
	}
	delete(e.namespaces, ns.name)
}

// probe reports whether the API server answers: a cache doesn't show that it is stale.
func (e *Engine) probe(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, min(callTimeout, e.Interval))
	defer cancel()
	system := &corev1.Namespace{}
	if err := e.Client.Get(ctx, client.ObjectKey{Name: "kube-system"}, system); err != nil {
		e.Log.Warn("the API server didn't answer; time doesn't count until it does", "error", err)
		return false
	}
	e.cluster = string(system.UID)
	return true
}
