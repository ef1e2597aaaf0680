package engine

import (
	"crypto/rand"
	"maps"
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
	schedule

	window window.Window
	// firstSeen is when a workload first referenced the digest, by a clock that is still
	// trusted.
	firstSeen time.Time

	message      string
	workloads    []v1alpha1.SoakWorkload
	chart        string
	chartChanged bool
	// restarts that were counted, by pod.
	restarts map[types.UID]int32
	// id is the window's in its statements.
	id           string
	start        *v1alpha1.SoakAttestation
	attestations []v1alpha1.SoakAttestation
	// checkpoint is the last statement, which the next one follows; nil before the first.
	checkpoint *v1alpha1.SoakCheckpoint
	renewals   int32
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
	t.checkpoint = status.Checkpoint
	t.renewals = status.Renewals
	if status.Window != nil {
		t.id = status.Window.ID
	}
}

// applyGates takes over what the tracker's Gate requires; nothing where it isn't among
// them.
func (t *tracker) applyGates(gates []*watch.Gate) {
	t.thresholds, t.evidence = nil, ""
	t.checkpointEvery, t.renewEvery = 0, 0
	for _, g := range gates {
		if g.Name == t.Spec.Gate {
			image, _ := gate.FindImage(g.Spec, t.Spec.Repository)
			t.thresholds, t.evidence = g.Thresholds, image.Evidence
			t.renewEvery = g.Spec.Observe.RenewEveryOrDefault().Duration
			if every := g.Spec.Observe.CheckpointEvery; every != nil {
				t.checkpointEvery = every.Duration
			}
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
		t.id, t.start, t.attestations = "", nil, nil
		if started {
			t.id = rand.Text()
		}
		t.checkpoint, t.renewals = nil, 0
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

// addStatement notes a statement that was pushed, at the latest at a time.
func (t *tracker) addStatement(r attestResult, at time.Time) {
	if !at.Truncate(time.Second).Equal(at) {
		at = at.Truncate(time.Second).Add(time.Second)
	}
	pushed := v1alpha1.SoakAttestation{After: r.due.after.String(), At: metav1.NewTime(at), Digest: r.digest}
	t.checkpoint = &v1alpha1.SoakCheckpoint{
		Statement: r.statementDigest, At: pushed.At, HealthySeconds: r.healthy, ProvenSeconds: r.proven,
		Renewing: r.due.kind == checkpointStatement && (r.due.renewal || t.checkpoint != nil && t.checkpoint.Renewing),
	}
	for _, w := range r.statement.Workloads {
		t.checkpoint.Workloads = append(t.checkpoint.Workloads, w.UID)
	}
	if r.due.renewal {
		t.renewals++
	}
	switch r.due.kind {
	case startStatement:
		t.start = &pushed
	case soakStatement:
		t.attestations = append(t.attestations, pushed)
		if extra := len(t.attestations) - maxAttestations; extra > 0 {
			t.attestations = t.attestations[extra:]
		}
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
func (t *tracker) status(observer v1alpha1.SoakObserver, now time.Time) v1alpha1.SoakStatus {
	status := v1alpha1.SoakStatus{
		Message:     t.message,
		Image:       soakstore.ShortImage(t.Spec),
		Goal:        t.goal(),
		Workloads:   t.workloads,
		ChartDigest: t.chart, ChartChanged: t.chartChanged,
		Start: t.start, Attestations: t.attestations,
		Checkpoint: t.checkpoint, Renewals: t.renewals,
		Observer:   &observer,
		Conditions: []metav1.Condition{t.condition(now)},
	}
	if !t.firstSeen.IsZero() {
		status.FirstSeenAt = &metav1.Time{Time: t.firstSeen}
	}
	if len(t.attestations) > 0 {
		status.Attested = printable.Duration(t.longestAttested())
	}
	soakstore.SetWindow(&status, &t.window)
	if status.Window != nil {
		status.Window.ID = t.id
	}
	soakstore.SetPods(&status, t.restarts)
	return status
}

func (t *tracker) condition(now time.Time) metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionAttested, Status: metav1.ConditionTrue, Reason: "Attested", Message: "all due statements were signed and pushed"}
	statement, due := t.due(now)
	switch {
	case t.failure != "":
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, "AttestationFailed", t.failure
	case due && statement.kind != checkpointStatement:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, "Due", "a statement is due and will be signed"
	case !t.window.Started():
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, "NotBegun", "the digest hasn't been healthy yet"
	}
	return condition
}
