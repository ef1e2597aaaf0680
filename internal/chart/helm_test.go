package chart_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/cli/values"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/ladder"
)

// helmTemplate is what `helm template --include-crds NAME CHART -f FILE…` prints, by
// Helm's own loader, merging and action.
func helmTemplate(t *testing.T, chartPath string, release chart.Release, files ...string) string {
	t.Helper()
	loaded, err := loader.Load(chartPath)
	if err != nil {
		t.Fatal(err)
	}
	merged, err := (&values.Options{ValueFiles: files}).MergeValues(nil)
	if err != nil {
		t.Fatal(err)
	}
	install := action.NewInstall(&action.Configuration{Log: t.Logf})
	install.DryRun, install.ClientOnly, install.Replace, install.IncludeCRDs = true, true, true, true
	install.ReleaseName, install.Namespace = release.Name, release.Namespace
	install.APIVersions = release.APIVersions
	if release.KubeVersion != "" {
		install.KubeVersion, err = chartutil.ParseKubeVersion(release.KubeVersion)
		if err != nil {
			t.Fatal(err)
		}
	}
	rendered, err := install.Run(loaded, merged)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	fmt.Fprintln(&out, strings.TrimSpace(rendered.Manifest))
	for _, hook := range rendered.Hooks {
		fmt.Fprintf(&out, "---\n# Source: %s\n%s\n", hook.Path, hook.Manifest)
	}
	return out.String()
}

func TestRenderEqualsHelm(t *testing.T) {
	for _, tt := range []struct {
		name    string
		layers  []string
		release chart.Release
	}{
		{
			"the chart alone", nil,
			chart.Release{Name: "mine", Namespace: "default"},
		}, {
			"layers",
			[]string{
				"replicaCount: 2\nimage: {repository: r, digest: d}\nlabels: {b: null, c: three}\nremoved: null",
				"replicaCount: 3\nlabels: {c: drei}",
			},
			chart.Release{Name: "mine", Namespace: "prod", KubeVersion: "1.34.4", APIVersions: []string{"monitoring.coreos.com/v1"}},
		}, {
			"a dependency disabled by its condition",
			[]string{"queue: {enabled: false}"},
			chart.Release{Name: "mine", Namespace: "default"},
		}, {
			"a dependency disabled by its tag",
			[]string{"tags: {stateful: false}"},
			chart.Release{Name: "mine", Namespace: "default"},
		}, {
			"values of dependencies and globals",
			[]string{"global: {team: other, more: {a: 1}}\nsessions: {size: 7, exported: {from: layer}}\ncache: {size: null}"},
			chart.Release{Name: "mine", Namespace: "default"},
		}, {
			"a map over a scalar and a scalar over a map",
			[]string{"labels: none\nbanner: {a: 1}", "labels: {z: 1}\nbanner: back"},
			chart.Release{Name: "mine", Namespace: "default"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			step := ladder.Step{}
			var files []string
			for i, content := range tt.layers {
				name := fmt.Sprintf("%d.yaml", i)
				write(t, dir, name, content)
				files = append(files, filepath.Join(dir, name))
				step.Layers = append(step.Layers, ladder.Layer{Path: name, Origin: "layers"})
			}
			merged, err := chart.Merge(os.DirFS(dir), step)
			if err != nil {
				t.Fatal(err)
			}
			got := printed(t, render(t, load(t, "testdata", "full"), merged, tt.release))
			want := helmTemplate(t, filepath.Join("testdata", "full"), tt.release, files...)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("not what Helm prints (-helm +ours):\n%s", diff)
			}
		})
	}
}

// TestMergeEqualsHelm draws layers over few keys, so that maps, lists, scalars and nulls
// meet at every depth, and holds Merge against what `helm -f … -f …` merges.
func TestMergeEqualsHelm(t *testing.T) {
	dir := t.TempDir()
	keys := rapid.SampledFrom([]string{"a", "b", "c", "on", "1"})
	scalars := rapid.SampledFrom([]any{nil, true, "on", "1", 1, 9007199254740993, 1.5, "", []any{1, map[string]any{"a": nil}}})
	var tree func(depth int) *rapid.Generator[any]
	tree = func(depth int) *rapid.Generator[any] {
		if depth == 0 {
			return scalars
		}
		maps := rapid.Map(rapid.MapOfN(keys, tree(depth-1), 0, 3), func(m map[string]any) any { return m })
		return rapid.OneOf(scalars, maps, maps)
	}
	layers := rapid.SliceOfN(rapid.MapOfN(keys, tree(3), 0, 4), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		step := ladder.Step{}
		var files []string
		for i, layer := range layers.Draw(t, "layers") {
			content, err := yaml.Marshal(layer)
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("%d.yaml", i)
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
			files = append(files, filepath.Join(dir, name))
			step.Layers = append(step.Layers, ladder.Layer{Path: name})
		}
		want, err := (&values.Options{ValueFiles: files}).MergeValues(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := chart.Merge(os.DirFS(dir), step)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("not what Helm merges (-helm +ours):\n%s", diff)
		}
	})
}
