package postrender_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/chart/postrender"
)

// preflight returns the manifests that are put in front.
func preflight(t *testing.T, contents ...string) manifest.Manifests {
	t.Helper()
	given := manifests(contents...)
	finished, err := postrender.Run(given, postrender.Options{ReleaseName: "shop", Namespace: "own", Preflight: true})
	if err != nil {
		t.Fatal(err)
	}
	added := len(finished) - len(given)
	if diff := cmp.Diff(given, finished[added:]); diff != "" {
		t.Errorf("the manifests themselves changed (-want +got):\n%s", diff)
	}
	return finished[:added]
}

type podTemplate struct {
	Kind     string
	Metadata struct {
		Name, Namespace string
		Annotations     map[string]string
	}
	Template struct {
		Spec struct {
			Containers []struct{ Image string }
		}
	}
}

func parsePreflight(t *testing.T, m manifest.Manifest) (object podTemplate, images []string) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(m.Content), &object); err != nil {
		t.Fatal(err)
	}
	for _, container := range object.Template.Spec.Containers {
		images = append(images, container.Image)
	}
	return object, images
}

func TestPreflightNamesEveryImageOnce(t *testing.T) {
	objects := preflight(t,
		"kind: Deployment\nspec: {template: {spec: {initContainers: [{image: a}], containers: [{image: b}, {image: a}], volumes: [{name: v, image: {reference: c}}, {name: w}]}}}",
		"kind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{image: d}]}}}}}",
		"kind: Pod\nspec: {containers: [{image: e}]}",
		"kind: List\nitems: [{kind: Job, spec: {template: {spec: {containers: [{image: f}]}}}}]",
		"kind: ConfigMap\ndata: {image: g}",
		"# nothing but a comment",
	)
	if len(objects) != 1 {
		t.Fatalf("got %d preflight objects, want 1", len(objects))
	}
	template, images := parsePreflight(t, objects[0])
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "e", "f"}, images); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	if template.Kind != "PodTemplate" || template.Metadata.Name != "shop-preflight" || template.Metadata.Namespace != "" {
		t.Errorf("preflight object %+v", template)
	}
	want := map[string]string{
		"argocd.argoproj.io/hook":               "PreSync",
		"argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation,HookSucceeded",
		"argocd.argoproj.io/sync-wave":          "-1000",
	}
	if diff := cmp.Diff(want, template.Metadata.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if !objects[0].Hook || strings.Contains(objects[0].Content, "null") {
		t.Errorf("the manifest is hook=%t:\n%s", objects[0].Hook, objects[0].Content)
	}
}

func TestPreflightPrecedesEveryWave(t *testing.T) {
	for annotation, want := range map[string]string{
		`argocd.argoproj.io/sync-wave: "-5"`:                   "-1000",
		`argocd.argoproj.io/sync-wave: "-1000"`:                "-1001",
		`helm.sh/hook-weight: "-70000"`:                        "-70001",
		`argocd.argoproj.io/sync-wave: "low"`:                  "-1000",
		`argocd.argoproj.io/sync-wave: "-9223372036854775808"`: "-9223372036854775808",
	} {
		objects := preflight(t, "kind: Pod\nspec: {containers: [{image: a}]}", "kind: ConfigMap\nmetadata: {annotations: {"+annotation+"}}")
		template, _ := parsePreflight(t, objects[0])
		if got := template.Metadata.Annotations["argocd.argoproj.io/sync-wave"]; got != want {
			t.Errorf("with %s the preflight object's wave is %s, want %s", annotation, got, want)
		}
	}
}

func TestPreflightHasOneObjectPerNamespace(t *testing.T) {
	objects := preflight(t,
		"kind: Pod\nspec: {containers: [{image: a}]}",
		"kind: Pod\nmetadata: {namespace: other}\nspec: {containers: [{image: b}]}",
		"kind: Namespace\nmetadata: {name: fresh}",
		"kind: Pod\nmetadata: {namespace: fresh}\nspec: {containers: [{image: c}]}",
	)
	got := map[string][]string{}
	for _, m := range objects {
		template, images := parsePreflight(t, m)
		got[template.Metadata.Namespace] = images
	}
	// fresh doesn't exist before the sync, so a hook can't be in it
	if diff := cmp.Diff(map[string][]string{"": {"a"}, "other": {"b"}}, got); diff != "" {
		t.Errorf("images by namespace (-want +got):\n%s", diff)
	}
}

// Argo CD applies only one of two objects with the same name and namespace, whether the
// namespace is written or not.
func TestPreflightHasOneObjectInTheReleaseNamespace(t *testing.T) {
	objects := preflight(t,
		"kind: Pod\nspec: {containers: [{image: a}]}",
		"kind: Pod\nmetadata: {namespace: own}\nspec: {containers: [{image: b}]}",
	)
	if len(objects) != 1 {
		t.Fatalf("got %d preflight objects, want 1", len(objects))
	}
	template, images := parsePreflight(t, objects[0])
	if diff := cmp.Diff([]string{"a", "b"}, images); diff != "" || template.Metadata.Namespace != "" {
		t.Errorf("namespace %q, images (-want +got):\n%s", template.Metadata.Namespace, diff)
	}
}

// Istio doesn't replace its placeholder in a PodTemplate.
func TestPreflightOmitsIstioPlaceholder(t *testing.T) {
	const gateway = "kind: Deployment\nspec: {template: {metadata: {labels: {sidecar.istio.io/inject: 'true'}}, spec: {containers: [{image: auto}]}}}"
	if objects := preflight(t, gateway); len(objects) != 0 {
		t.Errorf("the preflight object of a gateway is %v", objects)
	}
	objects := preflight(t, gateway, "kind: Pod\nspec: {containers: [{image: a}]}")
	if len(objects) != 1 {
		t.Fatalf("got %d preflight objects, want 1", len(objects))
	}
	if _, images := parsePreflight(t, objects[0]); !slices.Equal(images, []string{"a"}) {
		t.Errorf("the preflight object has images %v, want only a", images)
	}
}

// gitops-engine decides which objects a sync applies.
func TestPreflightNamesOnlyAppliedObjects(t *testing.T) {
	for annotations, want := range map[string]bool{
		"{}":                                                               true,
		"{helm.sh/hook: 'pre-install,test'}":                               true,
		"{helm.sh/hook: crd-install}":                                      true,
		"{helm.sh/hook: test}":                                             false,
		"{helm.sh/hook: test-success}":                                     false,
		"{helm.sh/hook: 'pre-delete'}":                                     false,
		"{helm.sh/hook: ''}":                                               false,
		"{argocd.argoproj.io/hook: SyncFail}":                              true,
		"{argocd.argoproj.io/hook: 'Skip, Sync'}":                          true,
		"{argocd.argoproj.io/hook: Skip}":                                  false,
		"{argocd.argoproj.io/hook: PostDelete}":                            false,
		"{argocd.argoproj.io/hook: Skip, helm.sh/hook: pre-install}":       false,
		"{argocd.argoproj.io/hook: PreSync, helm.sh/hook: test}":           true,
		"{argocd.argoproj.io/hook: nonsense, helm.sh/hook: post-upgrade}":  true,
		"{argocd.argoproj.io/hook: nonsense, helm.sh/hook: post-rollback}": false,
	} {
		objects := preflight(t, "kind: Pod\nmetadata: {annotations: "+annotations+"}\nspec: {containers: [{image: a}]}")
		if got := len(objects) == 1; got != want {
			t.Errorf("with annotations %s there is a preflight object: %t, want %t", annotations, got, want)
		}
	}
}

func TestPreflightIsOmittedInCreatedNamespace(t *testing.T) {
	if objects := preflight(t, "kind: Namespace\nmetadata: {name: own}", "kind: Pod\nspec: {containers: [{image: a}]}"); len(objects) != 0 {
		t.Errorf("got preflight objects in a namespace that doesn't exist yet: %v", objects)
	}
}

func TestPreflightIsOmittedWithoutImages(t *testing.T) {
	if objects := preflight(t, "kind: ConfigMap\ndata: {}", "kind: Rollout\nspec: {workloadRef: {kind: Deployment}}"); len(objects) != 0 {
		t.Errorf("got preflight objects: %v", objects)
	}
}
