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

func TestWindow(t *testing.T) {
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
		"window starts with the first healthy sample": {
			samples: []window.Sample{observertest.Unhealthy(v1alpha1.SoakProgressing, 0), observertest.Healthy(10 * time.Second), observertest.Healthy(20 * time.Second)},
			healthy: 10, longest: 10,
		},
		"unhealthy sample interrupts the intervals before and after it": {
			samples: []window.Sample{observertest.Healthy(0), observertest.Healthy(10 * time.Second), observertest.Unhealthy(v1alpha1.SoakDegraded, 20*time.Second), observertest.Healthy(30 * time.Second), observertest.Healthy(40 * time.Second)},
			healthy: 20, longest: 10, interrupted: 20,
			reasons: []v1alpha1.SoakReason{v1alpha1.SoakDegraded},
		},
		"dip interrupts its interval": {
			samples: []window.Sample{observertest.Healthy(0), observertest.Dipped(v1alpha1.SoakMixedDigests, 10*time.Second), observertest.Healthy(20 * time.Second)},
			healthy: 10, longest: 10, interrupted: 10,
			reasons: []v1alpha1.SoakReason{v1alpha1.SoakMixedDigests},
		},
		"interval that is too long is unobserved": {
			samples: []window.Sample{observertest.Healthy(0), observertest.Healthy(31 * time.Second), observertest.Healthy(41 * time.Second)},
			healthy: 10, longest: 10, interrupted: 31, gap: 31,
			reasons: []v1alpha1.SoakReason{v1alpha1.SoakUnobserved},
		},
		"fractions of seconds add no healthy time": {
			samples: []window.Sample{observertest.Healthy(300 * time.Millisecond), observertest.Healthy(9900 * time.Millisecond), observertest.Unhealthy(v1alpha1.SoakDegraded, 10100*time.Millisecond), observertest.Healthy(10200 * time.Millisecond), observertest.Healthy(20200 * time.Millisecond)},
			healthy: 8 + 9, longest: 9, interrupted: 2,
			reasons: []v1alpha1.SoakReason{v1alpha1.SoakDegraded},
		},
		"wall clock jumping forward makes time unobserved": {
			samples: []window.Sample{observertest.Healthy(0), {At: observertest.Epoch.Add(time.Hour), Elapsed: 10 * time.Second, Ready: 2}, {At: observertest.Epoch.Add(time.Hour + 10*time.Second), Elapsed: 20 * time.Second, Ready: 2}},
			healthy: 10, longest: 10, interrupted: 3600, gap: 3600,
			reasons: []v1alpha1.SoakReason{v1alpha1.SoakClockMoved},
		},
		"wall clock going back restarts the window": {
			samples: []window.Sample{observertest.Healthy(0), observertest.Healthy(10 * time.Second), {At: observertest.Epoch.Add(15 * time.Second), Elapsed: 20 * time.Second, Ready: 2}, {At: observertest.Epoch.Add(25 * time.Second), Elapsed: 30 * time.Second, Ready: 2}},
			healthy: 10, longest: 10,
		},
		"small steps of the clock add up to a jump": {
			samples: []window.Sample{observertest.Healthy(0), {At: observertest.Epoch.Add(11500 * time.Millisecond), Elapsed: 10 * time.Second, Ready: 2}, {At: observertest.Epoch.Add(23 * time.Second), Elapsed: 20 * time.Second, Ready: 2}},
			healthy: 10, longest: 10, interrupted: 13, gap: 13,
			reasons: []v1alpha1.SoakReason{v1alpha1.SoakClockMoved},
		},
		"second gained by the wall clock adds no healthy time": {
			samples: []window.Sample{observertest.Healthy(0), {At: observertest.Epoch.Add(11 * time.Second), Elapsed: 10 * time.Second, Ready: 2}, {At: observertest.Epoch.Add(21 * time.Second), Elapsed: 20 * time.Second, Ready: 2}},
			healthy: 20, longest: 20,
		},
		"second lost and regained by the wall clock loses no healthy time": {
			samples: []window.Sample{observertest.Healthy(0), {At: observertest.Epoch.Add(9 * time.Second), Elapsed: 10 * time.Second, Ready: 2}, observertest.Healthy(20 * time.Second)},
			healthy: 20, longest: 20,
		},
		"sample from the past adds no time": {
			samples: []window.Sample{observertest.Healthy(0), observertest.Healthy(10 * time.Second), observertest.Healthy(9 * time.Second), observertest.Healthy(10 * time.Second), observertest.Healthy(20 * time.Second)},
			healthy: 20, longest: 20,
		},
		"stopped digest is not unobserved": {
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

func TestWindowBoundsInterruptionsAndKeepsTheirSum(t *testing.T) {
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

func TestWindowCountsTimeByPlatform(t *testing.T) {
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

// checkNeverInvents checks that no more time counts than was healthy, and that healthy
// time and interruptions add up to the window exactly.
func checkNeverInvents(t *rapid.T) {
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

func TestWindowNeverInventsTime(t *testing.T) { rapid.Check(t, checkNeverInvents) }

// FuzzWindowNeverInventsTime searches for a violating history, guided by coverage.
func FuzzWindowNeverInventsTime(f *testing.F) {
	for seed := range uint64(8) {
		history := make([]byte, 8<<10) // some dozen draws for each of 60 observations
		_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(history)
		f.Add(history)
	}
	f.Fuzz(rapid.MakeFuzz(checkNeverInvents))
}

func TestWindowDuplicateSampleAddsNoTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := observertest.DrawSamples(t)
		twice := rapid.IntRange(0, len(all)-1).Draw(t, "twice")
		again := all[twice]
		again.Restarts = 0 // they are counted since the previous sample
		var single, doubled window.Window
		for _, o := range all {
			single.Add(o, observertest.MaxInterval)
		}
		for _, o := range slices.Insert(slices.Clone(all), twice+1, again) {
			doubled.Add(o, observertest.MaxInterval)
		}
		if doubled.Healthy > single.Healthy {
			t.Errorf("%d s count, and %d s with a duplicate sample", single.Healthy, doubled.Healthy)
		}
	})
}
