package soakstore

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
	"github.com/envladder/envladder/observer/window"
)

const (
	// maxPods is the API's bound on pods in a status.
	maxPods = 512
	// maxMessage is the API's bound on a message, in runes.
	maxMessage = 1024
)

// Name returns the name of a Soak: readable at its front, and different where any field
// of the spec is.
func Name(spec v1alpha1.SoakSpec) string {
	fields := []string{spec.Gate, spec.Environment, spec.Ladder, spec.Target, spec.Repository, spec.Digest}
	if spec.Chart != "" {
		fields = append(fields, spec.Chart)
	}
	sum := sha256.Sum256([]byte(strings.Join(fields, "\n")))
	base := strings.NewReplacer("_", "-", ".", "-").Replace(lastElement(spec.Repository))
	base = strings.Trim(base[:min(len(base), 40)], "-")
	return base + "-" + shortHex(spec.Digest) + "-" + hex.EncodeToString(sum[:4])
}

// ShortImage returns an image as people compare it: web@0123456789ab.
func ShortImage(spec v1alpha1.SoakSpec) string {
	return lastElement(spec.Repository) + "@" + shortHex(spec.Digest)
}

func lastElement(repository string) string {
	return repository[strings.LastIndexByte(repository, '/')+1:]
}

// shortHex returns the first 12 digits of a digest.
func shortHex(digest string) string {
	digest = strings.TrimPrefix(digest, "sha256:")
	return digest[:min(len(digest), 12)]
}

// SetWindow writes a window's figures into a status.
func SetWindow(status *v1alpha1.SoakStatus, w *window.Window) {
	status.Reason = w.Reason
	status.Window, status.Platforms, status.Healthy = nil, nil, ""
	switch {
	case w.Reason == v1alpha1.SoakNotRunning:
		status.State = v1alpha1.SoakStopped
	case !w.Started():
		status.State = v1alpha1.SoakWaiting
	case w.Reason != "":
		status.State = v1alpha1.SoakInterrupted
	default:
		status.State = v1alpha1.SoakHealthy
	}
	if !w.Started() {
		return
	}
	status.Healthy = printable.Duration(time.Duration(w.Healthy) * time.Second)
	status.Window = &v1alpha1.SoakWindow{
		StartedAt: metav1.NewTime(w.StartedAt), ObservedAt: metav1.NewTime(w.ObservedAt),
		HealthySeconds: w.Healthy, LongestHealthySeconds: w.LongestHealthy, LongestGapSeconds: w.LongestGap,
		InterruptedSeconds: w.Interrupted, MinReady: w.MinReady, Restarts: w.Restarts,
	}
	for _, i := range w.Interruptions {
		status.Window.Interruptions = append(status.Window.Interruptions, v1alpha1.SoakInterruption{
			From: metav1.NewTime(i.From), To: metav1.NewTime(i.To), Reason: i.Reason,
		})
	}
	for _, platform := range slices.Sorted(maps.Keys(w.Platforms)) {
		status.Platforms = append(status.Platforms, v1alpha1.SoakPlatform{Platform: platform, HealthySeconds: w.Platforms[platform]})
	}
}

// ReadWindow returns the window of a status that SetWindow wrote.
func ReadWindow(status *v1alpha1.SoakStatus) window.Window {
	w := window.Window{Reason: status.Reason}
	stored := status.Window
	if stored == nil {
		return w
	}
	w.StartedAt = stored.StartedAt.UTC()
	w.ObservedAt = stored.ObservedAt.UTC()
	w.Healthy = stored.HealthySeconds
	w.LongestHealthy = stored.LongestHealthySeconds
	w.LongestGap = stored.LongestGapSeconds
	w.Interrupted = stored.InterruptedSeconds
	w.MinReady = stored.MinReady
	w.Restarts = stored.Restarts
	for _, i := range stored.Interruptions {
		w.Interruptions = append(w.Interruptions, window.Interruption{From: i.From.UTC(), To: i.To.UTC(), Reason: i.Reason})
	}
	for _, platform := range status.Platforms {
		if w.Platforms == nil {
			w.Platforms = map[string]int64{}
		}
		w.Platforms[platform.Platform] = platform.HealthySeconds
	}
	return w
}

// SetPods writes the restarts that were counted into a status. Restarts beyond the bound
// would be counted again after a restart of the observer: too many, never too few.
func SetPods(status *v1alpha1.SoakStatus, restarts map[types.UID]int32) {
	status.Pods = nil
	for _, uid := range slices.Sorted(maps.Keys(restarts)) {
		if len(status.Pods) == maxPods {
			return
		}
		status.Pods = append(status.Pods, v1alpha1.SoakPod{UID: string(uid), Restarts: restarts[uid]})
	}
}

// ReadPods returns the restarts that were counted.
func ReadPods(status *v1alpha1.SoakStatus) map[types.UID]int32 {
	restarts := map[types.UID]int32{}
	for _, p := range status.Pods {
		restarts[types.UID(p.UID)] = p.Restarts
	}
	return restarts
}

// CutMessage shortens a message to the API's bound.
func CutMessage(message string) string { return printable.Cut(message, maxMessage) }
