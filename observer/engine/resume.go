package engine

import (
	"context"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/observer/soakstore"
	"github.com/envladder/envladder/observer/watch"
)

// resumeStopped brings the Soaks of digests that don't run up to date: at the start, and
// after each time that the namespace wasn't observed. While it is watched without a break
// they need no update: the observer would see such a digest run.
func (e *Engine) resumeStopped(ctx context.Context, ns *namespace, wanted map[soakstore.Key]watch.Health, gates []*watch.Gate, at watch.Instant) error {
	if !ns.continuousSince.IsZero() {
		return nil
	}
	soaks, err := e.Store.List(ctx, ns.name)
	if err != nil {
		return err
	}
	observedUntil := e.Store.LastObserved(soaks, at.Wall)
	if ns.lastObserved.After(observedUntil) {
		observedUntil = ns.lastObserved
	}
	for i := range soaks {
		soak := &soaks[i]
		key := soakstore.Key{Namespace: ns.name, Spec: soak.Spec}
		stopped := soak.Status.State == v1alpha1.SoakStopped
		switch {
		case e.trackers.active[key] != nil || soak.Name != soakstore.Name(soak.Spec):
		case stopped && (soak.Status.Window == nil || !e.Store.Sealed(soak)): // it has no time
		case stopped || !isWanted(key, wanted):
			t := e.newTrackerFrom(ns, soakstore.Record{Key: key, Soak: soak}, e.Store.Resumable(key, soak))
			e.trackers.takePending(t)
			t.applyGates(gates)
			t.window.AddStopped(observedUntil)
			e.close(ctx, t, watch.Health{Message: stoppedMessage}, sampleAt(at, ""))
		}
	}
	ns.continuousSince = at.Wall
	e.Store.Prune(ctx, ns.name)
	return nil
}

// isWanted reports whether a Soak should be measured. Whether a chart has a Soak of its
// own depends on the tracker of its digest, which may not be open yet.
func isWanted(key soakstore.Key, wanted map[soakstore.Key]watch.Health) bool {
	chart := key.Spec.Chart
	key.Spec.Chart = ""
	h, running := wanted[key]
	return running && (chart == "" || chart == h.ChartDigest())
}

// newTrackerFrom returns a tracker for a Soak, with the Soak's figures where they are the
// observer's own.
func (e *Engine) newTrackerFrom(ns *namespace, r soakstore.Record, resumable bool) *tracker {
	t := newTracker(r.Key)
	t.provesTime = e.Attester.ProvesTime()
	t.Soak = r.Soak
	if resumable {
		t.resume(r.Soak)
		t.window.Watched = watchedSince(ns.continuousSince, t.window.ObservedAt)
	}
	return t
}

// watchedSince reports whether a namespace was watched without a break since an instant.
func watchedSince(continuousSince, at time.Time) bool {
	return !continuousSince.IsZero() && !at.Before(continuousSince)
}
