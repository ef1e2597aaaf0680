package workload

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func kindsWith(t *testing.T, paths ...string) *Kinds {
	t.Helper()
	kinds := NewKinds()
	for _, p := range paths {
		if err := kinds.AddPath(p); err != nil {
			t.Fatal(err)
		}
	}
	return kinds
}

func TestImagesAtConfiguredPaths(t *testing.T) {
	kinds := kindsWith(t,
		"ray.io/v1/RayCluster=spec.headGroupSpec.template", "ray.io/v1/RayCluster=spec.workerGroupSpecs[].template",
		"example.com/v1/Deep=spec.groups[].members[].template")
	ray := schema.GroupVersionKind{Group: "ray.io", Version: "v1", Kind: "RayCluster"}
	deep := schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Deep"}
	pod := func(image string) string {
		return `{"template":{"spec":{"containers":[{"name":"c","image":"` + image + `"}]}}}`
	}
	for name, test := range map[string]struct {
		kind schema.GroupVersionKind
		spec string
		want []Image
		fail string
	}{
		"all of them": {
			ray, `{"headGroupSpec":` + pod("head") + `,"workerGroupSpecs":[` + pod("a") + `,` + pod("b") + `]}`,
			[]Image{
				{"head", "spec.headGroupSpec.template.spec.containers[0].image"},
				{"a", "spec.workerGroupSpecs[0].template.spec.containers[0].image"},
				{"b", "spec.workerGroupSpecs[1].template.spec.containers[0].image"},
			},
			"",
		},
		"one that isn't there": {ray, `{"headGroupSpec":` + pod("head") + `}`, []Image{{"head", "spec.headGroupSpec.template.spec.containers[0].image"}}, ""},
		"lists in lists": {
			deep, `{"groups":[{"members":[]},{"members":[` + pod("a") + `]}]}`,
			[]Image{{"a", "spec.groups[1].members[0].template.spec.containers[0].image"}},
			"",
		},
		"none of them":                      {ray, `{"enableAutoscaling":true}`, nil, "no pod spec at spec.headGroupSpec.template.spec or spec.workerGroupSpecs[].template.spec"},
		"a mapping in place of a list":      {ray, `{"headGroupSpec":` + pod("head") + `,"workerGroupSpecs":{"a":` + pod("a") + `}}`, nil, "spec.workerGroupSpecs isn't a list"},
		"a text in place of an entry":       {ray, `{"headGroupSpec":` + pod("head") + `,"workerGroupSpecs":["x"]}`, nil, "spec.workerGroupSpecs[0] isn't a mapping"},
		"a list in place of a mapping":      {ray, `{"headGroupSpec":[` + pod("head") + `]}`, nil, "spec.headGroupSpec isn't a mapping"},
		"a template without a spec":         {ray, `{"headGroupSpec":{"template":{"metadata":{}}}}`, nil, "no pod spec at spec.headGroupSpec.template.spec"},
		"a field that may name an image":    {ray, `{"headGroupSpec":{"template":{"spec":{"containers":[],"sidecarImage":"evil"}}}}`, nil, "sidecarImage may name an image"},
		"more parts than a pod can have":    {deep, `{"groups":[{"members":[` + strings.Repeat(pod("a")+",", MaxParts) + pod("a") + `]}]}`, nil, "more than 1000"},
		"containers that are text":          {ray, `{"headGroupSpec":{"template":{"spec":{"containers":"x"}}}}`, nil, "reading spec.headGroupSpec.template.spec"},
		"another's template that is broken": {ray, `{"headGroupSpec":` + pod("head") + `,"workerGroupSpecs":[{"template":{"spec":1}}]}`, nil, "no pod spec at spec.workerGroupSpecs[0].template.spec"},
	} {
		t.Run(name, func(t *testing.T) {
			document := `{"apiVersion":"` + test.kind.GroupVersion().String() + `","kind":"` + test.kind.Kind + `","metadata":{"name":"x"},"spec":` + test.spec + `}`
			var images []Image
			o, err := kinds.Decode([]byte(document), test.kind)
			if err == nil {
				images, err = o.Images()
			}
			if diff := cmp.Diff(test.want, images); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
			if (err == nil) != (test.fail == "") || err != nil && !strings.Contains(err.Error(), test.fail) {
				t.Errorf("error %v, want %q", err, test.fail)
			}
		})
	}
}

func TestRolloutWithWorkloadRef(t *testing.T) {
	rollout := schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout"}
	decode := func(spec string) (*Object, error) {
		return NewKinds().Decode([]byte(`{"apiVersion":"argoproj.io/v1alpha1","kind":"Rollout","metadata":{"name":"x"},"spec":`+spec+`}`), rollout)
	}
	if o, err := decode(`{"workloadRef":{"kind":"Deployment","name":"web"}}`); err != nil || len(o.Templates) != 0 {
		t.Errorf("with workloadRef: %v, %v", o, err)
	}
	for _, spec := range []string{`{}`, `{"workloadRef":null}`} {
		if _, err := decode(spec); err == nil {
			t.Errorf("%s is read", spec)
		}
	}
}

func TestAddPathRejects(t *testing.T) {
	for _, text := range []string{
		"", "ray.io/v1/RayCluster", "ray.io/v1/RayCluster=", "ray.io/RayCluster=spec.template", "v1/Pod=spec",
		"ray.io/v1/RayCluster=spec..template", "ray.io/v1/RayCluster=spec[0].template", "ray.io/v1/RayCluster=[]",
		"ray.io/v1/RayCluster=spec.template ", "ray.io/v1/rayCluster=spec.template",
		"apps/v1/Deployment=spec.other", "argoproj.io/v1alpha1/Rollout=spec.other",
	} {
		if err := NewKinds().AddPath(text); err == nil {
			t.Errorf("AddPath takes %q", text)
		}
	}
}

func TestControllers(t *testing.T) {
	const account = "system:serviceaccount:argo-rollouts:argo-rollouts"
	rollout := schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout"}
	kinds := NewKinds()
	if kinds.Owns(rollout) || kinds.MakesFor(account, rollout) {
		t.Error("a Rollout has a controller without configuration")
	}
	if err := kinds.AddController("argoproj.io/v1alpha1/Rollout=" + account); err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]bool{account: true, allControllers: false, account + "x": false, "": false} {
		if got := kinds.MakesFor(user, rollout); got != want {
			t.Errorf("%q makes for Rollouts: %t", user, got)
		}
	}
	if NewKinds().Owns(rollout) {
		t.Error("what one was told, another knows")
	}
	for _, text := range []string{"apps/v1/Deployment=ana", "example.com/v1/Thing=ana", "argoproj.io/v1alpha1/Rollout=", "Rollout=ana", "x"} {
		if err := NewKinds().AddController(text); err == nil {
			t.Errorf("AddController takes %q", text)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"ray.io/v1","kind":"RayCluster","spec":{"workerGroupSpecs":[{"template":{"spec":{"containers":[{"image":"a"}]}}}]}}`))
	f.Add([]byte(`{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"a"}],"volumes":[{"image":{"reference":"b"}}]}}`))
	kinds := NewKinds()
	if err := kinds.AddPath("ray.io/v1/RayCluster=spec.workerGroupSpecs[].template"); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, gvk := range kinds.All() {
			o, err := kinds.Decode(raw, gvk)
			if err != nil {
				continue
			}
			if images, err := o.Images(); err == nil && len(images) > 2*MaxParts {
				t.Errorf("%d images", len(images))
			}
		}
	})
}
