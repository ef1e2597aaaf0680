package appset

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v2/applicationset/services/plugin"
	"github.com/argoproj/argo-cd/v2/applicationset/utils"
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/scm/scmtest"
)

// list sends a request with Argo CD's own client, as its plugin generator does.
func (w *fixture) list(token, name string) ([]map[string]any, error) {
	w.t.Helper()
	w.clock.pass(2 * listTTL)
	client, err := plugin.NewPluginService(context.Background(), "shop-previews", w.url, token, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	raw, err := json.Marshal(name)
	if err != nil {
		w.t.Fatal(err)
	}
	answer, err := client.List(context.Background(), v1alpha1.PluginParameters{"ladder": apiextensionsv1.JSON{Raw: raw}})
	if err != nil {
		return nil, err
	}
	return answer.Output.Parameters, nil
}

func TestArgoCDClientReceivesRows(t *testing.T) {
	onEach(t, func(t *testing.T, w *fixture) {
		digest := w.open(scmtest.Pull{Number: 7, Branch: "Fonts", Author: "ana"})
		rows, err := w.list(bearer, "shop")
		if err != nil {
			t.Fatal(err)
		}
		sha := scmtest.SHA("pull", 7)
		want := []map[string]any{{
			"number": "7", "name": "pr-7", "branchSlug": "fonts", "targetBranchSlug": "main", "headSHA": sha, "headShortSHA": sha[:8],
			"imageSHA": sha, "author": "ana", "ladder": "shop", "images": map[string]any{"web": digest},
		}}
		if diff := cmp.Diff(want, rows); diff != "" {
			t.Error("(-want +got)", diff)
		}
	})
}

// TestArgoCDClientReceivesError checks what preserves previews: the client takes an empty
// body with 200 for an empty list.
func TestArgoCDClientReceivesError(t *testing.T) {
	onEach(t, func(t *testing.T, w *fixture) {
		w.open(scmtest.Pull{Number: 7})
		for name, c := range map[string]struct {
			token, ladder string
			forge         func(http.ResponseWriter, *http.Request) bool
			want          string
		}{
			"a forge that is down":      {bearer, "shop", fail("/pulls", 502, ""), "API error with status code 502: listing the pull requests of "},
			"empty response of forge":   {bearer, "shop", fail("/pulls", 200, ""), "the forge's response is empty"},
			"another's ladder":          {bearer, "other", nil, "API error with status code 404: finding ladder"},
			"a missing key of a Secret": {"$envladder-appset-token:token", "shop", nil, "API error with status code 401: authenticating: the token is an unresolved reference"},
			"no token":                  {"", "shop", nil, "API error with status code 401"},
		} {
			w.forge.Before(c.forge)
			rows, err := w.list(c.token, c.ladder)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, %v; want %q", name, rows, err, c.want)
			}
		}
	})
}

// example returns the documents of the example.
func example(t *testing.T) (v1alpha1.ApplicationSet, corev1.ConfigMap) {
	t.Helper()
	data, err := os.ReadFile("../examples/shop/platform/applicationsets/shop-previews.yaml")
	if err != nil {
		t.Fatal(err)
	}
	documents := bytes.Split(data, []byte("\n---\n"))
	if len(documents) != 2 {
		t.Fatalf("there are %d documents", len(documents))
	}
	var set v1alpha1.ApplicationSet
	var config corev1.ConfigMap
	// Argo CD looks for the ConfigMap as soon as the ApplicationSet is there, and again in
	// three minutes: so it comes first.
	for i, into := range []any{&config, &set} {
		if err := yaml.UnmarshalStrict(documents[i], into); err != nil {
			t.Fatal(err)
		}
	}
	return set, config
}

// TestExampleApplicationSet renders the example with Argo CD's own renderer.
func TestExampleApplicationSet(t *testing.T) {
	w := newFixture(t, ladder.ForgeGitea)
	digest := w.open(scmtest.Pull{Number: 1234567, Branch: "../../$(x){{.y}}", Title: "{{.z}}"})
	set, config := example(t)
	generator := set.Spec.Generators[0].Plugin
	if generator.ConfigMapRef.Name != config.Name || config.Labels["app.kubernetes.io/part-of"] != "argocd" || config.Data["token"] != "$envladder-appset-token:token" {
		t.Errorf("the generator's ConfigMap is %+v", config)
	}
	var name string
	if err := json.Unmarshal(generator.Input.Parameters["ladder"].Raw, &name); err != nil || len(generator.Input.Parameters) != 1 {
		t.Fatalf("the parameters are %v: %v", generator.Input.Parameters, err)
	}
	rows, err := w.list(bearer, name)
	if err != nil || len(rows) != 1 {
		t.Fatalf("%v: %v", rows, err)
	}

	template := &v1alpha1.Application{Spec: set.Spec.Template.Spec}
	template.Name, template.Finalizers, template.Annotations = set.Spec.Template.Name, set.Spec.Template.Finalizers, set.Spec.Template.Annotations
	app, err := (&utils.Render{}).RenderTemplateParams(template, set.Spec.SyncPolicy, rows[0], set.Spec.GoTemplate, set.Spec.GoTemplateOptions)
	if err != nil {
		t.Fatal(err)
	}
	parameters := map[string]string{}
	for _, p := range app.Spec.Source.Plugin.Parameters {
		switch {
		case p.String_ != nil:
			parameters[p.Name] = *p.String_
		case p.OptionalMap != nil:
			parameters[p.Name] = fmt.Sprint(p.Map)
		}
	}
	want := map[string]string{"environment": "preview", "pullRequest": "1234567", "images": "map[web:" + digest + "]"}
	if diff := cmp.Diff(want, parameters); diff != "" {
		t.Error("(-want +got)", diff)
	}
	if app.Name != "shop-pr-1234567" || app.Spec.Destination.Namespace != "shop-pr-1234567" || app.Annotations["envladder.dev/branch"] != "x-y" {
		t.Errorf("%s in %s of branch %s", app.Name, app.Spec.Destination.Namespace, app.Annotations["envladder.dev/branch"])
	}
	if diff := cmp.Diff([]string{"resources-finalizer.argocd.argoproj.io"}, app.Finalizers); diff != "" || !app.Spec.SyncPolicy.Automated.Prune {
		t.Error("what it deployed stays (-want +got)", diff)
	}

	delete(rows[0], "images")
	if _, err := (&utils.Render{}).RenderTemplateParams(template, set.Spec.SyncPolicy, rows[0], set.Spec.GoTemplate, set.Spec.GoTemplateOptions); err == nil {
		t.Error("a row without images renders")
	}
}

// TestExampleLadder serves the ladder of the example's ConfigMap.
func TestExampleLadder(t *testing.T) {
	w := newFixture(t, ladder.ForgeGitea)
	data, err := os.ReadFile("../examples/shop/gitops/shop/ladder.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w.write("ladders/shop.yaml", strings.ReplaceAll(string(data), "registry.example.com", w.registry.Host))
	digest := w.open(scmtest.Pull{Number: 7})
	if diff := cmp.Diff(map[string]string{"pr-7": digest}, w.running()); diff != "" {
		t.Error("(-want +got)", diff)
	}
}
