package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/envladder/envladder/internal/gate"
)

const (
	theirModule  = "github.com/sigstore/policy-controller"
	theirWebhook = "policy.sigstore.dev"
)

// installTheirs applies the objects that policy-controller needs, from its config/, and two
// policies: one requires a signature, one a soak. An authority that requires attestations
// doesn't require a signature.
func (w *fixture) installTheirs(ctx context.Context) error {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", theirModule)
	folder, err := list.Output()
	if err != nil {
		return fmt.Errorf("finding module %s: %w", theirModule, err)
	}
	config := filepath.Join(strings.TrimSpace(string(folder)), "config")
	crds := envtest.CRDInstallOptions{
		Paths: []string{filepath.Join(config, "300-clusterimagepolicy.yaml"), filepath.Join(config, "300-trustroot.yaml")}, ErrorIfPathMissing: true,
	}
	if err := envtest.ReadCRDFiles(&crds); err != nil {
		return err
	}
	for _, crd := range crds.CRDs {
		crd.Spec.Conversion = nil // its own webhook would convert; only one version is used here
	}
	if _, err := envtest.InstallCRDs(w.environment.Config, envtest.CRDInstallOptions{CRDs: crds.CRDs}); err != nil {
		return err
	}
	for name, data := range map[string]map[string]string{
		"config-image-policies": nil, "config-policy-controller": nil, "config-sigstore-keys": nil, "config-observability": nil, "config-leader-election": nil,
		// It logs each request by default.
		"config-logging": {"zap-logger-config": `{"level":"error","encoding":"json","outputPaths":["stdout"],"errorOutputPaths":["stderr"]}`},
	} {
		if err := w.create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: theirNamespace}, Data: data}); err != nil {
			return err
		}
	}
	if err := w.create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "webhook-certs", Namespace: theirNamespace}}, theirRegistration()); err != nil {
		return err
	}
	return w.create(ctx,
		w.policyOf("signature", "ci", nil),
		w.policyOf("soak", "observer", []any{map[string]any{"name": "soak", "predicateType": gate.PredicateSoak}}))
}

// theirRegistration returns the configuration that policy-controller fills in itself. No
// namespace has its label.
func theirRegistration() *admissionregistrationv1.ValidatingWebhookConfiguration {
	none := admissionregistrationv1.SideEffectClassNone
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: theirWebhook},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:                    theirWebhook,
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{theirWebhook + "/include": "true"}},
			ClientConfig:            admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Name: "webhook", Namespace: theirNamespace}},
			AdmissionReviewVersions: []string{"v1"},
			SideEffects:             &none,
		}},
	}
}

// policyOf returns a ClusterImagePolicy that requires a signature, or attestations, by a key.
func (w *fixture) policyOf(name, key string, attestations []any) *unstructured.Unstructured {
	authority := map[string]any{"name": key, "key": map[string]any{"data": w.keys[key].PublicPEM(), "hashAlgorithm": "sha256"}}
	if attestations != nil {
		authority["attestations"] = attestations
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": theirWebhook + "/v1alpha1",
		"kind":       "ClusterImagePolicy",
		"metadata":   map[string]any{"name": name},
		"spec": map[string]any{
			"images":      []any{map[string]any{"glob": w.registries.plain + "/**"}},
			"authorities": []any{authority},
		},
	}}
}
