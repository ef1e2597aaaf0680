package engine

import (
	"slices"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
)

const (
	// minCheckpointEvery bounds how often checkpoints are signed.
	minCheckpointEvery = time.Minute
	// maxRenewals bounds the statements that one window leaves in the registry: with weekly
	// renewals of nine statements each, half a year makes 234.
	maxRenewals = 26
)

// statementKind is a kind of statement about a window.
type statementKind int

const (
	startStatement      statementKind = iota // the window is open
	checkpointStatement                      // the figures on the way to a soak
	soakStatement                            // an entry of attestAfter is reached
)

// dueStatement is the statement to sign next.
type dueStatement struct {
	kind statementKind
	// after is the entry of attestAfter that a soak has reached.
	after time.Duration
	// renewal is set for the first statement of a renewal.
	renewal bool
}

// schedule has what a Gate requires of a tracker's statements.
type schedule struct {
	thresholds      []time.Duration // sorted; none where no Gate observes the digest
	checkpointEvery time.Duration   // 0: by the thresholds
	renewEvery      time.Duration
	// provesTime is set where a statement's time is proven. Time then counts only between
	// statements, so the start is signed first, and checkpoints on the way.
	provesTime bool
}

// longest returns the last threshold, or 0.
func (s schedule) longest() time.Duration {
	if len(s.thresholds) == 0 {
		return 0
	}
	return s.thresholds[len(s.thresholds)-1]
}

// due returns the statement that should be signed next, whether the digest is healthy now or
// not. The start, and a renewal, are due only while it is: they prove nothing alone.
func (t *tracker) due(now time.Time) (dueStatement, bool) {
	switch {
	case !t.window.Started():
		return dueStatement{}, false
	case !t.provesTime:
		return t.dueByFigures(now)
	case t.checkpoint == nil:
		return dueStatement{kind: startStatement}, t.window.Reason == ""
	default:
		return t.dueByProof(now)
	}
}

// dueByFigures returns the statement that is due where the figures alone count.
func (t *tracker) dueByFigures(now time.Time) (dueStatement, bool) {
	if after, ok := t.reached(t.window.Healthy); ok && !t.attested(after) {
		return dueStatement{kind: soakStatement, after: after}, true
	} else if !ok && t.start == nil {
		return dueStatement{kind: startStatement}, t.window.Reason == ""
	}
	return dueStatement{kind: soakStatement, after: t.longest(), renewal: true}, t.renewalDue(now)
}

// dueByProof returns the statement that is due where time counts between statements.
func (t *tracker) dueByProof(now time.Time) (dueStatement, bool) {
	if after, ok := t.reached(t.provenAt(now)); ok && (!t.attested(after) || t.checkpoint.Renewing && after == t.longest()) {
		return dueStatement{kind: soakStatement, after: after}, true
	}
	if !t.checkpoint.Renewing && t.attested(t.longest()) {
		return dueStatement{kind: checkpointStatement, renewal: true}, t.renewalDue(now)
	}
	return dueStatement{kind: checkpointStatement}, t.checkpointDue(now)
}

// checkpointDue reports whether a checkpoint should be signed: at intervals while there is
// healthy time to sign, when health returns, and when the digest stops or workloads are
// added, since time between statements about other workloads doesn't count.
func (t *tracker) checkpointDue(now time.Time) bool {
	sinceLast := now.Sub(t.checkpoint.At.Time)
	progress := time.Duration(t.window.Healthy-t.checkpoint.HealthySeconds) * time.Second
	healthy := t.window.Reason == ""
	switch {
	case len(t.thresholds) == 0 || sinceLast < minCheckpointEvery:
		return false
	case t.window.Reason == v1alpha1.SoakNotRunning:
		return progress >= minCheckpointEvery
	case t.workloadsAdded():
		return healthy
	case healthy && t.next()-time.Duration(t.provenAt(now))*time.Second <= minCheckpointEvery:
		return false // the soak itself is due soon
	default:
		return sinceLast >= t.checkpointInterval() && (healthy || progress > 0)
	}
}

// next returns the threshold that is measured for.
func (t *tracker) next() time.Duration {
	if i := slices.IndexFunc(t.thresholds, func(after time.Duration) bool { return !t.attested(after) }); i >= 0 {
		return t.thresholds[i]
	}
	return t.longest()
}

// checkpointInterval returns the time between checkpoints on the way to the next threshold.
func (t *tracker) checkpointInterval() time.Duration {
	every := t.checkpointEvery
	if every == 0 {
		every = t.next() / 8
	}
	return max(every, minCheckpointEvery)
}

// provenAt returns the healthy seconds that a statement signed now would prove, since the start
// or since the renewal began: no more than gate.Decide counts.
func (t *tracker) provenAt(now time.Time) int64 {
	const rounding = 1 // the timestamping authority may cut its times to seconds
	c := t.checkpoint
	apart := now.Sub(c.At.Time)
	if apart > max(2*t.checkpointInterval(), 5*time.Minute) || t.workloadsAdded() {
		return c.ProvenSeconds
	}
	return c.ProvenSeconds + max(min(t.window.Healthy-c.HealthySeconds, int64(apart/time.Second)-rounding), 0)
}

// workloadsAdded reports whether a workload isn't in the last statement.
func (t *tracker) workloadsAdded() bool {
	return slices.ContainsFunc(t.workloads, func(w v1alpha1.SoakWorkload) bool { return !slices.Contains(t.checkpoint.Workloads, w.UID) })
}

// renewalDue reports whether the last soak was signed long enough ago.
func (t *tracker) renewalDue(now time.Time) bool {
	n := len(t.attestations)
	return t.window.Reason == "" && n > 0 && t.renewEvery > 0 && t.attested(t.longest()) && t.longest() > 0 &&
		t.renewals < maxRenewals && now.Sub(t.attestations[n-1].At.Time) >= t.renewEvery
}

// reached returns the longest threshold within so many healthy seconds.
func (t *tracker) reached(healthy int64) (after time.Duration, ok bool) {
	for _, after := range slices.Backward(t.thresholds) {
		if time.Duration(healthy)*time.Second >= after {
			return after, true
		}
	}
	return 0, false
}

// attested reports whether a statement covers this healthy time; one for a longer time does.
func (t *tracker) attested(after time.Duration) bool {
	return len(t.attestations) > 0 && t.longestAttested() >= after
}

func (t *tracker) longestAttested() time.Duration {
	var longest time.Duration
	for _, a := range t.attestations {
		if after, err := time.ParseDuration(a.After); err == nil {
			longest = max(longest, after)
		}
	}
	return longest
}
