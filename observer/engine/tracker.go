package engine

import (
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/observer/soakstore"
	"github.com/envladder/envladder/observer/watch"
	"github.com/envladder/envladder/observer/window"
)

const (
	// maxWorkloads and maxAttestations are the API's bounds.
	maxWorkloads    = 64
	maxAttestations = 16
)

// tracker is one Soak while it is measured. The figures in memory are authoritative: the
// Soak in the cluster is a copy, for people and for the next start.
type tracker struct {
	soakstore.Record
	attestState

	window window.Window
	// firstSeen is when a workload first referenced the digest, by a clock that is still
	// trusted.
	firstSeen time.Time

	message      string
	workloads    []v1alpha1.SoakWorkload
	chart        string
	chartChanged bool
	// restarts that were counted, by pod.
	restarts     map[types.UID]int32
	start        *v1alpha1.SoakAttestation
	attestations []v1alpha1.SoakAttestation
	thresholds   []time.Duration
	// evidence is the repository for attestations, where the Gate has one.
	evidence string
}

// attestState is the state of the statement that is signed or has to wait.
type attestState struct {
	signing  bool          // it is on its way
	retryAt  time.Duration // when the next may be tried
	failures int           // since the last statement that was pushed
	failure  string
}

func newTracker(key soakstore.Key) *tracker {
	return &tracker{Record: soakstore.Record{Key: key}, restarts: map[types.UID]int32{}}
}

// resume resumes the figures of a Soak, which are the observer's own.
func (t *tracker) resume(soak *v1alpha1.Soak) {
	status := soak.Status.DeepCopy()
	t.Soak = soak
	t.window = soakstore.ReadWindow(status)
	if status.FirstSeenAt != nil && t.window.Started() {
		t.firstSeen = status.FirstSeenAt.UTC()
	}
	t.message = status.Message
	t.workloads = status.Workloads
	t.chart = status.ChartDigest
	t.chartChanged = status.ChartChanged
	t.restarts = soakstore.ReadPods(status)
	t.start = status.Start
	t.attestations = status.Attestations
}

// applyGates takes over what the tracker's Gate requires; nothing where it isn't among
// them.
func (t *tracker) applyGates(gates []*watch.Gate) {
	t.thresholds, t.evidence = nil, ""
	for _, g := range gates {
		if g.Name == t.Spec.Gate {
			image, _ := gate.FindImage(g.Spec, t.Spec.Repository)
			t.thresholds, t.evidence = g.Thresholds, image.Evidence
		}
	}
}

// add adds a sample of the digest's health.
func (t *tracker) add(h watch.Health, s window.Sample, maxInterval time.Duration) {
	s.Reason, s.Ready = h.Reason, h.Ready
	wasStarted := t.window.Started()
	s.Restarts = t.countRestarts(h.Restarts, wasStarted)
	t.message = soakstore.CutMessage(h.Message)
	if started := t.window.Add(s, maxInterval); started || !t.window.Started() {
		t.start, t.attestations = nil, nil
		t.chart, t.chartChanged = "", false
		if wasStarted { // by a wrong clock
			t.firstSeen = time.Time{}
		}
		wasStarted = false
	}
	t.noteFirstSeen(s, wasStarted)
	if len(h.Workloads) > 0 {
		t.workloads = nil
	}
	for _, w := range h.Workloads {
		if len(t.workloads) < maxWorkloads {
			t.workloads = append(t.workloads, w.Identity)
		}
		t.noteChart(w.ChartDigest, !wasStarted && w == h.Workloads[0])
	}
}

// noteFirstSeen notes since when the digest has been seen to run. Before the window
// starts no interruption is recorded, so any time at which the digest may not have run
// resets it.
func (t *tracker) noteFirstSeen(s window.Sample, started bool) {
	absent := func(reason v1alpha1.SoakReason) bool {
		return reason == v1alpha1.SoakNotRunning || window.IsUnobserved(reason)
	}
	if !started && (absent(s.Reason) || absent(s.Dip)) {
		t.firstSeen = time.Time{}
	}
	if t.firstSeen.IsZero() && !absent(s.Reason) {
		t.firstSeen = s.At.Truncate(time.Second)
	}
}

// countRestarts returns the restarts since the last sample. Pods that are new count with
// all of theirs; before the window starts nothing counts.
func (t *tracker) countRestarts(now map[types.UID]int32, started bool) int32 {
	var count int32
	if started {
		for uid, restarts := range now {
			count += max(restarts-t.restarts[uid], 0)
		}
	}
	if now != nil {
		t.restarts = maps.Clone(now)
	}
	return count
}

// noteChart notes the chart for as long as it stays the same.
func (t *tracker) noteChart(digest string, first bool) {
	switch {
	case len(digest) > watch.MaxChartDigest:
		t.chart, t.chartChanged = "", true
	case first:
		t.chart, t.chartChanged = digest, false
	case t.chart != digest:
		t.chart, t.chartChanged = "", true
	}
	if t.chartChanged {
		t.chart = ""
	}
}

// needsOwnSoak reports whether the time with a chart needs a Soak of its own, since this
// tracker's isn't all with that chart.
func (t *tracker) needsOwnSoak(chart string) bool {
	return chart != "" && t.window.Started() && t.chart != chart
}

// due returns the healthy time whose statement should be signed next: the longest
// threshold that was reached and not attested, whether the digest is healthy now or not.
// The start is due at 0, but only while the digest is healthy: it proves nothing alone.
func (t *tracker) due() (after time.Duration, due bool) {
	if !t.window.Started() {
		return 0, false
	}
	for _, after := range slices.Backward(t.thresholds) {
		if t.reached(after) {
			return after, !t.attested(after)
		}
	}
	return 0, t.start == nil && t.window.Reason == ""
}

func (t *tracker) reached(after time.Duration) bool {
	return time.Duration(t.window.Healthy)*time.Second >= after
}

// attested reports whether a statement covers this healthy time; one for a longer time
// does.
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

// addAttestation notes a statement that was pushed.
func (t *tracker) addAttestation(after time.Duration, at time.Time, digest string) {
	pushed := v1alpha1.SoakAttestation{After: after.String(), At: metav1.NewTime(at.Truncate(time.Second)), Digest: digest}
	if after == 0 {
		t.start = &pushed
		return
	}
	t.attestations = append(t.attestations, pushed)
	if extra := len(t.attestations) - maxAttestations; extra > 0 {
		t.attestations = t.attestations[extra:]
	}
}

// goal returns the next threshold at which a statement is signed, or the last one.
func (t *tracker) goal() string {
	for _, after := range t.thresholds {
		if !t.attested(after) {
			return printable.Duration(after)
		}
	}
	if n := len(t.thresholds); n > 0 {
		return printable.Duration(t.thresholds[n-1])
	}
	return ""
}

// status returns the status that the Soak should have. Its conditions are merged with
// those that the Soak has.
func (t *tracker) status(observer v1alpha1.SoakObserver) v1alpha1.SoakStatus {
	status := v1alpha1.SoakStatus{
		Message:     t.message,
		Image:       soakstore.ShortImage(t.Spec),
		Goal:        t.goal(),
		Workloads:   t.workloads,
		ChartDigest: t.chart, ChartChanged: t.chartChanged,
		Start: t.start, Attestations: t.attestations,
		Observer:   &observer,
		Conditions: []metav1.Condition{t.condition()},
	}
	if !t.firstSeen.IsZero() {
		status.FirstSeenAt = &metav1.Time{Time: t.firstSeen}
	}
	if len(t.attestations) > 0 {
		status.Attested = printable.Duration(t.longestAttested())
	}
	soakstore.SetWindow(&status, &t.window)
	soakstore.SetPods(&status, t.restarts)
	return status
}

func (t *tracker) condition() metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionAttested, Status: metav1.ConditionTrue, Reason: "Attested", Message: "all due statements were signed and pushed"}
	_, due := t.due()
	switch {
	case t.failure != "":
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, "AttestationFailed", t.failure
	case due:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, "Due", "a statement is due and will be signed"
	case !t.window.Started():
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, "NotBegun", "the digest hasn't been healthy yet"
	}
	return condition
}
