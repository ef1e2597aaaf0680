package webhooktest

import (
	"errors"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/envladder/envladder/internal/workload"
)

// RolloutController is the account that the webhook is configured to know as Argo Rollouts'
// controller.
const RolloutController = "system:serviceaccount:argo-rollouts:argo-rollouts"

// Custom kinds that start pods. A Crew does so at two configured paths.
var (
	RolloutKind = schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout"}
	KnativeKind = schema.GroupVersionKind{Group: "serving.knative.dev", Version: "v1", Kind: "Service"}
	CrewKind    = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Crew"}
)

// Kinds returns the kinds that start pods, with the custom ones.
func Kinds() *workload.Kinds {
	kinds := workload.NewKinds()
	err := errors.Join(
		kinds.AddPath("example.com/v1/Crew=spec.head"), kinds.AddPath("example.com/v1/Crew=spec.members[].template"),
		kinds.AddController("argoproj.io/v1alpha1/Rollout="+RolloutController))
	if err != nil {
		panic(err)
	}
	return kinds
}

// CrewRule returns a rule that sends Crews to the webhook.
func CrewRule() admissionregistrationv1.RuleWithOperations {
	return admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{"example.com"}, APIVersions: []string{"v1"}, Resources: []string{"crews"}},
	}
}

// CustomCRDs returns CRDs of the custom kinds. They accept any spec.
func CustomCRDs() []*apiextensionsv1.CustomResourceDefinition {
	var crds []*apiextensionsv1.CustomResourceDefinition
	for _, kind := range []schema.GroupVersionKind{RolloutKind, KnativeKind, CrewKind} {
		crds = append(crds, CRD(kind, strings.ToLower(kind.Kind)+"s", apiextensionsv1.NamespaceScoped))
	}
	return crds
}

// CRD returns a CRD that accepts any object.
func CRD(kind schema.GroupVersionKind, plural string, scope apiextensionsv1.ResourceScope) *apiextensionsv1.CustomResourceDefinition {
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: plural + "." + kind.Group, Annotations: map[string]string{"api-approved.kubernetes.io": "unapproved, for a test"}},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: kind.Group, Scope: scope,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: kind.Kind, Plural: plural, Singular: strings.ToLower(kind.Kind), ListKind: kind.Kind + "List"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: kind.Version, Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", XPreserveUnknownFields: new(true),
				}},
			}},
		},
	}
}

// NewCustom returns an object of a kind that client-go has no type for.
func NewCustom(namespace string, kind schema.GroupVersionKind, spec map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetGroupVersionKind(kind)
	u.SetNamespace(namespace)
	u.SetGenerateName("web-")
	return u
}

// CustomTemplate returns a pod template for a custom object's spec.
func CustomTemplate(image string) map[string]any {
	return map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "web", "image": image}}}}
}
