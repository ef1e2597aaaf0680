package verdict_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/verdict"
)

// newException returns an Exception for namespace shop that these signers sign, until the end.
func (w *fixture) newException(t *testing.T, end time.Time, by ...*evidence.Signer) v1alpha1.Exception {
	t.Helper()
	x := v1alpha1.Exception{ObjectMeta: metav1.ObjectMeta{Name: "hotfix"}, Spec: v1alpha1.ExceptionSpec{
		Digest: w.digest, Namespaces: []string{"shop"}, Reason: "incident 117", ExpiresAt: metav1.NewTime(end),
	}}
	target, err := evidence.FindTarget(t.Context(), w.client, w.server.Name("shop/web"), w.digest)
	check(t, err)
	for _, signer := range by {
		attested, err := evidence.Attest(t.Context(), w.client, signer, target, gate.PredicateException, gate.Permission{Namespace: "shop", Reason: "incident 117", ExpiresAt: &end})
		check(t, err)
		x.Spec.Bundles = append(x.Spec.Bundles, attested.Bundle)
	}
	return x
}

func TestJudgeException(t *testing.T) {
	w := newFixture(t)
	lenient := w.gate(func(spec *v1alpha1.GateSpec) {
		spec.Exceptions = &v1alpha1.ExceptionPolicy{By: []string{"ci", "observer"}, Count: 2}
	})
	end := now.Add(time.Hour)
	both := w.newException(t, end, w.ci, w.observer)
	other := *w
	other.digest = w.server.Image(t, "shop/web")
	elsewhere := other.newException(t, end, w.ci, w.observer)
	moved := elsewhere
	moved.Spec.Digest = w.digest // the resource says so, the statements don't
	widened := both
	widened.Spec.Namespaces = []string{"blog"}
	longer := w.newException(t, now.Add(-time.Hour), w.ci, w.observer)
	longer.Spec.ExpiresAt = metav1.NewTime(end)

	for name, test := range map[string]struct {
		exception v1alpha1.Exception
		namespace string
		want      bool
	}{
		"of both":                      {both, "shop", true},
		"of one":                       {w.newException(t, end, w.ci), "shop", false},
		"of one, twice":                {w.newException(t, end, w.ci, w.ci), "shop", false},
		"of one and a stranger":        {w.newException(t, end, w.ci, newKey(t)), "shop", false},
		"in no namespace":              {both, "", false},
		"about another image":          {elsewhere, "shop", false},
		"edited to be about this one":  {moved, "shop", false},
		"edited to be for a namespace": {widened, "blog", false},
		"edited to last":               {longer, "shop", false},
	} {
		t.Run(name, func(t *testing.T) {
			query := verdict.Query{
				Gates: []verdict.Gate{lenient}, Reference: w.image(), Namespace: test.namespace,
				Exceptions: []v1alpha1.Exception{test.exception}, Now: now,
			}
			result := w.judge.Judge(t.Context(), query)[0]
			if result.Allowed != test.want || (result.Exception != nil) != test.want {
				t.Errorf("allowed %v by %+v: %+v", result.Allowed, result.Exception, result.Reasons)
			}
		})
	}

	t.Run("with the registry down", func(t *testing.T) {
		w.server.Stop()
		query := verdict.Query{Gates: []verdict.Gate{lenient}, Reference: w.image(), Namespace: "shop", Exceptions: []v1alpha1.Exception{both}, Now: now}
		if result := w.judge.Judge(t.Context(), query)[0]; !result.Allowed || result.Exception == nil {
			t.Errorf("denied: %+v", result.Reasons)
		}
	})
}

func TestJudgeFetchesExceptionEvidenceFromGateRepository(t *testing.T) {
	w := newFixture(t)
	w.prove(t)
	apart := w.gate(func(spec *v1alpha1.GateSpec) { spec.Images[0].Evidence = w.server.Name("evidence/*") })
	queried := false
	w.server.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		queried = queried || strings.HasPrefix(r.URL.Path, "/v2/shop/")
		return false
	})
	wantCodes(t, w.ask(t, w.image(), apart), c{gate.NoSignature, gate.NoSoak})
	if queried {
		t.Error("it was searched next to the image")
	}
}

// policies is a Legacy that knows what one ClusterImagePolicy says.
type policies struct {
	refused string
	err     error
}

func (policies) Signed(context.Context, gate.Image, evidence.LegacySigner) ([]evidence.LegacyClaim, error) {
	return nil, nil
}

func (p policies) Admits(context.Context, []byte, gate.Image) (string, error) {
	return p.refused, p.err
}

func (policies) Resolve(_ context.Context, document []byte) ([]byte, error) { return document, nil }

func TestJudgeClusterImagePolicyInsteadOfSigners(t *testing.T) {
	w := newFixture(t)
	w.prove(t)
	named := w.gate(func(spec *v1alpha1.GateSpec) {
		spec.Requires.Signature = &v1alpha1.SignatureRequirement{ClusterImagePolicy: "corp"}
	})
	for name, test := range map[string]struct {
		says     policies
		policies map[string][]byte
		want     c
	}{
		"it admits":      {policies{}, map[string][]byte{"corp": []byte("{}")}, allowed},
		"it refuses":     {policies{refused: "no signatures found"}, map[string][]byte{"corp": []byte("{}")}, c{gate.PolicyRefused}},
		"it isn't there": {policies{}, nil, c{gate.PolicyRefused}},
		"it isn't known": {policies{err: errors.New("no route to the registry")}, map[string][]byte{"corp": []byte("{}")}, c{gate.PolicyRefused, gate.RegistryUnavailable}},
	} {
		t.Run(name, func(t *testing.T) {
			store := evidence.NewStore(w.client, evidence.NewTrust(evidence.TrustOptions{})).WithLegacy(test.says)
			query := verdict.Query{Gates: []verdict.Gate{named}, Reference: w.image(), Policies: test.policies, Now: now}
			wantCodes(t, verdict.New(store).Judge(t.Context(), query), test.want)
		})
	}
}
