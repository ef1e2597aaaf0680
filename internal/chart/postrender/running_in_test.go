package postrender_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/chart/postrender"
)

// manifests returns a manifest for each content.
func manifests(contents ...string) manifest.Manifests {
	var all manifest.Manifests
	for _, content := range contents {
		all = append(all, manifest.Manifest{Source: "t.yaml", Content: content})
	}
	return all
}

// runningInAnnotations returns the annotations by kind and name of the object.
func runningInAnnotations(t *testing.T, contents ...string) map[string]string {
	t.Helper()
	annotated, err := postrender.Run(manifests(contents...), postrender.Options{ReleaseName: "shop", Namespace: "own", Stamps: &postrender.Stamps{}})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	type object struct {
		Kind     string
		Metadata struct {
			Name        string
			Annotations map[string]string
		}
		Items []object
	}
	for _, m := range annotated {
		var o object
		if err := yaml.Unmarshal([]byte(m.Content), &o); err != nil {
			t.Fatal(err)
		}
		for _, o := range append(o.Items, o) {
			if value, ok := o.Metadata.Annotations[v1alpha1.AnnotationRunningIn]; ok {
				found[o.Kind+"/"+o.Metadata.Name] = value
			}
		}
	}
	return found
}

const (
	web    = "kind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {initContainers: [{image: a}], containers: [{image: b}]}}}"
	report = "kind: CronJob\nmetadata: {name: report, namespace: own}\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{image: b}]}}}}}"
)

func TestRunningIn(t *testing.T) {
	got := runningInAnnotations(t, web, report,
		"kind: Job\nmetadata: {name: migrate}\nspec: {template: {spec: {containers: [{image: b}]}}}",
		"kind: Pod\nmetadata: {name: test}\nspec: {containers: [{image: a}]}",
		"kind: List\nitems: [{kind: PodTemplate, metadata: {name: preflight, namespace: own}, template: {spec: {containers: [{image: b}]}}}]",
		"kind: Job\nmetadata: {name: other}\nspec: {template: {spec: {containers: [{image: c}]}}}",
		"kind: Job\nmetadata: {name: elsewhere, namespace: other}\nspec: {template: {spec: {containers: [{image: b}]}}}",
		"kind: Deployment\nmetadata: {name: hook, annotations: {helm.sh/hook: pre-install}}\nspec: {template: {spec: {containers: [{image: c}]}}}",
		"kind: Job\nmetadata: {name: forged, annotations: {envladder.dev/running-in: Deployment/x}}\nspec: {template: {spec: {containers: [{image: c}]}}}",
	)
	want := map[string]string{
		"Job/migrate":           "Deployment/web,CronJob/report",
		"Pod/test":              "Deployment/web",
		"PodTemplate/preflight": "Deployment/web,CronJob/report",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
