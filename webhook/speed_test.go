package webhook

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/verdict"
)

// BenchmarkAdmission is a review from its body to the answer's, of an image whose evidence
// is known: all but the connection.
func BenchmarkAdmission(b *testing.B) {
	world := &bed{keys: map[string]*evidence.Signer{}}
	defer world.down()
	for _, key := range []string{"ci", "observer"} {
		signer, err := newSigner()
		if err != nil {
			b.Fatal(err)
		}
		world.keys[key] = signer
	}
	world.registry = world.serveRegistry()
	h := newReviewer(verdict.New(evidence.NewStore(registry.NewClient(), evidence.NewTrust(evidence.TrustOptions{}))))
	h.metrics = NewMetrics()
	h.decider.metrics = h.metrics
	h.decider.gates.removeGate("shop-prod")
	h.decider.gates.setGate(unstructuredGate(world.prodGate("shop")))
	proven := world.proven(b)
	for name, containers := range map[string]int{"1 container": 1, "10 containers": 10} {
		request := podRequest(proven)
		pod := newPod("shop", "web", proven)
		pod.APIVersion, pod.Kind = "v1", "Pod"
		for len(pod.Spec.Containers) < containers {
			pod.Spec.Containers = append(pod.Spec.Containers, pod.Spec.Containers[0])
		}
		var err error
		if request.Object.Raw, err = json.Marshal(pod); err != nil {
			b.Fatal(err)
		}
		body := reviewOf(request)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var times []time.Duration
			for b.Loop() {
				began := time.Now()
				ctx, cancel := context.WithTimeout(b.Context(), defaultTimeout)
				answer := httptest.NewRecorder()
				h.finish(ctx, answer, h.begin(ctx, body, time.Second, func() {}))
				cancel()
				times = append(times, time.Since(began))
				if !strings.Contains(answer.Body.String(), `"allowed":true`) {
					b.Fatal(answer.Body)
				}
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
		})
	}
}
