package admission

import (
	"log/slog"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/policycache"
	"github.com/envladder/envladder/webhook/rollout"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// denied returns a result with these reasons.
func denied(reference string, action v1alpha1.Action, reasons ...gate.Reason) ImageResult {
	return ImageResult{
		Reference: reference,
		Fields:    []string{"spec.containers[0].image"},
		Outcome: verdict.Outcome{
			Verdict: gate.Verdict{Reasons: reasons, Gate: gate.Ref{Name: "shop-prod", Generation: 3, Digest: webhooktest.Digest('e')}},
			Action:  action,
		},
	}
}

// exempted returns the result of an image that an Exception admits.
func exempted(reference string) ImageResult {
	image := denied(reference, v1alpha1.ActionDeny)
	image.Allowed = true
	image.Exception = &gate.Exempted{
		Name: "exception", Reason: "incident 117", By: []string{"ana", "bo"},
		ExpiresAt: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC), Missing: []gate.Code{gate.NoSoak, gate.NoSignature},
	}
	return image
}

// prodGates returns one Gate, for prod.
func prodGates() []policycache.CachedGate {
	g := webhooktest.NewGate("shop-prod", "shop")
	g.Generation = 3
	return []policycache.CachedGate{{Gate: verdict.Gate{Gate: g, Ref: gate.RefTo(g)}}}
}

// readyPolicies are a cache that has read everything, and watches nothing.
type readyPolicies struct {
	*policycache.Cache
	ready bool
}

func (p *readyPolicies) Ready() bool { return p.ready }

// newTestHandler returns a handler with one Gate, for namespace shop. It reads nothing from a
// cluster.
func newTestHandler(judge Judge) *handler {
	log := slog.New(slog.DiscardHandler)
	policies := &readyPolicies{policycache.New(log), true}
	policies.SetGate(webhooktest.Unstructured(webhooktest.MinimalGate(), "Gate"))
	return newHandler(NewReviewer(Options{
		Policies: policies, Resolver: rollout.NewResolver(webhooktest.UnreachableAPI{}, workload.NewKinds()), Judge: judge,
		ImagePolicies: policycache.NewImagePolicies(webhooktest.UnreachableAPI{}), ClusterUID: policycache.NewClusterUID(webhooktest.UnreachableAPI{}), Log: log,
	}), nil)
}

// policiesOf returns the policies of a test's handler.
func policiesOf(h *handler) *readyPolicies { return h.reviewer.policies.(*readyPolicies) }
