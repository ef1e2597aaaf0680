package audit_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/audit"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/internal/workload"
)

// TestPolicies reads the ClusterImagePolicies that Gates name, where the cluster has the
// kind.
func TestPolicies(t *testing.T) {
	config, cluster := startCluster(t)
	named := &v1alpha1.Gate{Spec: v1alpha1.GateSpec{Requires: v1alpha1.Requirements{Signature: &v1alpha1.SignatureRequirement{ClusterImagePolicy: "corp"}}}}
	unnamed := &v1alpha1.Gate{}
	read := func(gates ...*v1alpha1.Gate) map[string]string {
		asked, err := audit.NewCluster(config, workload.NewKinds())
		check(t, err)
		var judges []verdict.Gate
		for _, g := range gates {
			judges = append(judges, verdict.Gate{Gate: g})
		}
		policies, err := asked.Policies(t.Context(), judges)
		check(t, err)
		texts := map[string]string{}
		for name, document := range policies {
			texts[name] = string(document)
		}
		return texts
	}
	if got := read(named); len(got) != 0 {
		t.Errorf("a cluster without the kind has %v", got)
	}
	names := apiextensionsv1.CustomResourceDefinitionNames{Kind: "ClusterImagePolicy", Plural: "clusterimagepolicies"}
	_, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{{
		ObjectMeta: metav1.ObjectMeta{Name: "clusterimagepolicies.policy.sigstore.dev"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "policy.sigstore.dev", Scope: apiextensionsv1.ClusterScoped, Names: names,
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1alpha1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: new(true)}},
			}},
		},
	}}})
	check(t, err)
	for _, name := range []string{"corp", "other"} {
		policy := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "policy.sigstore.dev/v1alpha1", "kind": names.Kind, "metadata": map[string]any{"name": name},
			"spec": map[string]any{"mode": "enforce"}, "status": map[string]any{"observedGeneration": int64(1)},
		}}
		check(t, cluster.Create(t.Context(), policy))
	}
	want := map[string]string{"corp": `{"apiVersion":"policy.sigstore.dev/v1alpha1","kind":"ClusterImagePolicy","metadata":{"name":"corp"},"spec":{"mode":"enforce"}}`}
	if diff := cmp.Diff(want, read(unnamed, named, named)); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}
	if got := read(unnamed); len(got) != 0 {
		t.Errorf("a Gate that names none is given %v", got)
	}
}
