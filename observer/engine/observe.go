package engine

import (
	"context"
	"errors"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/observer/soakstore"
	"github.com/envladder/envladder/observer/watch"
	"github.com/envladder/envladder/observer/window"
)

// stoppedMessage is the message of a Soak whose digest doesn't run.
const stoppedMessage = "no workload runs this digest, or no Gate observes it any more"

// observeNamespace adds an observation of a namespace to its trackers.
func (e *Engine) observeNamespace(ctx context.Context, ns *namespace, gates []*watch.Gate, o watch.Observation, reached bool) error {
	if !reached || o.Interrupted {
		ns.continuousSince = time.Time{}
	}
	if !reached || o.Blind {
		return e.recordUnobserved(ctx, ns, o, reached)
	}
	wanted := e.wantedSoaks(ns.name, gates, o)
	if err := e.resumeStopped(ctx, ns, wanted, gates, o.At); err != nil {
		e.Log.Error("reading a namespace's Soaks failed; nothing is measured there until it works", "namespace", ns.name, "error", err)
		return nil
	}
	for _, key := range e.trackers.keysIn(ns.name) {
		if _, running := wanted[key]; !running {
			e.stop(ctx, key, watch.Health{Message: stoppedMessage}, sampleOf(o, key.Spec))
		}
	}
	for key, h := range wanted {
		if err := e.observeDigest(ctx, ns, key, h, sampleOf(o, key.Spec), gates); err != nil {
			return err
		}
	}
	ns.lastObserved = o.At.Wall
	return nil
}

// sampleOf returns the sample of one digest in an observation, but for its health.
func sampleOf(o watch.Observation, spec v1alpha1.SoakSpec) window.Sample {
	return sampleAt(o.At, o.Dip(watch.Subject{Gate: spec.Gate, Repository: spec.Repository, Digest: spec.Digest}))
}

func sampleAt(at watch.Instant, dip v1alpha1.SoakReason) window.Sample {
	return window.Sample{At: at.Wall, Elapsed: at.Elapsed, Dip: dip}
}

// recordUnobserved adds samples of an observation that saw nothing.
func (e *Engine) recordUnobserved(ctx context.Context, ns *namespace, o watch.Observation, reached bool) error {
	h := watch.Health{Reason: v1alpha1.SoakUnobserved, Message: "the API server didn't answer"}
	if reached {
		h.Message = "a watch of the namespace is interrupted"
	}
	for _, key := range e.trackers.keysIn(ns.name) {
		t := e.trackers.active[key]
		e.addSample(ctx, t, h, sampleAt(o.At, ""))
		if !reached {
			continue // nothing can be written
		}
		if err := e.save(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// wantedSoaks returns what should be measured. Workloads with different stamps have a
// Soak each; all workloads of a digest count for the health of each. Once the chart of a
// digest has changed, the time with the present chart has a Soak of its own.
func (e *Engine) wantedSoaks(namespace string, gates []*watch.Gate, o watch.Observation) map[soakstore.Key]watch.Health {
	byName := map[string]*watch.Gate{}
	for _, g := range gates {
		byName[g.Name] = g
	}
	wanted := map[soakstore.Key]watch.Health{}
	for subject, h := range o.Subjects {
		g := byName[subject.Gate]
		image, _ := gate.FindImage(g.Spec, subject.Repository)
		for _, w := range h.Workloads {
			spec := v1alpha1.SoakSpec{
				Gate: g.Name, Environment: g.Spec.Environment, Repository: subject.Repository, Digest: subject.Digest,
				Ladder: image.Ladder, Target: validStamp(w.Target),
			}
			if spec.Ladder == "" {
				spec.Ladder = validStamp(w.Ladder)
			}
			key := soakstore.Key{Namespace: namespace, Spec: spec}
			wanted[key] = h
			if t, chart := e.trackers.active[key], h.ChartDigest(); t != nil && t.needsOwnSoak(chart) {
				key.Spec.Chart = chart
				wanted[key] = h
			}
		}
	}
	return wanted
}

// validStamp returns a stamp that is short enough for the name of a ladder or a target
// (63 characters), or "".
func validStamp(stamp string) string {
	if len(stamp) > 63 {
		return ""
	}
	return stamp
}

// observeDigest adds a sample to the tracker of a digest that runs. It opens the Soak of
// one that isn't measured yet.
func (e *Engine) observeDigest(ctx context.Context, ns *namespace, key soakstore.Key, h watch.Health, s window.Sample, gates []*watch.Gate) error {
	t := e.trackers.active[key]
	if t == nil {
		if e.elapsed() < e.trackers.retryAt[key] {
			return nil
		}
		opened, err := e.open(ctx, ns, key)
		if err != nil {
			e.Log.Error("measuring a digest failed; retrying later", "namespace", key.Namespace, "digest", key.Spec.Digest, "error", err)
			e.trackers.retryAt[key] = e.elapsed() + openRetry
			return nil
		}
		t = opened
		e.trackers.start(t)
		e.Log.Info("measuring a digest", "namespace", key.Namespace, "soak", soakstore.Name(key.Spec), "healthy", time.Duration(t.window.Healthy)*time.Second)
	}
	t.applyGates(gates)
	e.addSample(ctx, t, h, s)
	return e.save(ctx, t)
}

// open returns a tracker that resumes the Soak of what is measured.
func (e *Engine) open(ctx context.Context, ns *namespace, key soakstore.Key) (*tracker, error) {
	r, resumable, err := e.Store.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	return e.newTrackerFrom(ns, r, resumable), nil
}

// addSample adds a sample to a tracker. It reads no clock: the sample's time ends with
// the observation.
func (e *Engine) addSample(ctx context.Context, t *tracker, h watch.Health, s window.Sample) {
	before := t.window.Reason
	s.Platforms = e.Nodes.Platforms(ctx, h.Nodes)
	t.add(h, s, maxMissedIntervals*e.Interval)
	if before != t.window.Reason {
		e.Log.Info("health changed", "namespace", t.Namespace, "soak", soakstore.Name(t.Spec), "reason", t.window.Reason, "message", t.message)
	}
}

// save writes the Soak of a tracker. Only after that has shown that this replica is the
// leader are due statements signed.
func (e *Engine) save(ctx context.Context, t *tracker) error {
	err := e.Store.Write(ctx, &t.Record, t.status(e.Observer, e.now()))
	switch {
	case errors.Is(err, soakstore.ErrSuperseded):
		return err
	case errors.Is(err, soakstore.ErrDeleted):
		if e.trackers.remove(t) {
			e.Log.Warn("a Soak was deleted; measuring its digest again from the start", "namespace", t.Namespace, "soak", soakstore.Name(t.Spec))
		}
		return nil
	case err != nil:
		e.Log.Error("writing a Soak failed; its figures stay in memory", "error", err)
		return nil
	}
	now := e.now()
	if statement, due := t.due(now); due && !t.signing && e.elapsed() >= t.retryAt {
		t.signing = true
		e.Attester.start(ctx, e.newJob(t, statement, now), e.results)
	}
	return nil
}

// stop closes the tracker of a digest that doesn't run any more; it resumes if the digest
// comes back.
func (e *Engine) stop(ctx context.Context, key soakstore.Key, h watch.Health, s window.Sample) {
	t := e.trackers.active[key]
	delete(e.trackers.active, key)
	e.close(ctx, t, h, s)
	e.Store.Prune(ctx, key.Namespace)
}

// close writes the last status of a digest that doesn't run.
func (e *Engine) close(ctx context.Context, t *tracker, h watch.Health, s window.Sample) {
	h.Reason = v1alpha1.SoakNotRunning
	e.addSample(ctx, t, h, s)
	err := e.Store.Write(ctx, &t.Record, t.status(e.Observer, e.now()))
	if errors.Is(err, soakstore.ErrDeleted) {
		return
	}
	if err != nil {
		e.Log.Error("writing the Soak of a stopped digest failed; time since its last status doesn't count", "error", err)
	}
	if !e.trackers.addPending(t, e.now()) {
		e.Log.Error("too many statements of stopped digests wait for their registries; signing this one after the next start", "namespace", t.Namespace, "soak", soakstore.Name(t.Spec))
	}
}
