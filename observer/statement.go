package observer

import (
	"slices"
	"strings"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry"
)

// statement is the predicate of what was measured up to now, or of the window's start.
func (t *track) statement(open bool, cluster string, observer v1alpha1.SoakObserver) gate.Soak {
	soak := gate.Soak{
		Ladder: t.spec.Ladder, Environment: t.spec.Environment, Target: t.spec.Target,
		Cluster: cluster, Namespace: t.namespace,
		Image:    gate.SoakImage{Repository: t.spec.Repository, Digest: t.spec.Digest},
		Chart:    gate.SoakChart{Digest: t.chart},
		Window:   gate.SoakWindow{StartedAt: t.account.StartedAt, MinReady: t.account.MinReady},
		Observer: gate.SoakObserver{Version: observer.Version, Instance: observer.Instance},
	}
	if !t.firstSeen.IsZero() {
		soak.FirstSeenAt = new(t.firstSeen)
	}
	for _, w := range t.workloads {
		soak.Workloads = append(soak.Workloads, gate.Workload(w))
	}
	if !open {
		measured := t.account.untilHealthy()
		soak.Window = window(&measured)
	}
	return soak
}

// window has the account's figures, as the gate recomputes them.
func window(a *account) gate.SoakWindow {
	finished := a.ObservedAt
	w := gate.SoakWindow{
		StartedAt: a.StartedAt, FinishedAt: &finished,
		HealthySeconds: a.Healthy, LongestHealthySeconds: a.LongestHealthy, LongestGapSeconds: a.LongestGap,
		MinReady: a.MinReady, Restarts: a.Restarts, InterruptedSeconds: a.Interrupted,
		Interruptions: []gate.Interruption{},
	}
	for _, piece := range a.Interruptions {
		w.Interruptions = append(w.Interruptions, gate.Interruption{From: piece.From, To: piece.To, Reason: string(piece.Reason)})
	}
	return w
}

// platforms gives each child of an index the healthy time of the pods on its platform.
// Where no node said what it is, a child has none, unless it is the only one.
func platforms(target evidence.Target, healthy map[string]int64, all int64) []gate.SoakPlatform {
	out := []gate.SoakPlatform{}
	for _, child := range target.Platforms {
		seconds := healthy[osArch(child.Platform)]
		if len(target.Platforms) == 1 {
			seconds = all
		}
		// Two variants of one architecture can't be told apart by what a node says.
		if slices.ContainsFunc(target.Platforms, func(other registry.Descriptor) bool {
			return other.Digest != child.Digest && osArch(other.Platform) == osArch(child.Platform)
		}) {
			seconds = 0
		}
		out = append(out, gate.SoakPlatform{Platform: child.Platform, Digest: child.Digest, HealthySeconds: seconds})
	}
	return out
}

// osArch leaves out a platform's variant.
func osArch(platform string) string {
	parts := strings.SplitN(platform, "/", 3)
	return strings.Join(parts[:min(len(parts), 2)], "/")
}

// backoff is how long to wait after so many failures.
func backoff(failures int) time.Duration {
	const first, most = 10 * time.Second, 5 * time.Minute
	return min(first<<min(failures-1, 10), most)
}
