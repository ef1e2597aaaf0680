package engine

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/observer/observertest"
	"github.com/envladder/envladder/observer/soakstore"
	"github.com/envladder/envladder/observer/watch"
	"github.com/envladder/envladder/observer/window"
)

// TestTrackerFirstSeen tests the time that provenHere judges by.
func TestTrackerFirstSeen(t *testing.T) {
	const (
		day         = 24 * time.Hour
		progressing = v1alpha1.SoakProgressing
		stopped     = v1alpha1.SoakNotRunning
		unobserved  = v1alpha1.SoakUnobserved
	)
	type sample struct {
		reason, dip v1alpha1.SoakReason
	}
	// One sample each minute; from is the index of the first that counts.
	for name, test := range map[string]struct {
		samples []sample
		from    int
	}{
		"healthy at once":                            {[]sample{{}, {}}, 0},
		"healthy after a slow rollout":               {[]sample{{reason: progressing}, {reason: progressing}, {}}, 0},
		"stopped before it was healthy":              {[]sample{{reason: progressing}, {reason: stopped}, {reason: progressing}, {}}, 2},
		"stopped for a moment before it was healthy": {[]sample{{reason: progressing}, {reason: progressing, dip: stopped}, {}}, 1},
		"unobserved before it was healthy":           {[]sample{{reason: progressing}, {reason: unobserved}, {}}, 2},
		"unobserved for a moment just before it":     {[]sample{{reason: progressing}, {dip: unobserved}, {}}, 1},
		"stopped after it was healthy":               {[]sample{{}, {reason: stopped}, {reason: stopped}, {}}, 0},
		"unobserved after it was healthy":            {[]sample{{reason: progressing}, {}, {reason: unobserved}, {}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTracker(soakstore.Key{Namespace: "shop", Spec: v1alpha1.SoakSpec{}})
			for i, s := range test.samples {
				passed := time.Duration(i) * time.Minute
				tr.add(watch.Health{Reason: s.reason}, window.Sample{At: observertest.Epoch.Add(passed), Elapsed: passed, Dip: s.dip}, time.Hour)
			}
			want := observertest.Epoch.Add(time.Duration(test.from) * time.Minute)
			if !tr.firstSeen.Equal(want) {
				t.Errorf("first seen %v, want %v", tr.firstSeen, want)
			}
			if seen := tr.statement(false, "uid", v1alpha1.SoakObserver{}).FirstSeenAt; seen == nil || !seen.Equal(want) {
				t.Errorf("the statement has %v, want %v", seen, want)
			}
			status := tr.status(v1alpha1.SoakObserver{}, time.Time{})
			again := newTracker(soakstore.Key{Namespace: "shop", Spec: v1alpha1.SoakSpec{}})
			again.resume(&v1alpha1.Soak{Status: status})
			if !again.firstSeen.Equal(want) {
				t.Errorf("after a restart %v, want %v", again.firstSeen, want)
			}
		})
	}
	t.Run("restart before the window started", func(t *testing.T) {
		tr := newTracker(soakstore.Key{Namespace: "shop", Spec: v1alpha1.SoakSpec{}})
		tr.add(watch.Health{Reason: progressing}, window.Sample{At: observertest.Epoch}, time.Hour)
		again := newTracker(soakstore.Key{Namespace: "shop", Spec: v1alpha1.SoakSpec{}})
		again.resume(&v1alpha1.Soak{Status: tr.status(v1alpha1.SoakObserver{}, time.Time{})})
		again.add(watch.Health{}, window.Sample{At: observertest.Epoch.Add(day)}, time.Hour)
		if want := observertest.Epoch.Add(day); !again.firstSeen.Equal(want) {
			t.Errorf("first seen %v, want %v", again.firstSeen, want)
		}
	})
	t.Run("clock moved back", func(t *testing.T) {
		tr := newTracker(soakstore.Key{Namespace: "shop", Spec: v1alpha1.SoakSpec{}})
		tr.add(watch.Health{}, window.Sample{At: observertest.Epoch}, time.Hour)
		tr.add(watch.Health{}, window.Sample{At: observertest.Epoch.Add(-day), Elapsed: time.Minute}, time.Hour)
		if want := observertest.Epoch.Add(-day); !tr.firstSeen.Equal(want) {
			t.Errorf("first seen %v, want %v", tr.firstSeen, want)
		}
	})
}

func TestTrackerCountsRestarts(t *testing.T) {
	tr := newTracker(soakstore.Key{Namespace: "shop", Spec: v1alpha1.SoakSpec{}})
	see := func(restarts map[types.UID]int32, s window.Sample) {
		tr.add(watch.Health{Ready: 1, Restarts: restarts}, s, observertest.MaxInterval)
	}
	see(map[types.UID]int32{"a": 4}, observertest.Healthy(0)) // earlier restarts don't count
	see(map[types.UID]int32{"a": 5}, observertest.Healthy(1))
	see(map[types.UID]int32{"a": 5, "b": 2}, observertest.Healthy(2)) // b is new and crashed twice
	status := v1alpha1.SoakStatus{}
	soakstore.SetPods(&status, tr.restarts)
	tr.restarts = soakstore.ReadPods(&status)
	see(map[types.UID]int32{"b": 3}, observertest.Healthy(3))
	if tr.window.Restarts != 4 {
		t.Errorf("%d restarts, want 4", tr.window.Restarts)
	}
}

func TestTrackerChart(t *testing.T) {
	chartAfter := func(charts ...string) string {
		tr := newTracker(soakstore.Key{Namespace: "shop", Spec: v1alpha1.SoakSpec{}})
		for i, chart := range charts {
			tr.add(watch.Health{Workloads: []*watch.Workload{{Stamps: watch.Stamps{ChartDigest: chart}}}}, observertest.Healthy(time.Duration(i)*10*time.Second), observertest.MaxInterval)
		}
		return tr.chart
	}
	if got := chartAfter("a", "a"); got != "a" {
		t.Errorf("one chart: %q", got)
	}
	if got := chartAfter("a", "b", "b"); got != "" {
		t.Errorf("two charts: %q", got)
	}
	if got := chartAfter("a", "", "a"); got != "" {
		t.Errorf("a chart that was unknown for a time: %q", got)
	}
}
