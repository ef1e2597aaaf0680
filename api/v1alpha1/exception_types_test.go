package v1alpha1_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
)

func TestServerAcceptsException(t *testing.T) {
	_, c := server(t)
	document := map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "Exception", "metadata": map[string]any{"name": "hotfix"},
		"spec": map[string]any{
			"digest": "sha256:" + strings.Repeat("0", 64), "namespaces": []any{"shop"}, "reason": "incident 117",
			"expiresAt": "2026-11-01T00:00:00Z", "bundles": []any{"e30="},
		},
	}
	file, err := v1alpha1.ExceptionFrom(document)
	if err != nil {
		t.Fatal(err)
	}
	object := unstructuredOf(t, document)
	if err := c.Create(t.Context(), object, client.FieldValidation("Strict"), client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	served, err := v1alpha1.ExceptionFrom(object.Object)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(file.Spec, served.Spec); diff != "" {
		t.Errorf("(-file +server):\n%s", diff)
	}
	for field, value := range map[string]any{
		"digest": "sha256:" + strings.Repeat("A", 64), "namespaces": []any{}, "reason": "", "expiresAt": nil, "bundles": []any{},
	} {
		broken := unstructuredOf(t, document)
		spec := broken.Object["spec"].(map[string]any)
		if spec[field] = value; value == nil {
			delete(spec, field)
		}
		if err := c.Create(t.Context(), broken, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "spec."+field) {
			t.Errorf("%s %v: %v", field, value, err)
		}
	}
}
