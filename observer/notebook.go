package observer

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/printable"
)

const (
	// maxWorkloads, maxPods and maxAttestations are the API's bounds.
	maxWorkloads    = 64
	maxPods         = 512
	maxAttestations = 16
	// maxChart is the API's bound on a chart's digest, in bytes.
	maxChart = 128
	// maxMessage is the API's bound on a message, in runes.
	maxMessage = 1024
)

// soakName is the name of the Soak of what is measured: readable at its front, and
// another one for another value of any field.
func soakName(spec v1alpha1.SoakSpec) string {
	fields := []string{spec.Gate, spec.Environment, spec.Ladder, spec.Target, spec.Repository, spec.Digest}
	if spec.Chart != "" {
		fields = append(fields, spec.Chart)
	}
	sum := sha256.Sum256([]byte(strings.Join(fields, "\n")))
	base := strings.NewReplacer("_", "-", ".", "-").Replace(lastElement(spec.Repository))
	base = strings.Trim(base[:min(len(base), 40)], "-")
	return base + "-" + shortDigest(spec.Digest) + "-" + hex.EncodeToString(sum[:4])
}

func lastElement(repository string) string {
	return repository[strings.LastIndexByte(repository, '/')+1:]
}

// shortDigest are the first digits, as many as people compare.
func shortDigest(digest string) string {
	digest = strings.TrimPrefix(digest, "sha256:")
	return digest[:min(len(digest), 12)]
}

// writeAccount puts the account's figures into a status.
func writeAccount(a *account, status *v1alpha1.SoakStatus) {
	status.Reason = a.Reason
	status.Window, status.Platforms, status.Healthy = nil, nil, ""
	switch {
	case a.Reason == v1alpha1.SoakNotRunning:
		status.State = v1alpha1.SoakStopped
	case !a.begun():
		status.State = v1alpha1.SoakWaiting
	case a.Reason != "":
		status.State = v1alpha1.SoakInterrupted
	default:
		status.State = v1alpha1.SoakHealthy
	}
	if !a.begun() {
		return
	}
	status.Healthy = printable.Duration(time.Duration(a.Healthy) * time.Second)
	status.Window = &v1alpha1.SoakWindow{
		StartedAt: metav1.NewTime(a.StartedAt), ObservedAt: metav1.NewTime(a.ObservedAt),
		HealthySeconds: a.Healthy, LongestHealthySeconds: a.LongestHealthy, LongestGapSeconds: a.LongestGap,
		InterruptedSeconds: a.Interrupted, MinReady: a.MinReady, Restarts: a.Restarts,
	}
	for _, piece := range a.Interruptions {
		status.Window.Interruptions = append(status.Window.Interruptions, v1alpha1.SoakInterruption{
			From: metav1.NewTime(piece.From), To: metav1.NewTime(piece.To), Reason: piece.Reason,
		})
	}
	for _, platform := range slices.Sorted(maps.Keys(a.Platforms)) {
		status.Platforms = append(status.Platforms, v1alpha1.SoakPlatform{Platform: platform, HealthySeconds: a.Platforms[platform]})
	}
}

// readAccount is the account of a status that writeAccount wrote.
func readAccount(status *v1alpha1.SoakStatus) account {
	a := account{Reason: status.Reason}
	w := status.Window
	if w == nil {
		return a
	}
	a.StartedAt, a.ObservedAt = w.StartedAt.UTC(), w.ObservedAt.UTC()
	a.Healthy, a.LongestHealthy, a.LongestGap, a.Interrupted = w.HealthySeconds, w.LongestHealthySeconds, w.LongestGapSeconds, w.InterruptedSeconds
	a.MinReady, a.Restarts = w.MinReady, w.Restarts
	for _, piece := range w.Interruptions {
		a.Interruptions = append(a.Interruptions, interruption{piece.From.UTC(), piece.To.UTC(), piece.Reason})
	}
	for _, platform := range status.Platforms {
		if a.Platforms == nil {
			a.Platforms = map[string]int64{}
		}
		a.Platforms[platform.Platform] = platform.HealthySeconds
	}
	return a
}

// readPods are the restarts that were counted.
func readPods(status *v1alpha1.SoakStatus) map[types.UID]int32 {
	pods := map[types.UID]int32{}
	for _, p := range status.Pods {
		pods[types.UID(p.UID)] = p.Restarts
	}
	return pods
}

// writePods puts the restarts that were counted into a status. What the bound cuts off
// would be counted again after a restart: too many, never too few.
func writePods(pods map[types.UID]int32, status *v1alpha1.SoakStatus) {
	status.Pods = nil
	for _, uid := range slices.Sorted(maps.Keys(pods)) {
		if len(status.Pods) == maxPods {
			return
		}
		status.Pods = append(status.Pods, v1alpha1.SoakPod{UID: string(uid), Restarts: pods[uid]})
	}
}
