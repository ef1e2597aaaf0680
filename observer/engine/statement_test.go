package engine

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/observer/observertest"
	"github.com/envladder/envladder/observer/soakstore"
)

// judgeSoak returns the verdict of a Gate that requires hours in staging.
func judgeSoak(soak gate.Soak, digest string, hours int, now time.Time) gate.Verdict {
	g := &v1alpha1.Gate{}
	g.Spec.Environment = "prod"
	g.Spec.Namespaces = []string{"shop"}
	g.Spec.Images = []v1alpha1.GateImage{{Repository: soak.Image.Repository}}
	g.Spec.Signers = []v1alpha1.Signer{{Name: "observer", Time: v1alpha1.TimeTrustSigner}}
	g.Spec.Requires.Soak = &v1alpha1.SoakRequirement{By: []string{"observer"}, Environment: soak.Environment}
	g.Spec.Requires.Soak.Duration.Duration = time.Duration(hours) * time.Hour
	return gate.Decide(gate.Request{
		Gate: g, Image: gate.Image{Repository: soak.Image.Repository, Digest: digest}, Now: now,
		Evidence: []gate.Evidence{{Signer: "observer", PredicateType: gate.PredicateSoak, Soak: &soak}},
	})
}

func TestStatementIsConsistentForGate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := newTracker(soakstore.Key{Namespace: "shop-staging", Spec: v1alpha1.SoakSpec{Environment: "staging", Repository: "registry.example.com/shop/web", Digest: observertest.Digest("a")}})
		for _, o := range observertest.DrawSamples(t) {
			tr.window.Add(o, observertest.MaxInterval)
		}
		if !tr.window.Started() || tr.window.ObservedAt.Equal(tr.window.StartedAt) {
			return
		}
		verdict := judgeSoak(tr.statement(false, "uid", v1alpha1.SoakObserver{}), tr.Spec.Digest, 1, tr.window.ObservedAt)
		for _, reason := range verdict.Reasons {
			if reason.Code == gate.SoakInconsistent {
				t.Error(reason.Message)
			}
		}
	})
}

func TestStatementNamesNoSource(t *testing.T) {
	tr := newTracker(soakstore.Key{Namespace: "shop-staging", Spec: v1alpha1.SoakSpec{}})
	tr.window.Add(observertest.Healthy(0), observertest.MaxInterval)
	raw, err := json.Marshal(tr.statement(true, "uid", v1alpha1.SoakObserver{}))
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	if source, found := fields["source"]; found {
		t.Errorf("it names a source, which the observer doesn't see: %v", source)
	}
}
