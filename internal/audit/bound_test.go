package audit

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/workload"
)

var podTemplate = schema.GroupVersionKind{Version: "v1", Kind: "PodTemplate"}

// namespaceOf returns a cluster with a namespace that has this number of PodTemplates.
func namespaceOf(count int, object func(i int) (annotations map[string]any, images []string)) *Cluster {
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(podTemplate, meta.RESTScopeNamespace)
	objects := make([]runtime.Object, count)
	for i := range objects {
		annotations, images := object(i)
		var containers []any
		for _, image := range images {
			containers = append(containers, map[string]any{"name": "c", "image": image})
		}
		name := fmt.Sprintf("template-%d", i)
		u := &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"namespace": "full", "name": name, "uid": name, "annotations": annotations},
			"template": map[string]any{"spec": map[string]any{"containers": containers}},
		}}
		u.SetGroupVersionKind(podTemplate)
		objects[i] = u
	}
	return &Cluster{fake.NewSimpleDynamicClient(runtime.NewScheme(), objects...), mapper, workload.NewKinds()}
}

// TestNamespaceMemoryIsBounded, whatever those write who may create objects in it.
func TestNamespaceMemoryIsBounded(t *testing.T) {
	for name, test := range map[string]struct {
		cluster *Cluster
		want    string
	}{
		"long stamps": {namespaceOf(200, func(int) (map[string]any, []string) {
			return map[string]any{v1alpha1.AnnotationLadder: strings.Repeat("x", 250_000)}, []string{"example.com/web"}
		}), "bytes"},
		"many images": {namespaceOf(50, func(int) (map[string]any, []string) {
			images := make([]string, workload.MaxParts)
			for k := range images {
				images[k] = "example.com/" + strings.Repeat("x", 1000)
			}
			return nil, images
		}), ""},
		"many different images": {namespaceOf(11, func(i int) (map[string]any, []string) {
			images := make([]string, workload.MaxParts)
			for k := range images {
				images[k] = fmt.Sprintf("example.com/web:%d-%d", i, k)
			}
			return nil, images
		}), "different images"},
	} {
		t.Run(name, func(t *testing.T) {
			questions, _, err := test.cluster.running(t.Context(), "full")
			if test.want == "" {
				if err != nil || len(questions) != 1 || len(questions[0].image) > maxName {
					t.Errorf("%d questions, error %v; want one, cut", len(questions), err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%d questions, error %v; want one about %q", len(questions), err, test.want)
			}
		})
	}
}
