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

// TestWhenADigestWasFirstSeen: provenHere judges what a digest had at that time.
func TestWhenADigestWasFirstSeen(t *testing.T) {
	const (
		day         = 24 * time.Hour
		progressing = v1alpha1.SoakProgressing
		stopped     = v1alpha1.SoakNotRunning
		unobserved  = v1alpha1.SoakUnobserved
	)
	type look struct {
		reason, dip v1alpha1.SoakReason
	}
	// A look each minute; from is the number of the one that counts.
	for name, test := range map[string]struct {
		looks []look
		from  int
	}{
		"healthy at once":                            {[]look{{}, {}}, 0},
		"healthy after a slow rollout":               {[]look{{reason: progressing}, {reason: progressing}, {}}, 0},
		"stopped before it was healthy":              {[]look{{reason: progressing}, {reason: stopped}, {reason: progressing}, {}}, 2},
		"stopped for a moment before it was healthy": {[]look{{reason: progressing}, {reason: progressing, dip: stopped}, {}}, 1},
		"unobserved before it was healthy":           {[]look{{reason: progressing}, {reason: unobserved}, {}}, 2},
		"unobserved for a moment just before it":     {[]look{{reason: progressing}, {dip: unobserved}, {}}, 1},
		"stopped after it was healthy":               {[]look{{}, {reason: stopped}, {reason: stopped}, {}}, 0},
		"unobserved after it was healthy":            {[]look{{reason: progressing}, {}, {reason: unobserved}, {}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTracker(soakstore.Key{Namespace: "shop", Spec: v1alpha1.SoakSpec{}})
			for i, l := range test.looks {
				passed := time.Duration(i) * time.Minute
				tr.add(watch.Health{Reason: l.reason}, window.Sample{At: observertest.Epoch.Add(passed), Elapsed: passed, Dip: l.dip}, time.Hour)
			}
			want := observertest.Epoch.Add(time.Duration(test.from) * time.Minute)
			if !tr.firstSeen.Equal(want) {
				t.Errorf("first seen %v, want %v", tr.firstSeen, want)
			}
			if seen := tr.statement(false, "uid", v1alpha1.SoakObserver{}).FirstSeenAt; seen == nil || !seen.Equal(want) {
				t.Errorf("the statement says %v, want %v", seen, want)
			}
			status := tr.status(v1alpha1.SoakObserver{})
			again := newTracker(soakstore.Key{Namespace: "shop", Spec: v1alpha1.SoakSpec{}})
			again.resume(&v1alpha1.Soak{Status: status})
			if !again.firstSeen.Equal(want) {
				t.Errorf("after a restart %v, want %v", again.firstSeen, want)
			}
		})
	}
	t.Run("the window hadn't begun before a restart", func(t *testing.T) {
		tr := newTracker(soakstore.Key{Namespace: "shop", Spec: v1alpha1.SoakSpec{}})
		tr.add(watch.Health{Reason: progressing}, window.Sample{At: observertest.Epoch}, time.Hour)
		again := newTracker(soakstore.Key{Namespace: "shop", Spec: v1alpha1.SoakSpec{}})
		again.resume(&v1alpha1.Soak{Status: tr.status(v1alpha1.SoakObserver{})})
		again.add(watch.Health{}, window.Sample{At: observertest.Epoch.Add(day)}, time.Hour)
		if want := observertest.Epoch.Add(day); !again.firstSeen.Equal(want) {
			t.Errorf("first seen %v, want %v", again.firstSeen, want)
		}
	})
	t.Run("the clock moved back", func(t *testing.T) {
		tr := newTracker(soakstore.Key{Namespace: "shop", Spec: v1alpha1.SoakSpec{}})
		tr.add(watch.Health{}, window.Sample{At: observertest.Epoch}, time.Hour)
		tr.add(watch.Health{}, window.Sample{At: observertest.Epoch.Add(-day), Elapsed: time.Minute}, time.Hour)
		if want := observertest.Epoch.Add(-day); !tr.firstSeen.Equal(want) {
			t.Errorf("first seen %v, want %v", tr.firstSeen, want)
		}
	})
}

func TestRestartsAreCounted(t *testing.T) {
	tr := newTracker(soakstore.Key{Namespace: "shop", Spec: v1alpha1.SoakSpec{}})
	see := func(restarts map[types.UID]int32, s window.Sample) {
		tr.add(watch.Health{Ready: 1, Restarts: restarts}, s, observertest.MaxInterval)
	}
	see(map[types.UID]int32{"a": 4}, observertest.Healthy(0)) // those of before don't count
	see(map[types.UID]int32{"a": 5}, observertest.Healthy(1))
	see(map[types.UID]int32{"a": 5, "b": 2}, observertest.Healthy(2)) // b came and crashed
	status := v1alpha1.SoakStatus{}
	soakstore.SetPods(&status, tr.restarts)
	tr.restarts = soakstore.ReadPods(&status)
	see(map[types.UID]int32{"b": 3}, observertest.Healthy(3))
	if tr.window.Restarts != 4 {
		t.Errorf("%d restarts, want 4", tr.window.Restarts)
	}
}

func TestAChartIsStatedIfItWasOne(t *testing.T) {
	of := func(charts ...string) string {
		tr := newTracker(soakstore.Key{Namespace: "shop", Spec: v1alpha1.SoakSpec{}})
		for i, chart := range charts {
			tr.add(watch.Health{Workloads: []*watch.Workload{{ChartDigest: chart}}}, observertest.Healthy(time.Duration(i)*10*time.Second), observertest.MaxInterval)
		}
		return tr.chart
	}
	if got := of("a", "a"); got != "a" {
		t.Errorf("of one chart: %q", got)
	}
	if got := of("a", "b", "b"); got != "" {
		t.Errorf("of two charts: %q", got)
	}
	if got := of("a", "", "a"); got != "" {
		t.Errorf("of a chart that was unknown for a time: %q", got)
	}
}
