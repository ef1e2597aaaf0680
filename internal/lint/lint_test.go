package lint_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/lint"
	"github.com/envladder/envladder/internal/strictyaml"
)

const digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"

// repository returns a ladder without findings, with files replaced or added.
func repository(changes map[string]string) fstest.MapFS {
	files := map[string]string{
		"shop/ladder.yaml": `apiVersion: envladder.dev/v1alpha1
kind: Ladder
metadata: {name: shop}
spec:
  chart: chart
  images: [{name: web, repository: registry.example.com/shop/web, valuesPath: image}]
  layers: [values.yaml]
  environments: [{name: dev, pins: dev.yaml}, {name: prod, pins: prod.yaml}]
`,
		"shop/dev.yaml":                 "images: {web: '" + digest + "'}\n",
		"shop/prod.yaml":                "images: {web: '" + digest + "'}\n",
		"shop/values.yaml":              "port: 80\n",
		"shop/chart/Chart.yaml":         "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
		"shop/chart/templates/pod.yaml": "kind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: web, image: \"{{ .Values.image.repository }}@{{ .Values.image.digest }}\", args: [\"{{ .Values.port }}\"]}]}\n",
	}
	maps.Copy(files, changes)
	fsys := fstest.MapFS{}
	for name, content := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return fsys
}

func TestRun(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		// want has a text for each finding, in order.
		want []string
	}{
		"valid ladder has no findings": {nil, nil},
		"missing layer is reported once": {
			map[string]string{"shop/ladder.yaml": strings.ReplaceAll(string(repository(nil)["shop/ladder.yaml"].Data), "[values.yaml]", "[missing.yaml]")},
			[]string{"shop/ladder.yaml:7:12: spec.layers[0]: \"missing.yaml\" doesn't exist"},
		},
		"secret material stops before values are checked": {
			map[string]string{"shop/values.yaml": "port: 80\nunused: 1\nkey: AKIA" + "ABCDEFGHIJKLMNOP\n"},
			[]string{"shop/values.yaml:3:6: key: "},
		},
		"layer that sets a pinned value is rejected": {
			map[string]string{"shop/values.yaml": "port: 80\nimage: {digest: latest}\n"},
			[]string{"shop/values.yaml:2:9: image.digest: "},
		},
		"unused value is a warning": {
			map[string]string{"shop/values.yaml": "port: 80\nprot: 80\n"},
			[]string{"shop/values.yaml:2:1: prot: warning: no template of the chart reads this, did you mean \"port\"?"},
		},
		"unused image is a warning": {
			map[string]string{"shop/chart/templates/pod.yaml": "kind: Pod\nmetadata: {name: \"web-{{ .Values.port }}\"}\n"},
			[]string{"spec.images[0].valuesPath: warning: image \"web\" is pinned but unused"},
		},
		"nondeterministic template is reported with its position": {
			map[string]string{"shop/chart/templates/secret.yaml": "kind: Secret\nmetadata: {name: s}\nstringData: {a: {{ randAlphaNum 8 }}}\n"},
			[]string{"shop/chart/templates/secret.yaml:3:20: template "},
		},
		"accepted finding is listed with its reason": {
			map[string]string{
				"shop/chart/templates/secret.yaml": "kind: Secret\nmetadata: {name: s}\nstringData: {a: {{ randAlphaNum 8 }}}\n",
				"shop/.envladder-lint.yaml":        "accept: [{code: Nondeterministic, file: chart/templates/secret.yaml, reason: generated once}]\n",
			},
			[]string{"accepted: generated once"},
		},
		"entry that accepts nothing is a finding": {
			map[string]string{"shop/.envladder-lint.yaml": "accept: [{code: UnusedValue, file: values.yaml, reason: later}]\n"},
			[]string{"accept[0]: accepts nothing"},
		},
		"unknown code is a finding": {
			map[string]string{"shop/.envladder-lint.yaml": "accept: [{code: UnusedValues, file: values.yaml, reason: later}]\n"},
			[]string{"accept[0].code: is \"UnusedValues\": no finding that can be accepted has this code, did you mean \"UnusedValue\"?"},
		},
		"rendering error is reported for each environment": {
			map[string]string{"shop/chart/templates/pod.yaml": "{{ fail \"no\" }}"},
			[]string{"shop/chart: dev can't be rendered: ", "shop/chart: prod can't be rendered: "},
		},
		"empty rendering is reported for each environment": {
			map[string]string{"shop/ladder.yaml": "apiVersion: envladder.dev/v1alpha1\nkind: Ladder\nmetadata: {name: shop}\nspec: {chart: chart, environments: [{name: dev}]}\n", "shop/chart/templates/pod.yaml": "# nothing\n"},
			[]string{"shop/chart: dev renders to nothing"},
		},
		"chart in a registry is a warning": {
			map[string]string{"shop/ladder.yaml": strings.ReplaceAll(string(repository(nil)["shop/ladder.yaml"].Data), "chart: chart", "chart: oci://registry.example.com/shop@"+digest)},
			[]string{"spec.chart: warning: is in a registry, which lint doesn't query"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			findings, err := lint.Run(t.Context(), repository(test.files), "shop", lint.Options{Release: chart.Release{Namespace: "shop"}})
			if err != nil {
				t.Fatal(err)
			}
			if len(findings) != len(test.want) {
				t.Fatalf("got %d findings, want %d:\n%v", len(findings), len(test.want), findings)
			}
			for i, want := range test.want {
				got := findings[i].String()
				if findings[i].Accepted != "" {
					got = "accepted: " + findings[i].Accepted
				}
				if !strings.Contains(got, want) {
					t.Errorf("finding %d is %q, want one with %q", i, got, want)
				}
			}
		})
	}
}

func TestRunStopsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	findings, err := lint.Run(ctx, repository(nil), "shop", lint.Options{})
	// a chart that isn't read because of ctx is a finding
	if !errors.Is(err, context.Canceled) && !strings.Contains(findings.Error(), context.Canceled.Error()) {
		t.Errorf("findings %v, error %v", findings, err)
	}
}

func TestOptionsAllowEmptyAcceptsEmptyRendering(t *testing.T) {
	fsys := repository(map[string]string{
		"shop/ladder.yaml":              "apiVersion: envladder.dev/v1alpha1\nkind: Ladder\nmetadata: {name: shop}\nspec: {chart: chart, environments: [{name: dev}]}\n",
		"shop/chart/templates/pod.yaml": "# nothing\n",
	})
	findings, err := lint.Run(t.Context(), fsys, "shop", lint.Options{AllowEmpty: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strictyaml.Problems(nil), findings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
