package workload

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/envladder/envladder/api/v1alpha1"
)

const (
	// injectLabel turns Istio's injection on or off for a pod; older manifests have it as an
	// annotation.
	injectLabel = "sidecar.istio.io/inject"
	// proxyContainer is the container that Istio injects by default.
	proxyContainer = "istio-proxy"
)

// dropInjected removes the containers whose image Istio's injection sets. This admits no
// image: mutating webhooks run before validating ones, so each pod is judged with the image
// that it got, and denied if it got none.
func (t Template) dropInjected(spec *corev1.PodSpec) {
	injected := func(c corev1.Container) bool { return c.Image == v1alpha1.InjectedImage && t.injects(c.Name) }
	spec.InitContainers = slices.DeleteFunc(spec.InitContainers, injected)
	spec.Containers = slices.DeleteFunc(spec.Containers, injected)
}

// injects reports whether Istio will inject a container: the template turns injection on, or
// it leaves that to its namespace and the container is Istio's.
func (t Template) injects(container string) bool {
	label, _, _ := unstructured.NestedString(t.Value, "metadata", "labels", injectLabel)
	if label == "" {
		label = t.Annotations()[injectLabel]
	}
	return label == "true" || label == "" && container == proxyContainer
}
