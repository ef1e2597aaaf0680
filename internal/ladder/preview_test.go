package ladder_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/ladder"
)

const previewLadder = `apiVersion: envladder.dev/v1alpha1
kind: Ladder
metadata: {name: shop}
spec:
  chart: chart
  images:
  - {name: web, repository: registry.example.com/shop/web, valuesPath: image}
  - {name: worker, repository: registry.example.com/shop/worker, valuesPath: worker.image}
  layers: [common.yaml]
  tiers: {lite: lite.yaml}
  environments: [{name: dev, pins: pins.yaml, preflight: On}]
  preview: {tier: lite, layers: [preview.yaml]}
`

func openPreview(t *testing.T, text string) *ladder.Document {
	t.Helper()
	d, err := ladder.Open(fstest.MapFS{
		"ladder.yaml":      {Data: []byte(text)},
		"chart/Chart.yaml": {Data: []byte("name: c\n")},
		"common.yaml":      {}, "lite.yaml": {}, "preview.yaml": {},
	}, ".")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func digestOf(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }

func TestResolvePreview(t *testing.T) {
	d := openPreview(t, previewLadder)
	resolved, err := d.ResolvePreview(7, map[string]string{"web": digestOf("a"), "worker": digestOf("b")})
	if err != nil {
		t.Fatal(err)
	}
	want := ladder.Resolved{
		Ladder: "shop", Environment: "pr-7", Chart: "chart", Stamps: ladder.StampsOn,
		Layers: []ladder.Layer{
			{Path: "common.yaml", Origin: "layers"},
			{Path: "lite.yaml", Origin: "tier lite"},
			{Path: "preview.yaml", Origin: "preview"},
		},
		Pins: []ladder.Pin{
			{Image: d.Spec.Images[0], Digest: digestOf("a"), Source: "pr-7"},
			{Image: d.Spec.Images[1], Digest: digestOf("b"), Source: "pr-7"},
		},
	}
	if diff := cmp.Diff(want, resolved); diff != "" {
		t.Errorf("the resolved (-want +got):\n%s", diff)
	}
}

func TestResolvePreviewRejects(t *testing.T) {
	both := map[string]string{"web": digestOf("a"), "worker": digestOf("b")}
	with := func(name, digest string) map[string]string {
		return map[string]string{"web": digestOf("a"), "worker": digestOf("b"), name: digest}
	}
	for name, test := range map[string]struct {
		number  int
		digests map[string]string
		want    string
	}{
		"an image without a digest": {7, map[string]string{"web": digestOf("a")}, `image "worker" has no digest`},
		"an unknown image":          {7, with("db", digestOf("c")), `image "db" is unknown: the ladder has web, worker`},
		"a tag":                     {7, with("web", "latest"), `image "web" is "latest": want a digest`},
		"no number":                 {0, both, "want a number from 1 on"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := openPreview(t, previewLadder).ResolvePreview(test.number, test.digests); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
	without, _, _ := strings.Cut(previewLadder, "  preview:")
	if _, err := openPreview(t, without).ResolvePreview(7, both); err == nil || !strings.Contains(err.Error(), "no spec.preview") {
		t.Errorf("error %v of a ladder without previews", err)
	}
}
