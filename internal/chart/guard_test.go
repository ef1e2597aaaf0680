package chart_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/chart"
)

func guard(t *testing.T, contents ...string) chart.Manifests {
	t.Helper()
	var given chart.Manifests
	for _, content := range contents {
		given = append(given, chart.Manifest{Source: "t.yaml", Content: content})
	}
	guarded, err := given.Finish(chart.Recipe{Release: chart.Release{Name: "shop", Namespace: "own"}, Preflight: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(given, guarded[len(guarded)-len(given):]); diff != "" {
		t.Errorf("the manifests themselves changed (-want +got):\n%s", diff)
	}
	return guarded[:len(guarded)-len(given)]
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

func readGuard(t *testing.T, m chart.Manifest) (guard podTemplate, images []string) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(m.Content), &guard); err != nil {
		t.Fatal(err)
	}
	for _, container := range guard.Template.Spec.Containers {
		images = append(images, container.Image)
	}
	return guard, images
}

func TestTheGuardNamesEveryImageOnce(t *testing.T) {
	guards := guard(t,
		"kind: Deployment\nspec: {template: {spec: {initContainers: [{image: a}], containers: [{image: b}, {image: a}], volumes: [{name: v, image: {reference: c}}, {name: w}]}}}",
		"kind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{image: d}]}}}}}",
		"kind: Pod\nspec: {containers: [{image: e}]}",
		"kind: List\nitems: [{kind: Job, spec: {template: {spec: {containers: [{image: f}]}}}}]",
		"kind: ConfigMap\ndata: {image: g}",
		"# nothing but a comment",
	)
	if len(guards) != 1 {
		t.Fatalf("there are %d guards, want 1", len(guards))
	}
	template, images := readGuard(t, guards[0])
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "e", "f"}, images); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	if template.Kind != "PodTemplate" || template.Metadata.Name != "shop-preflight" || template.Metadata.Namespace != "" {
		t.Errorf("the guard is %+v", template)
	}
	want := map[string]string{
		"argocd.argoproj.io/hook":               "PreSync",
		"argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation,HookSucceeded",
		"argocd.argoproj.io/sync-wave":          "-1000",
	}
	if diff := cmp.Diff(want, template.Metadata.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if !guards[0].Hook || strings.Contains(guards[0].Content, "null") {
		t.Errorf("the manifest is hook=%t:\n%s", guards[0].Hook, guards[0].Content)
	}
}

func TestTheGuardComesBelowEveryWave(t *testing.T) {
	for annotation, want := range map[string]string{
		`argocd.argoproj.io/sync-wave: "-5"`:                   "-1000",
		`argocd.argoproj.io/sync-wave: "-1000"`:                "-1001",
		`helm.sh/hook-weight: "-70000"`:                        "-70001",
		`argocd.argoproj.io/sync-wave: "low"`:                  "-1000",
		`argocd.argoproj.io/sync-wave: "-9223372036854775808"`: "-9223372036854775808",
	} {
		guards := guard(t, "kind: Pod\nspec: {containers: [{image: a}]}", "kind: ConfigMap\nmetadata: {annotations: {"+annotation+"}}")
		template, _ := readGuard(t, guards[0])
		if got := template.Metadata.Annotations["argocd.argoproj.io/sync-wave"]; got != want {
			t.Errorf("beside %s the guard's wave is %s, want %s", annotation, got, want)
		}
	}
}

func TestEachNamespaceHasItsGuard(t *testing.T) {
	guards := guard(t,
		"kind: Pod\nspec: {containers: [{image: a}]}",
		"kind: Pod\nmetadata: {namespace: other}\nspec: {containers: [{image: b}]}",
		"kind: Namespace\nmetadata: {name: fresh}",
		"kind: Pod\nmetadata: {namespace: fresh}\nspec: {containers: [{image: c}]}",
	)
	got := map[string][]string{}
	for _, m := range guards {
		template, images := readGuard(t, m)
		got[template.Metadata.Namespace] = images
	}
	// fresh isn't there before the sync, so a hook can't be either.
	if diff := cmp.Diff(map[string][]string{"": {"a"}, "other": {"b"}}, got); diff != "" {
		t.Errorf("images by namespace (-want +got):\n%s", diff)
	}
}

// TestTheReleasesNamespaceHasOneGuard: Argo CD keeps one of two objects of the same name
// and namespace, whether the namespace is written or not.
func TestTheReleasesNamespaceHasOneGuard(t *testing.T) {
	guards := guard(t,
		"kind: Pod\nspec: {containers: [{image: a}]}",
		"kind: Pod\nmetadata: {namespace: own}\nspec: {containers: [{image: b}]}",
	)
	if len(guards) != 1 {
		t.Fatalf("there are %d guards, want 1", len(guards))
	}
	template, images := readGuard(t, guards[0])
	if diff := cmp.Diff([]string{"a", "b"}, images); diff != "" || template.Metadata.Namespace != "" {
		t.Errorf("namespace %q, images (-want +got):\n%s", template.Metadata.Namespace, diff)
	}
}

// TestTheGuardLeavesOutIstiosPlaceholder checks that the image which Istio is to inject isn't in
// the guard: nothing injects a PodTemplate.
func TestTheGuardLeavesOutIstiosPlaceholder(t *testing.T) {
	const gateway = "kind: Deployment\nspec: {template: {metadata: {labels: {sidecar.istio.io/inject: 'true'}}, spec: {containers: [{image: auto}]}}}"
	if guards := guard(t, gateway); len(guards) != 0 {
		t.Errorf("the guard of a gateway is %v", guards)
	}
	guards := guard(t, gateway, "kind: Pod\nspec: {containers: [{image: a}]}")
	if len(guards) != 1 {
		t.Fatalf("there are %d guards, want 1", len(guards))
	}
	if _, images := readGuard(t, guards[0]); !slices.Equal(images, []string{"a"}) {
		t.Errorf("the guard names %v, want a alone", images)
	}
}

// TestTheGuardNamesWhatASyncApplies, as gitops-engine decides it.
func TestTheGuardNamesWhatASyncApplies(t *testing.T) {
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
		guards := guard(t, "kind: Pod\nmetadata: {annotations: "+annotations+"}\nspec: {containers: [{image: a}]}")
		if got := len(guards) == 1; got != want {
			t.Errorf("with annotations %s there is a guard: %t, want %t", annotations, got, want)
		}
	}
}

func TestARenderingThatCreatesItsOwnNamespaceHasNoGuard(t *testing.T) {
	if guards := guard(t, "kind: Namespace\nmetadata: {name: own}", "kind: Pod\nspec: {containers: [{image: a}]}"); len(guards) != 0 {
		t.Errorf("there are guards, in a namespace that isn't there yet: %v", guards)
	}
}

func TestWhereNothingRunsThereIsNoGuard(t *testing.T) {
	if guards := guard(t, "kind: ConfigMap\ndata: {}", "kind: Rollout\nspec: {workloadRef: {kind: Deployment}}"); len(guards) != 0 {
		t.Errorf("there are guards: %v", guards)
	}
}
