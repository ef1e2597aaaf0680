package watch

import (
	"errors"

	"github.com/envladder/envladder/api/v1alpha1"
)

// Observation is the state of a namespace at an instant, and what happened since the
// previous observation.
type Observation struct {
	// At is the instant of the observation. What is written and requested afterwards
	// takes time that isn't observed yet.
	At       Instant
	Subjects map[Subject]Health
	// Tagged names, by Gate, a workload whose image has no digest.
	Tagged map[string]string
	// Interrupted is set where events may have been missed since the previous
	// observation, Blind where they may be missed still.
	Interrupted, Blind bool

	dips map[Subject]v1alpha1.SoakReason
}

// Dip returns why a digest was unhealthy, or unobserved, at some moment since the
// previous observation, or "".
func (o Observation) Dip(subject Subject) v1alpha1.SoakReason {
	if o.Interrupted {
		return v1alpha1.SoakUnobserved
	}
	return o.dips[subject]
}

// errNotResumed is logged where a watch that ended regularly doesn't run again in time.
var errNotResumed = errors.New("the watch ended and wasn't resumed in time")

// Observe returns how the namespace is, and how it was since the previous observation.
func (w *NamespaceWatcher) Observe(gates []*Gate, contradicts ContradictsFunc, clock Clock) Observation {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := Observation{At: Now(clock)} // first: events from now on belong to the next observation
	w.assessor = assessor{gates: gates, findImage: w.findImage, contradicts: contradicts}
	clear(w.images)
	o.Subjects, o.Tagged = w.assessor.assess(w.snapshot)
	o.dips, w.dips = w.dips, map[Subject]v1alpha1.SoakReason{}
	for _, r := range w.reflectors {
		if r.state == reflectorResuming {
			r.breakOn(errNotResumed)
		}
	}
	o.Blind = w.anyReflector(reflectorBroken)
	o.Interrupted, w.broke = w.broke, false
	w.observed = map[Subject]bool{}
	for subject := range o.Subjects {
		w.observed[subject] = true
	}
	return o
}
