package workload

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestImagesOfIstioInjection(t *testing.T) {
	const gateway = `{"labels":{"sidecar.istio.io/inject":"true"},"annotations":{"inject.istio.io/templates":"gateway"}}`
	for name, test := range map[string]struct {
		metadata, spec string
		want           []string
	}{
		"a gateway":                                {gateway, `{"containers":[{"name":"istio-proxy","image":"auto"}]}`, nil},
		"a gateway with a container of its own":    {gateway, `{"containers":[{"name":"istio-proxy","image":"auto"},{"name":"web","image":"evil"}]}`, []string{"evil"}},
		"a container of a template of one's own":   {gateway, `{"containers":[{"name":"proxy","image":"auto"}]}`, nil},
		"an init container":                        {gateway, `{"initContainers":[{"name":"istio-proxy","image":"auto"}],"containers":[]}`, nil},
		"a proxy where the namespace is injected":  {`{}`, `{"containers":[{"name":"istio-proxy","image":"auto"}]}`, nil},
		"injected by an annotation":                {`{"annotations":{"sidecar.istio.io/inject":"true"}}`, `{"containers":[{"name":"proxy","image":"auto"}]}`, nil},
		"another container in such a namespace":    {`{}`, `{"containers":[{"name":"web","image":"auto"}]}`, []string{"auto"}},
		"not injected":                             {`{"labels":{"sidecar.istio.io/inject":"false"}}`, `{"containers":[{"name":"istio-proxy","image":"auto"}]}`, []string{"auto"}},
		"the label goes before the annotation":     {`{"labels":{"sidecar.istio.io/inject":"false"},"annotations":{"sidecar.istio.io/inject":"true"}}`, `{"containers":[{"name":"istio-proxy","image":"auto"}]}`, []string{"auto"}},
		"a tag":                                    {gateway, `{"containers":[{"name":"istio-proxy","image":"auto:latest"}]}`, []string{"auto:latest"}},
		"the name in full":                         {gateway, `{"containers":[{"name":"istio-proxy","image":"docker.io/library/auto"}]}`, []string{"docker.io/library/auto"}},
		"in upper case":                            {gateway, `{"containers":[{"name":"istio-proxy","image":"AUTO"}]}`, []string{"AUTO"}},
		"an image volume":                          {gateway, `{"containers":[],"volumes":[{"name":"v","image":{"reference":"auto"}}]}`, []string{"auto"}},
		"an ephemeral container, which none adds":  {gateway, `{"containers":[],"ephemeralContainers":[{"name":"istio-proxy","image":"auto"}]}`, []string{"auto"}},
		"labels of the object aren't the template": {`{}`, `{"containers":[{"name":"proxy","image":"auto"}]}`, []string{"auto"}},
	} {
		t.Run(name, func(t *testing.T) {
			images, err := read(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","labels":{"sidecar.istio.io/inject":"true"}},
				"spec":{"template":{"metadata":`+test.metadata+`,"spec":`+test.spec+`}}}`, deploymentKind)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, image := range images {
				got = append(got, image.Reference)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
		})
	}

	t.Run("a Pod has been injected already", func(t *testing.T) {
		images, err := read(`{"apiVersion":"v1","kind":"Pod","metadata":{"labels":{"sidecar.istio.io/inject":"true"}},
			"spec":{"containers":[{"name":"istio-proxy","image":"auto"}]}}`, schema.GroupVersionKind{Version: "v1", Kind: "Pod"})
		if err != nil || len(images) != 1 || images[0].Reference != "auto" {
			t.Errorf("images are %v, %v; want the placeholder", images, err)
		}
	})
}
