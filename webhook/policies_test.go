package webhook

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
)

// glance judges by a policy's text, in place of policy-controller, which internal/evidence
// tests: it lets by what the policy names, until it is blind.
type glance struct{ blind *atomic.Bool }

func (glance) Signed(context.Context, gate.Image, evidence.LegacySigner) ([]evidence.LegacyWord, error) {
	return nil, nil
}

func (g glance) Admits(_ context.Context, document []byte, image gate.Image) (string, error) {
	if g.blind.Load() {
		return "", errors.New("it can't see")
	}
	if text := string(document); !strings.Contains(text, image.Digest) || strings.Contains(text, "managedFields") {
		return "no matching signatures", nil
	}
	return "", nil
}

func (glance) Resolve(_ context.Context, document []byte) ([]byte, error) { return document, nil }

// TestAClusterImagePolicyOfTheCluster is read for the Gate that names it, with the rights
// of the manifests: first the kind isn't there, then the policy, then it says something.
func TestAClusterImagePolicyOfTheCluster(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	g := b.bankGate(namespace)
	g.Spec.Requires.Signature = &v1alpha1.SignatureRequirement{ClusterImagePolicy: "corp"}
	b.gate(t, g)
	image := b.push(t, "bank/ledger")
	p := b.restarted(t)
	want := func(what string, codes ...gate.Code) {
		t.Helper()
		if got := p.asked(t, namespace, image); !slices.Equal(got, codes) {
			t.Errorf("%s: codes are %v, want %v", what, got, codes)
		}
	}

	want("the cluster has no such kind", gate.PolicyRefused)
	_, err := envtest.InstallCRDs(b.admin, envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{
		foreignCRD(policyKind, "clusterimagepolicies", apiextensionsv1.ClusterScoped),
	}})
	if err != nil {
		t.Fatal(err)
	}
	want("it has none of the name", gate.PolicyRefused)
	policy := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"digest": "sha256:" + sixtyFour('0')}}}
	policy.SetGroupVersionKind(policyKind)
	policy.SetName("corp")
	if err := b.client.Create(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	want("it lets nothing by", gate.PolicyRefused)
	changed := policy.DeepCopy()
	changed.Object["spec"] = map[string]any{"digest": strings.Split(image, "@")[1]}
	if err := b.client.Patch(t.Context(), changed, client.MergeFrom(policy)); err != nil {
		t.Fatal(err)
	}
	want("it lets the image by")
	b.kept(t, image, 1)
	b.glance.blind.Store(true)
	defer b.glance.blind.Store(false)
	p = b.restarted(t)
	want("nothing can be asked after a restart, and its word is kept")
	again := changed.DeepCopy()
	again.Object["spec"] = map[string]any{"digest": strings.Split(image, "@")[1], "mode": "enforce"}
	if err := b.client.Patch(t.Context(), again, client.MergeFrom(changed)); err != nil {
		t.Fatal(err)
	}
	want("it says something else now, and can't be asked", gate.PolicyRefused, gate.RegistryUnavailable)
	if err := b.client.Delete(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	want("it is gone, memory warm", gate.PolicyRefused)
}

// TestAPolicyThatCantBeReadByAGateThatAudits stops nothing that another Gate lets by.
func TestAPolicyThatCantBeReadByAGateThatAudits(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	g := b.prodGate(namespace)
	b.gate(t, g)
	trial := b.prodGate(namespace)
	trial.Name = "trial-" + trial.Name
	trial.Spec.Action = v1alpha1.ActionAudit
	trial.Spec.Requires.Signature = &v1alpha1.SignatureRequirement{ClusterImagePolicy: "corp"}
	b.gate(t, trial)
	p := b.restarted(t)
	p.reviews.decider.policies.api = unowned{}
	request := podRequest(b.proven(t))
	request.Namespace = namespace
	response := p.reviews.ask(t, "/validate", request)
	if !response.Allowed || !strings.Contains(response.AuditAnnotations["codes"], string(gate.InternalError)) {
		t.Errorf("codes are %v, the annotations %v; want it admitted, and the trial's failure noted", responseCodes(response), response.AuditAnnotations)
	}
	if got := p.asked(t, namespace, b.push(t, "shop/web")); !slices.Contains(got, gate.NoSignature) {
		t.Errorf("what is unproven: codes are %v", got)
	}
}

// TestAPolicyThatCantBeRead: the Gate isn't judged by what may be missing.
func TestAPolicyThatCantBeRead(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	g := b.prodGate(namespace)
	g.Spec.Requires.Signature = &v1alpha1.SignatureRequirement{ClusterImagePolicy: "corp"}
	b.gate(t, g)
	p := b.restarted(t)
	p.reviews.decider.policies.api = unowned{}
	request := podRequest(b.proven(t))
	request.Namespace = namespace
	response := p.reviews.ask(t, "/validate", request)
	if got := responseCodes(response); !slices.Equal(got, []gate.Code{gate.InternalError}) || !strings.Contains(response.Result.Message, `reading ClusterImagePolicy "corp"`) {
		t.Errorf("codes are %v: %s", got, response.Result.Message)
	}
}
