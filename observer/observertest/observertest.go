package observertest

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"pgregory.net/rapid"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/observer/window"
)

// Epoch is when samples begin.
var Epoch = time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)

// MaxInterval is the longest time between two samples that counts.
const MaxInterval = 30 * time.Second

// Healthy returns a healthy sample some time after the epoch, with clocks that agree.
func Healthy(after time.Duration) window.Sample {
	return window.Sample{At: Epoch.Add(after), Elapsed: after, Ready: 2}
}

// Unhealthy returns a sample that is unhealthy for a reason.
func Unhealthy(reason v1alpha1.SoakReason, after time.Duration) window.Sample {
	s := Healthy(after)
	s.Reason = reason
	return s
}

// Dipped returns a healthy sample after a moment of bad health.
func Dipped(reason v1alpha1.SoakReason, after time.Duration) window.Sample {
	s := Healthy(after)
	s.Dip = reason
	return s
}

// DrawSamples draws what an observer may see, with late observations and jumps of the
// clock. Restarts of the observer are left to the tests.
func DrawSamples(t *rapid.T) []window.Sample {
	var samples []window.Sample
	at, elapsed := Epoch, time.Duration(0)
	for range rapid.IntRange(1, 60).Draw(t, "samples") {
		step := time.Duration(rapid.Int64Range(0, int64(40*time.Second)).Draw(t, "step"))
		jump := time.Duration(rapid.SampledFrom([]int64{0, 0, 0, 0, 0, 0, int64(time.Second), int64(-time.Second), int64(1900 * time.Millisecond), int64(time.Hour), int64(-time.Minute)}).Draw(t, "jump"))
		at, elapsed = at.Add(step+jump), elapsed+step
		samples = append(samples, window.Sample{
			At: at, Elapsed: elapsed,
			Reason:   rapid.SampledFrom([]v1alpha1.SoakReason{"", "", "", "", v1alpha1.SoakDegraded, v1alpha1.SoakNotRunning, v1alpha1.SoakUnobserved}).Draw(t, "reason"),
			Dip:      rapid.SampledFrom([]v1alpha1.SoakReason{"", "", "", "", "", v1alpha1.SoakMixedDigests}).Draw(t, "dip"),
			Ready:    rapid.Int32Range(1, 5).Draw(t, "ready"),
			Restarts: rapid.Int32Range(0, 2).Draw(t, "restarts"),
		})
	}
	return samples
}

// TrulyHealthy returns the time, by the monotonic clock, of intervals that were healthy at
// both ends and between.
func TrulyHealthy(samples []window.Sample) time.Duration {
	var sum time.Duration
	for i := 1; i < len(samples); i++ {
		before, s := samples[i-1], samples[i]
		if before.Reason == "" && s.Reason == "" && s.Dip == "" && s.Elapsed-before.Elapsed <= MaxInterval {
			sum += s.Elapsed - before.Elapsed
		}
	}
	return sum
}

// Template returns a pod template with one container, which has a readiness probe.
func Template(image string) corev1.PodTemplateSpec {
	probe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/ready", Port: intstr.FromInt32(8080)}}}
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: image, ReadinessProbe: probe}}},
	}
}

// Digest returns a digest of 64 equal digits.
func Digest(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }

// WaitUntil waits for a condition, with a bound.
func WaitUntil(t *testing.T, description string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(context.Background(), 10*time.Millisecond, 30*time.Second, true,
		func(context.Context) (bool, error) { return condition(), nil })
	if err != nil {
		t.Fatalf("waiting until %s: %v", description, err)
	}
}
