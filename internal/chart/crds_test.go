package chart_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/charttest"
	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/chart/postrender"
	"github.com/envladder/envladder/internal/ladder"
)

const (
	crd    = "# a comment\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: images}\n"
	stray  = "kind: Deployment\nmetadata: {name: stray}\nspec: {template: {spec: {containers: [{image: \"registry.example.com/shop/web:v1\"}]}}}\n"
	asList = "kind: CustomResourceDefinition\nitems:\n- {kind: Deployment, metadata: {name: stray}, spec: {template: {spec: {containers: [{image: \"registry.example.com/shop/web:v1\"}]}}}}\n"
)

var stamps = postrender.Stamps{Ladder: "shop", Environment: "prod", Target: "eu", ChartDigest: "sha256:aa"}

// withCRDs loads a chart with a file of CRDs.
func withCRDs(t *testing.T, content string) *chart.Chart {
	t.Helper()
	return charttest.Load(t, "c/Chart.yaml", charttest.ChartYAML, "c/crds/x.yaml", content, "c/templates/x.yaml", "kind: Secret\n")
}

func TestCRDFilesKeepTheirBytes(t *testing.T) {
	content := crd + "---\n\n---\n" + crd
	got, err := withCRDs(t, content).Render(chart.RenderOptions{Release: here, Preflight: true, Stamps: &stamps})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(manifest.Manifest{Source: "small/crds/x.yaml", Content: content, CRDs: true}, got[0]); diff != "" {
		t.Error(diff)
	}
}

// Argo CD applies other objects in the folder crds/ like those of templates.
func TestStrayObjectsInCRDFilesAreCheckedAndAnnotated(t *testing.T) {
	pins := []ladder.Pin{{
		Image:  ladder.Image{Name: "web", Repository: "registry.example.com/shop/web", ValuesPath: "image"},
		Digest: "sha256:" + strings.Repeat("1", 64), Source: "pins.yaml",
	}}
	for name, content := range map[string]string{
		"alone": stray, "behind a CRD": crd + "---\n" + stray, "in front of one": stray + "---\n" + crd, "in a list that is called one": asList,
		"behind a mark with a comment": crd + "--- # next\n---\n" + stray,
	} {
		t.Run(name, func(t *testing.T) {
			c := withCRDs(t, content)
			if _, err := c.Render(chart.RenderOptions{Release: here, Pins: pins}); err == nil || !strings.Contains(err.Error(), `Deployment "stray" of template "small/crds/x.yaml" runs`) {
				t.Errorf("error %v", err)
			}
			got, err := c.Render(chart.RenderOptions{Release: here, Preflight: true, Stamps: &stamps})
			if err != nil {
				t.Fatal(err)
			}
			if text := printed(t, got); strings.Count(text, "envladder.dev/ladder: shop") != 2*2 || !strings.Contains(text, "here-preflight") {
				t.Errorf("it lacks the preflight object or stamps:\n%s", text)
			}
			if got, err = c.Render(chart.RenderOptions{Release: here, Pins: pins, SkipCRDs: true}); err != nil || len(got) != 1 {
				t.Errorf("without the folder: %v, %v", got, err)
			}
		})
	}
	if _, err := withCRDs(t, "kind: Pod\na: [").Render(chart.RenderOptions{Release: here, Preflight: true}); err == nil || !strings.Contains(err.Error(), "small/crds/x.yaml") {
		t.Errorf("what can't be read: error %v", err)
	}
}
