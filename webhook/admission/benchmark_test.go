package admission

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
	"github.com/envladder/envladder/webhook/webhooktest"
)

// BenchmarkAdmission measures a review from the request's body to the answer's, of an image
// whose evidence is known: all but the connection.
func BenchmarkAdmission(b *testing.B) {
	images := webhooktest.StartRegistry(b)
	h := newTestHandler(verdict.New(evidence.NewStore(registry.NewClient(), evidence.NewTrust(evidence.TrustOptions{}))))
	policiesOf(h).DeleteGate("shop-prod")
	policiesOf(h).SetGate(webhooktest.Unstructured(images.ProdGate("shop"), "Gate"))
	proven := images.PushProven(b)
	for name, containers := range map[string]int{"1 container": 1, "10 containers": 10} {
		request := webhooktest.PodRequest(proven)
		pod := webhooktest.NewPod("shop", "web", proven)
		pod.APIVersion, pod.Kind = "v1", "Pod"
		for len(pod.Spec.Containers) < containers {
			pod.Spec.Containers = append(pod.Spec.Containers, pod.Spec.Containers[0])
		}
		var err error
		if request.Object.Raw, err = json.Marshal(pod); err != nil {
			b.Fatal(err)
		}
		body := webhooktest.EncodeReview(request)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var times []time.Duration
			for b.Loop() {
				began := time.Now()
				ctx, cancel := context.WithTimeout(b.Context(), defaultTimeout)
				answer := httptest.NewRecorder()
				h.finish(ctx, answer, h.start(ctx, body, time.Second, func() {}))
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
