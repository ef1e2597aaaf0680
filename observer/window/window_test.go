package window_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/observer/observertest"
	"github.com/envladder/envladder/observer/window"
)

func TestAccount(t *testing.T) {
	for name, test := range map[string]struct {
		samples []window.Sample
		healthy, longest, interrupted,
		gap int64
		reasons []v1alpha1.SoakReason
	}{
		"healthy time adds up": {
			samples: []window.Sample{observertest.Healthy(0), observertest.Healthy(10 * time.Second), observertest.Healthy(20 * time.Second)},
			healthy: 20, longest: 20,
		},
		"before the first health there is no window": {
			samples: []window.Sample{observertest.Unhealthy(v1alpha1.SoakProgressing, 0), observertest.Healthy(10 * time.Second), observertest.Healthy(20 * time.Second)},
			healthy: 10, longest: 10,
		},
		"an interval with a bad end doesn't count, nor does the next": {
			samples: []window.Sample{observertest.Healthy(0), observertest.Healthy(10 * time.Second), observertest.Unhealthy(v1alpha1.SoakDegraded, 20*time.Second), observertest.Healthy(30 * time.Second), observertest.Healthy(40 * time.Second)},
			healthy: 20, longest: 10, interrupted: 20,
			reasons: []v1alpha1.SoakReason{v1alpha1.SoakDegraded},
		},
		"a bad moment between two good ones doesn't count": {
			samples: []window.Sample{observertest.Healthy(0), observertest.Dipped(v1alpha1.SoakMixedDigests, 10*time.Second), observertest.Healthy(20 * time.Second)},
			healthy: 10, longest: 10, interrupted: 10,
			reasons: []v1alpha1.SoakReason{v1alpha1.SoakMixedDigests},
		},
		"an interval that is too long wasn't observed": {
			samples: []window.Sample{observertest.Healthy(0), observertest.Healthy(31 * time.Second), observertest.Healthy(41 * time.Second)},
			healthy: 10, longest: 10, interrupted: 31, gap: 31,
			reasons: []v1alpha1.SoakReason{v1alpha1.SoakUnobserved},
		},
		"parts of seconds never add": {
			samples: []window.Sample{observertest.Healthy(300 * time.Millisecond), observertest.Healthy(9900 * time.Millisecond), observertest.Unhealthy(v1alpha1.SoakDegraded, 10100*time.Millisecond), observertest.Healthy(10200 * time.Millisecond), observertest.Healthy(20200 * time.Millisecond)},
			healthy: 8 + 9, longest: 9, interrupted: 2,
			reasons: []v1alpha1.SoakReason{v1alpha1.SoakDegraded},
		},
		"the wall clock jumps forward: that time wasn't observed": {
			samples: []window.Sample{observertest.Healthy(0), {At: observertest.Epoch.Add(time.Hour), Elapsed: 10 * time.Second, Ready: 2}, {At: observertest.Epoch.Add(time.Hour + 10*time.Second), Elapsed: 20 * time.Second, Ready: 2}},
			healthy: 10, longest: 10, interrupted: 3600, gap: 3600,
			reasons: []v1alpha1.SoakReason{v1alpha1.SoakClockMoved},
		},
		"the wall clock goes back: the window begins anew": {
			samples: []window.Sample{observertest.Healthy(0), observertest.Healthy(10 * time.Second), {At: observertest.Epoch.Add(15 * time.Second), Elapsed: 20 * time.Second, Ready: 2}, {At: observertest.Epoch.Add(25 * time.Second), Elapsed: 30 * time.Second, Ready: 2}},
			healthy: 10, longest: 10,
		},
		"many small steps are a jump": {
			samples: []window.Sample{observertest.Healthy(0), {At: observertest.Epoch.Add(11500 * time.Millisecond), Elapsed: 10 * time.Second, Ready: 2}, {At: observertest.Epoch.Add(23 * time.Second), Elapsed: 20 * time.Second, Ready: 2}},
			healthy: 10, longest: 10, interrupted: 13, gap: 13,
			reasons: []v1alpha1.SoakReason{v1alpha1.SoakClockMoved},
		},
		"the wall clock gains a second: it isn't healthy time": {
			samples: []window.Sample{observertest.Healthy(0), {At: observertest.Epoch.Add(11 * time.Second), Elapsed: 10 * time.Second, Ready: 2}, {At: observertest.Epoch.Add(21 * time.Second), Elapsed: 20 * time.Second, Ready: 2}},
			healthy: 20, longest: 20,
		},
		"the wall clock loses a second and gets it back: nothing is lost": {
			samples: []window.Sample{observertest.Healthy(0), {At: observertest.Epoch.Add(9 * time.Second), Elapsed: 10 * time.Second, Ready: 2}, observertest.Healthy(20 * time.Second)},
			healthy: 20, longest: 20,
		},
		"an observation of the past adds nothing": {
			samples: []window.Sample{observertest.Healthy(0), observertest.Healthy(10 * time.Second), observertest.Healthy(9 * time.Second), observertest.Healthy(10 * time.Second), observertest.Healthy(20 * time.Second)},
			healthy: 20, longest: 20,
		},
		"what doesn't run isn't unobserved": {
			samples: []window.Sample{observertest.Healthy(0), observertest.Healthy(10 * time.Second), observertest.Unhealthy(v1alpha1.SoakNotRunning, 20*time.Second), observertest.Healthy(time.Hour), observertest.Healthy(time.Hour + 10*time.Second)},
			healthy: 20, longest: 10, interrupted: 3590,
			reasons: []v1alpha1.SoakReason{v1alpha1.SoakNotRunning},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var w window.Window
			for _, o := range test.samples {
				w.Add(o, observertest.MaxInterval)
			}
			got := []int64{w.Healthy, w.LongestHealthy, w.Interrupted, w.LongestGap}
			if diff := cmp.Diff([]int64{test.healthy, test.longest, test.interrupted, test.gap}, got); diff != "" {
				t.Errorf("healthy, longest, interrupted, gap (-want +got):\n%s", diff)
			}
			var reasons []v1alpha1.SoakReason
			for _, piece := range w.Interruptions {
				reasons = append(reasons, piece.Reason)
			}
			if diff := cmp.Diff(test.reasons, reasons); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheListOfInterruptionsIsBoundedAndTheirSumIsKept(t *testing.T) {
	var w window.Window
	w.Add(observertest.Healthy(0), observertest.MaxInterval)
	for i := range 200 {
		at := time.Duration(2*i) * 10 * time.Second
		w.Add(observertest.Unhealthy(v1alpha1.SoakDegraded, at+10*time.Second), observertest.MaxInterval)
		w.Add(observertest.Healthy(at+20*time.Second), observertest.MaxInterval)
		w.Add(observertest.Healthy(at+30*time.Second), observertest.MaxInterval)
	}
	if len(w.Interruptions) != window.MaxInterruptions {
		t.Errorf("%d interruptions are listed, want %d", len(w.Interruptions), window.MaxInterruptions)
	}
	if whole := int64(w.ObservedAt.Sub(w.StartedAt) / time.Second); w.Healthy+w.Interrupted != whole {
		t.Errorf("%d s healthy and %d s interrupted in a window of %d s", w.Healthy, w.Interrupted, whole)
	}
}

func TestPlatformsHaveTheTimeOfTheirPods(t *testing.T) {
	var w window.Window
	for i, platforms := range [][]string{{"linux/amd64"}, {"linux/amd64", "linux/arm64"}, {"linux/amd64", "linux/arm64"}, {"linux/arm64"}} {
		o := observertest.Healthy(time.Duration(i) * 10 * time.Second)
		o.Platforms = platforms
		w.Add(o, observertest.MaxInterval)
	}
	want := map[string]int64{"linux/amd64": 20, "linux/arm64": 20}
	if diff := cmp.Diff(want, w.Platforms); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
}

// neverInvents holds that no more counts than was healthy, and that the window is healthy
// time and interruptions, exactly.
func neverInvents(t *rapid.T) {
	all := observertest.DrawSamples(t)
	var w window.Window
	for _, o := range all {
		w.Add(o, observertest.MaxInterval)
		if behind := o.At.Sub(w.ObservedAt); w.Started() && w.Reason == "" && behind > 2*window.ClockTolerance+time.Second {
			t.Fatalf("the window is %v behind the wall clock", behind)
		}
	}
	if most := observertest.TrulyHealthy(all); time.Duration(w.Healthy)*time.Second > most {
		t.Errorf("%d s count, at most %v were healthy", w.Healthy, most)
	}
	if whole := int64(w.ObservedAt.Sub(w.StartedAt) / time.Second); w.Healthy+w.Interrupted != whole {
		t.Errorf("%d s healthy and %d s interrupted in a window of %d s", w.Healthy, w.Interrupted, whole)
	}
}

func TestTimeIsNeverInvented(t *testing.T) { rapid.Check(t, neverInvents) }

// FuzzTimeIsNeverInvented looks for such a history by what it covers.
func FuzzTimeIsNeverInvented(f *testing.F) {
	for seed := range uint64(8) {
		history := make([]byte, 8<<10) // some dozen draws for each of 60 observations
		_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(history)
		f.Add(history)
	}
	f.Fuzz(rapid.MakeFuzz(neverInvents))
}

func TestAnObservationThatComesTwiceAddsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := observertest.DrawSamples(t)
		twice := rapid.IntRange(0, len(all)-1).Draw(t, "twice")
		again := all[twice]
		again.Restarts = 0 // they are counted since the one before
		var once, more window.Window
		for _, o := range all {
			once.Add(o, observertest.MaxInterval)
		}
		for _, o := range slices.Insert(slices.Clone(all), twice+1, again) {
			more.Add(o, observertest.MaxInterval)
		}
		if more.Healthy > once.Healthy {
			t.Errorf("%d s count, and %d s when one observation comes twice", once.Healthy, more.Healthy)
		}
	})
}
