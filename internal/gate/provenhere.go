package gate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/printable"
)

// provenHere reports whether the digest has proven itself in this environment, and where
// it ran here without that, why its nearest soak doesn't count.
//
// Running alone proves nothing: it may have run under an Exception, or while the Gate
// only warned. The soak therefore counts only if the digest met the requirements when it
// began to run here. That is judged again from the same evidence and relies on no record.
func (j *decision) provenHere() (bool, []Reason) {
	policy := j.Gate.Spec.ProvenHere
	if policy == nil {
		return false, nil
	}
	k := soakKind
	k.about = func(e Evidence) bool { return e.Soak != nil && e.Soak.Environment == j.Gate.Spec.Environment }
	f := j.find(k, policy.By, func(e Evidence) candidate { return j.assessHere(e, policy) })
	switch {
	case len(f.candidates) == 0:
		return false, nil
	case len(f.candidates[0].problems) == 0:
		return true, nil
	}
	var why []string
	for _, problem := range f.candidates[0].problems {
		why = append(why, problem.Message)
	}
	slices.Sort(why)
	return false, []Reason{NewReason(NotProvenHere, "it ran in %s, and that doesn't count: %s", quote(j.Gate.Spec.Environment), strings.Join(slices.Compact(why), "; "))}
}

// assessHere returns a soak of this environment with every reason why it can't replace soak,
// tests and approvals.
func (j *decision) assessHere(e Evidence, policy *v1alpha1.ProvenHere) candidate {
	maxAge := policy.MaxAgeOrDefault()
	required := &v1alpha1.SoakRequirement{By: policy.By, Environment: j.Gate.Spec.Environment, Duration: policy.Duration, MaxAge: &maxAge}
	if o := j.Gate.Spec.Observe; o != nil && o.CheckpointEvery != nil { // this environment's own observer
		every := *o.CheckpointEvery
		every.Duration = max(2*every.Duration, minCheckpointEvery)
		required.CheckpointEvery = &every
	}
	c := j.assessSoak(e, required)
	c.problems = append(c.problems, j.otherCluster(e, policy)...)
	if len(c.problems) == 0 {
		c.problems = j.unprovenHere(e, maxAge.Duration)
	}
	return c
}

// otherCluster reports a soak from a cluster or namespace that doesn't count. An unknown
// cluster equals no other.
func (j *decision) otherCluster(e Evidence, policy *v1alpha1.ProvenHere) []Reason {
	var reasons []Reason
	cluster, namespace := e.Soak.Cluster, e.Soak.Namespace
	if cluster == "" || cluster != j.Cluster && !slices.Contains(policy.Clusters, cluster) {
		reasons = append(reasons, NewReason(NotProvenHere, "%s is from cluster %s, not from this one", e.title(), quote(cluster)))
	}
	if !slices.Contains(j.Gate.Spec.Namespaces, namespace) {
		reasons = append(reasons, NewReason(NotProvenHere, "%s is from namespace %s, which the Gate doesn't name", e.title(), quote(namespace)))
	}
	return reasons
}

// maxReturns bounds how often a digest may have been away for longer than maxAge. Each
// return is judged like a first deploy, and the signer of a soak chooses how many there are.
const maxReturns = 8

// unprovenHere reports what the digest lacked when it was deployed here: the first time,
// and each time that it had been away for so long that provenHere would not have admitted
// it either. Without that check, a digest that came back under an Exception would count
// like one that ran all the time.
func (j *decision) unprovenHere(e Evidence, maxAge time.Duration) []Reason {
	returns, why := e.Soak.returns(maxAge)
	if why != "" {
		return []Reason{NewReason(NotProvenHere, "%s: %s", e.title(), why)}
	}
	for _, at := range append([]time.Time{e.Soak.deployedAt()}, returns...) {
		if missing := j.unmetAt(at); len(missing) > 0 {
			return []Reason{NewReason(NotProvenHere, "%s: the requirements weren't met when the digest was deployed, %s (%s)", e.title(), stamp(at), joinCodes(codesOf(missing)))}
		}
	}
	return nil
}

// unmetAt returns the requirements replaced by provenHere that weren't met at a time, given
// the statements signed until then. Whether a signer has ended is judged now: its
// key may have signed something with an older date since.
func (j *decision) unmetAt(at time.Time) []Reason {
	if missing, known := j.unmet[at]; known {
		return missing
	}
	then := *j
	then.at, then.ageless = at, false
	then.Evidence = slices.DeleteFunc(slices.Clone(j.Evidence), func(e Evidence) bool { return e.madeAfter(at.Add(clockSkew)) })
	missing := then.provenElsewhere()
	if j.unmet == nil {
		j.unmet = map[time.Time][]Reason{}
	}
	j.unmet[at] = missing
	return missing
}

// madeAfter reports whether any of a statement's times is after an instant.
func (e Evidence) madeAfter(at time.Time) bool {
	var claimed *time.Time
	switch {
	case e.Soak != nil:
		claimed = e.Soak.Window.FinishedAt
	case e.Test != nil:
		claimed = e.Test.FinishedAt
	case e.Approval != nil:
		claimed = e.Approval.ApprovedAt
	}
	return e.Signed.After(at) || (claimed != nil && claimed.After(at))
}

// deployedAt returns when a workload first named the digest. It is healthy only later: a
// canary may take hours.
func (s *Soak) deployedAt() time.Time {
	if seen := s.FirstSeenAt; seen != nil && seen.Before(s.Window.StartedAt) {
		return *seen
	}
	return s.Window.StartedAt
}

// returns returns the times at which the digest came back after an absence longer than a
// bound, or the reason why they are unknown.
func (s *Soak) returns(bound time.Duration) (times []time.Time, why string) {
	w := s.Window
	pieces := slices.Clone(w.Interruptions)
	slices.SortFunc(pieces, func(a, b Interruption) int { return a.From.Compare(b.From) })
	cut := time.Duration(w.InterruptedSeconds) * time.Second
	for _, piece := range pieces {
		cut -= piece.To.Sub(piece.From)
	}
	if cut > bound {
		return nil, fmt.Sprintf("for %s of its window nothing reports whether it ran", printable.Duration(cut))
	}
	var away time.Duration
	var last time.Time
	if cut > 0 && len(pieces) > 0 { // it may have been away right before the oldest that is listed
		away, last = cut, pieces[0].From
	}
	addReturn := func() {
		if away > bound && last.Before(*w.FinishedAt) {
			times = append(times, last)
		}
		away = 0
	}
	for _, piece := range pieces {
		if ranDuring(piece.Reason) || piece.From.After(last) {
			addReturn()
		}
		if !ranDuring(piece.Reason) {
			away, last = away+piece.To.Sub(piece.From), piece.To
		}
	}
	addReturn()
	if len(times) > maxReturns {
		return nil, fmt.Sprintf("it was away for longer than %s more than %d times", printable.Duration(bound), maxReturns)
	}
	return times, ""
}

// ranDuring reports whether the digest ran during an interruption with this reason. Unknown
// reasons don't count as running.
func ranDuring(reason string) bool {
	switch reason {
	case "Aborted", "Analyzing", "Degraded", "MixedDigests", InterruptedNoReadinessProbe, "OtherImage", "Paused", "Progressing":
		return true
	default:
		return false
	}
}

func joinCodes(codes []Code) string {
	texts := make([]string, len(codes))
	for i, code := range codes {
		texts[i] = string(code)
	}
	return strings.Join(texts, ", ")
}
