package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/ladder"
)

const exampleShop = "../../examples/shop"

// application has the fields of an Argo CD Application that the test reads.
type application struct {
	Spec struct {
		Source struct {
			Path   string
			Plugin *struct {
				Name       string
				Parameters []struct{ Name, String string }
			}
		}
	}
}

// Every Application that renders through the plugin names an environment, and a target if
// needed, of the ladder.
func TestExampleApplicationsNameEnvironmentsOfLadder(t *testing.T) {
	files, err := filepath.Glob(exampleShop + "/platform/applications/shop-*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d Applications: %v", len(files), err)
	}
	for _, file := range files {
		var app application
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(data, &app); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		source := app.Spec.Source
		if source.Plugin == nil || source.Plugin.Name != "envladder" {
			t.Errorf("%s: doesn't use the plugin", file)
			continue
		}
		document, err := ladder.Open(os.DirFS(exampleShop+"/gitops"), source.Path)
		if err != nil {
			t.Fatal(err)
		}
		parameters := map[string]string{}
		for _, p := range source.Plugin.Parameters {
			parameters[p.Name] = p.String
		}
		resolved, err := document.Resolve(parameters["environment"], parameters["target"])
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		name := strings.TrimSuffix("shop-"+resolved.Environment+"-"+resolved.Target, "-")
		if got := strings.TrimSuffix(filepath.Base(file), ".yaml"); got != name {
			t.Errorf("%s renders %s", got, name)
		}
	}
}

// The Gate is valid, and covers the ladder's images.
func TestExampleGateIsValid(t *testing.T) {
	var g v1alpha1.Gate
	data, err := os.ReadFile(exampleShop + "/platform/gates/shop-prod.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(data, &g); err != nil {
		t.Fatal(err)
	}
	for _, reason := range gate.Check(&g) {
		t.Errorf("%s: %s", reason.Code, reason.Message)
	}
	document, err := ladder.Open(os.DirFS(exampleShop+"/gitops"), "shop")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := document.Resolve(g.Spec.Environment, "eu"); err != nil {
		t.Errorf("the Gate's environment: %v", err)
	}
	pattern := strings.TrimSuffix(g.Spec.Images[0].Repository, "*")
	for _, image := range document.Spec.Images {
		if !strings.HasPrefix(image.Repository, pattern) {
			t.Errorf("image %s isn't covered: the Gate covers %s", image.Repository, g.Spec.Images[0].Repository)
		}
	}
	if g.Spec.Images[0].Ladder != document.Metadata.Name {
		t.Errorf("the Gate requires soaks of ladder %q, the ladder is %q", g.Spec.Images[0].Ladder, document.Metadata.Name)
	}
}
