// Package gatetest provides evidence for tests and benchmarks.
package gatetest

import (
	"strings"
	"time"

	"github.com/envladder/envladder/internal/gate"
)

// Soak returns an observer's statement in staging about an image, repository@digest, that was
// healthy for some time, without interruption, until some time ago.
func Soak(ladder, reference string, healthy, ago time.Duration) gate.Soak {
	repository, digest, _ := strings.Cut(reference, "@")
	finished := time.Now().Add(-ago).Truncate(time.Second)
	seconds := int64(healthy / time.Second)
	return gate.Soak{
		Ladder: ladder, Environment: "staging", Cluster: "uid", Namespace: "shop-staging",
		Image: gate.SoakImage{
			Repository: repository,
			Platforms:  []gate.SoakPlatform{{Platform: "linux/amd64", Digest: digest, HealthySeconds: seconds}},
		},
		Window: gate.SoakWindow{
			StartedAt: finished.Add(-healthy), FinishedAt: &finished,
			HealthySeconds: seconds, LongestHealthySeconds: seconds, MinReady: 2,
		},
	}
}
