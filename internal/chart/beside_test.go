package chart_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/chart"
)

// beside are the annotations of that name, by kind and name of the object.
func beside(t *testing.T, contents ...string) map[string]string {
	t.Helper()
	var given chart.Manifests
	for _, content := range contents {
		given = append(given, chart.Manifest{Source: "t.yaml", Content: content})
	}
	annotated, err := given.Finish(chart.Recipe{Release: chart.Release{Name: "shop", Namespace: "own"}, Stamps: &chart.Stamps{}})
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

func TestWhatIsMadeAnewSaysBesideWhat(t *testing.T) {
	got := beside(t, web, report,
		"kind: Job\nmetadata: {name: migrate}\nspec: {template: {spec: {containers: [{image: b}]}}}",
		"kind: Pod\nmetadata: {name: test}\nspec: {containers: [{image: a}]}",
		"kind: List\nitems: [{kind: PodTemplate, metadata: {name: guard, namespace: own}, template: {spec: {containers: [{image: b}]}}}]",
		"kind: Job\nmetadata: {name: other}\nspec: {template: {spec: {containers: [{image: c}]}}}",
		"kind: Job\nmetadata: {name: elsewhere, namespace: other}\nspec: {template: {spec: {containers: [{image: b}]}}}",
		"kind: Deployment\nmetadata: {name: hook, annotations: {helm.sh/hook: pre-install}}\nspec: {template: {spec: {containers: [{image: c}]}}}",
		"kind: Job\nmetadata: {name: forged, annotations: {envladder.dev/running-in: Deployment/x}}\nspec: {template: {spec: {containers: [{image: c}]}}}",
	)
	want := map[string]string{
		"Job/migrate":       "Deployment/web,CronJob/report",
		"Pod/test":          "Deployment/web",
		"PodTemplate/guard": "Deployment/web,CronJob/report",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
