package engine

import (
	"slices"
	"strings"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/observer/window"
)

// statement returns the predicate of what was measured until now, or of the window's
// start.
func (t *tracker) statement(start bool, cluster string, observer v1alpha1.SoakObserver) gate.Soak {
	soak := gate.Soak{
		Ladder: t.Spec.Ladder, Environment: t.Spec.Environment, Target: t.Spec.Target,
		Cluster: cluster, Namespace: t.Namespace,
		Image:    gate.SoakImage{Repository: t.Spec.Repository, Digest: t.Spec.Digest},
		Chart:    gate.SoakChart{Digest: t.chart},
		Window:   gate.SoakWindow{StartedAt: t.window.StartedAt, MinReady: t.window.MinReady, HealthySeconds: t.window.Healthy, LongestHealthySeconds: t.window.LongestHealthy, InterruptedSeconds: t.window.Interrupted},
		Observer: gate.SoakObserver{Version: observer.Version, Instance: observer.Instance},
	}
	if !t.firstSeen.IsZero() {
		soak.FirstSeenAt = new(t.firstSeen)
	}
	for _, w := range t.workloads {
		soak.Workloads = append(soak.Workloads, gate.Workload(w))
	}
	if !start {
		measured := t.window.UntilHealthy()
		soak.Window = soakWindow(&measured)
	}
	soak.Window.ID = t.id
	if t.checkpoint != nil {
		soak.Window.Previous = t.checkpoint.Statement
	}
	return soak
}

// soakWindow returns a window's figures, as the gate recomputes them.
func soakWindow(w *window.Window) gate.SoakWindow {
	finished := w.ObservedAt
	soak := gate.SoakWindow{
		StartedAt: w.StartedAt, FinishedAt: &finished,
		HealthySeconds: w.Healthy, LongestHealthySeconds: w.LongestHealthy, LongestGapSeconds: w.LongestGap,
		MinReady: w.MinReady, Restarts: w.Restarts, InterruptedSeconds: w.Interrupted,
		Interruptions: []gate.Interruption{},
	}
	for _, i := range w.Interruptions {
		soak.Interruptions = append(soak.Interruptions, gate.Interruption{From: i.From, To: i.To, Reason: string(i.Reason)})
	}
	return soak
}

// soakPlatforms returns each child of an index with the healthy time of the pods on its
// platform. A child whose platform no node reported has none, unless it is the only one.
func soakPlatforms(target evidence.Target, byPlatform map[string]int64, total int64) []gate.SoakPlatform {
	out := []gate.SoakPlatform{}
	for _, child := range target.Platforms {
		seconds := byPlatform[osArch(child.Platform)]
		if len(target.Platforms) == 1 {
			seconds = total
		}
		// A node doesn't report the variant of its architecture, so two variants of one
		// can't be told apart.
		if slices.ContainsFunc(target.Platforms, func(other registry.Descriptor) bool {
			return other.Digest != child.Digest && osArch(other.Platform) == osArch(child.Platform)
		}) {
			seconds = 0
		}
		out = append(out, gate.SoakPlatform{Platform: child.Platform, Digest: child.Digest, HealthySeconds: seconds})
	}
	return out
}

// osArch returns a platform without its variant.
func osArch(platform string) string {
	parts := strings.SplitN(platform, "/", 3)
	return strings.Join(parts[:min(len(parts), 2)], "/")
}
