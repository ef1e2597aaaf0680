package observer

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/printable"
)

// track is one Soak while it is measured. Memory is the truth: the Soak in the cluster
// is its copy, for people and for the next start.
type track struct {
	spec      v1alpha1.SoakSpec
	namespace string
	account   account
	// firstSeen is when a workload first named the digest, by a clock that is still
	// believed.
	firstSeen time.Time

	message      string
	workloads    []v1alpha1.SoakWorkload
	chart        string
	chartChanged bool
	// pods are the restarts that were counted.
	pods         map[types.UID]int32
	start        *v1alpha1.SoakAttestation
	attestations []v1alpha1.SoakAttestation
	thresholds   []time.Duration
	// evidence is the repository for attestations, where the Gate names one.
	evidence string

	// live is the Soak as the cluster had it last; nil until it is there.
	live *v1alpha1.Soak
	// signing says that a statement is on its way; retry when the next may be tried, and
	// failures how many weren't pushed since the last that was.
	signing  bool
	retry    time.Duration
	failures int
	failure  string
}

func newTrack(namespace string, spec v1alpha1.SoakSpec) *track {
	return &track{namespace: namespace, spec: spec, pods: map[types.UID]int32{}}
}

// resume continues the notebook that the cluster has, which is the observer's own.
func (t *track) resume(soak *v1alpha1.Soak) {
	status := soak.Status.DeepCopy()
	t.live = soak
	t.account = readAccount(status)
	if status.FirstSeenAt != nil && t.account.begun() {
		t.firstSeen = status.FirstSeenAt.UTC()
	}
	t.message = status.Message
	t.workloads, t.chart, t.chartChanged = status.Workloads, status.ChartDigest, status.ChartChanged
	t.pods = readPods(status)
	t.start, t.attestations = status.Start, status.Attestations
}

// observe adds what was seen.
func (t *track) observe(h health, o observation, maxInterval time.Duration) {
	o.Reason, o.Ready = h.Reason, h.Ready
	begun := t.account.begun()
	o.Restarts = t.countRestarts(h.Restarts, begun)
	t.message = printable.Cut(h.Message, maxMessage)
	if began := t.account.observe(o, maxInterval); began || !t.account.begun() {
		t.start, t.attestations = nil, nil
		t.chart, t.chartChanged = "", false
		if begun { // by a clock that was wrong
			t.firstSeen = time.Time{}
		}
		begun = false
	}
	t.noteFirstSeen(o, begun)
	if len(h.Workloads) > 0 {
		t.workloads = nil
	}
	for _, w := range h.Workloads {
		if len(t.workloads) < maxWorkloads {
			t.workloads = append(t.workloads, w.identity)
		}
		t.noteChart(w.chartDigest, !begun && w == h.Workloads[0])
	}
}

// noteFirstSeen keeps since when the digest was seen to run. Before the window begins no
// interruption is recorded, so a time at which it may not have run begins that again.
func (t *track) noteFirstSeen(o observation, begun bool) {
	absent := func(reason v1alpha1.SoakReason) bool { return reason == v1alpha1.SoakNotRunning || unseen(reason) }
	if !begun && (absent(o.Reason) || absent(o.Dip)) {
		t.firstSeen = time.Time{}
	}
	if t.firstSeen.IsZero() && !absent(o.Reason) {
		t.firstSeen = o.At.Truncate(time.Second)
	}
}

// countRestarts counts those since the last observation. Pods that weren't there then
// have restarted as often as they say; before the window nothing counts.
func (t *track) countRestarts(now map[types.UID]int32, begun bool) int32 {
	var count int32
	if begun {
		for uid, restarts := range now {
			count += max(restarts-t.pods[uid], 0)
		}
	}
	if now != nil {
		t.pods = maps.Clone(now)
	}
	return count
}

// noteChart keeps the chart while it is one and the same.
func (t *track) noteChart(digest string, first bool) {
	switch {
	case len(digest) > maxChart:
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

// needsChart says whether the time of a chart isn't the track's own.
func (t *track) needsChart(chart string) bool {
	return chart != "" && t.account.begun() && t.chart != chart
}

// due is the healthy time whose statement should be signed next: the longest that was
// reached and not attested, whether it is healthy now or not. The start is due at 0, and
// not any more of a digest that isn't healthy: it proves nothing by itself.
func (t *track) due() (after time.Duration, due bool) {
	if !t.account.begun() {
		return 0, false
	}
	for _, after := range slices.Backward(t.thresholds) {
		if t.reached(after) {
			return after, !t.attested(after)
		}
	}
	return 0, t.start == nil && t.account.Reason == ""
}

func (t *track) reached(after time.Duration) bool {
	return time.Duration(t.account.Healthy)*time.Second >= after
}

// attested says whether a statement covers this healthy time: a later one says more.
func (t *track) attested(after time.Duration) bool {
	return len(t.attestations) > 0 && t.longestAttested() >= after
}

func (t *track) longestAttested() time.Duration {
	var longest time.Duration
	for _, a := range t.attestations {
		if after, err := time.ParseDuration(a.After); err == nil {
			longest = max(longest, after)
		}
	}
	return longest
}

// record notes a statement that was pushed.
func (t *track) record(after time.Duration, at time.Time, digest string) {
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

// goal is the next healthy time that a statement is signed at, or the last one.
func (t *track) goal() string {
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

// status is what the Soak should say.
func (t *track) status(observer v1alpha1.SoakObserver) v1alpha1.SoakStatus {
	status := v1alpha1.SoakStatus{
		Message:     t.message,
		Image:       lastElement(t.spec.Repository) + "@" + shortDigest(t.spec.Digest),
		Goal:        t.goal(),
		Workloads:   t.workloads,
		ChartDigest: t.chart, ChartChanged: t.chartChanged,
		Start: t.start, Attestations: t.attestations,
		Observer: &observer,
	}
	if !t.firstSeen.IsZero() {
		status.FirstSeenAt = &metav1.Time{Time: t.firstSeen}
	}
	if len(t.attestations) > 0 {
		status.Attested = printable.Duration(t.longestAttested())
	}
	writeAccount(&t.account, &status)
	writePods(t.pods, &status)
	if t.live != nil {
		status.Conditions = t.live.DeepCopy().Status.Conditions
	}
	meta.SetStatusCondition(&status.Conditions, t.condition())
	return status
}

func (t *track) condition() metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionAttested, Status: metav1.ConditionTrue, Reason: "Attested", Message: "what was due has been signed and pushed"}
	_, due := t.due()
	switch {
	case t.failure != "":
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, "AttestationFailed", t.failure
	case due:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, "Due", "a statement is about to be signed"
	case !t.account.begun():
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, "NotBegun", "the digest hasn't been healthy yet"
	}
	return condition
}

// written says whether the cluster has this status already, but for its seal.
func (t *track) written(status *v1alpha1.SoakStatus) bool {
	if t.live == nil {
		return false
	}
	have := t.live.Status.DeepCopy()
	have.Seal = status.Seal
	return equality.Semantic.DeepEqual(have, status)
}
