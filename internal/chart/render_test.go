package chart_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
	"helm.sh/helm/v3/pkg/cli/values"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/charttest"
	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/chart/postrender"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/layers"
	"github.com/envladder/envladder/internal/programtest"
)

// helmTemplate is what the program helm, of the version that is linked, prints for
// `helm template --include-crds NAME CHART -f FILE…`.
func helmTemplate(t *testing.T, chartPath string, release chart.Release, files ...string) string {
	t.Helper()
	program := programtest.Helm(t)
	args := []string{"template", "--include-crds", release.Name, chartPath, "--namespace", release.Namespace}
	if release.KubeVersion != "" {
		args = append(args, "--kube-version", release.KubeVersion)
	}
	for _, version := range release.APIVersions {
		args = append(args, "--api-versions", version)
	}
	for _, file := range files {
		args = append(args, "--values", file)
	}
	helm := exec.CommandContext(t.Context(), program, args...)
	helm.Env = []string{"HOME=" + t.TempDir()} // without plugins and settings of a user
	var stderr bytes.Buffer
	helm.Stderr = &stderr
	out, err := helm.Output()
	if err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

func TestRenderMatchesHelm(t *testing.T) {
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
			[]string{"labels: none\nbanner: {a: 1}", "labels: null\nbanner: null", "labels: {z: 1}\nbanner: back"},
			chart.Release{Name: "mine", Namespace: "default"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			resolved := ladder.Resolved{}
			var files []string
			for i, content := range tt.layers {
				name := fmt.Sprintf("%d.yaml", i)
				write(t, dir, name, content)
				files = append(files, filepath.Join(dir, name))
				resolved.Layers = append(resolved.Layers, ladder.Layer{Path: name, Origin: "layers"})
			}
			merged, err := layers.Merge(t.Context(), os.DirFS(dir), resolved)
			if err != nil {
				t.Fatal(err)
			}
			got := printed(t, render(t, load(t, "testdata", "full"), merged.Values, tt.release))
			want := helmTemplate(t, filepath.Join("testdata", "full"), tt.release, files...)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("not what Helm prints (-helm +ours):\n%s", diff)
			}
		})
	}
}

// The example as it is: every environment that has pins, its layers and pins, with
// Helm's own Kubernetes and with another.
func TestExampleRendersLikeHelm(t *testing.T) {
	const gitops = "../../examples/shop/gitops"
	document, err := ladder.Open(os.DirFS(gitops), "shop")
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []struct{ environment, target string }{{"dev", ""}, {"staging", ""}, {"prod", "eu"}, {"prod", "us"}} {
		for _, kubeVersion := range []string{"", "1.34.4"} {
			t.Run(strings.Join([]string{at.environment, at.target, kubeVersion}, " "), func(t *testing.T) {
				resolved, err := document.Resolve(at.environment, at.target)
				if err != nil {
					t.Fatal(err)
				}
				var files []string
				for _, layer := range resolved.Layers {
					files = append(files, filepath.Join(gitops, layer.Path))
				}
				dir := t.TempDir()
				for i, pin := range resolved.Pins {
					if strings.Contains(pin.ValuesPath, ".") {
						t.Fatalf("the value path %q is nested: teach this test", pin.ValuesPath)
					}
					name := fmt.Sprintf("pin%d.yaml", i)
					write(t, dir, name, fmt.Sprintf("%s: {repository: %s, digest: %q}", pin.ValuesPath, pin.Repository, pin.Digest))
					files = append(files, filepath.Join(dir, name))
				}
				release := chart.Release{Name: "shop", Namespace: "shop", KubeVersion: kubeVersion}
				merged, err := layers.Merge(t.Context(), os.DirFS(gitops), resolved)
				if err != nil {
					t.Fatal(err)
				}
				got := printed(t, render(t, load(t, gitops, resolved.Chart), merged.Values, release))
				want := helmTemplate(t, filepath.Join(gitops, resolved.Chart), release, files...)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("not what Helm prints (-helm +ours):\n%s", diff)
				}
			})
		}
	}
}

// As Helm's Makefile takes the versions from its go.mod.
func TestVersionsMatchGoMod(t *testing.T) {
	data, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := modfile.Parse("go.mod", data, nil)
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, require := range parsed.Require {
		versions[require.Mod.Path] = require.Mod.Version
	}
	for _, replace := range parsed.Replace {
		versions[replace.Old.Path] = replace.New.Version
	}
	if want := versions["helm.sh/helm/v3"]; chart.HelmVersion != want {
		t.Errorf("HelmVersion is %q, go.mod has %q", chart.HelmVersion, want)
	}
	kube := "v1" + strings.TrimPrefix(semver.MajorMinor(versions["k8s.io/client-go"]), "v0") + ".0"
	if chart.DefaultKubeVersion != kube {
		t.Errorf("DefaultKubeVersion is %q, go.mod's client-go means %q", chart.DefaultKubeVersion, kube)
	}
}

// TestMergeMatchesHelm draws layers over few keys, so that maps, lists, scalars and nulls
// meet at every depth, and holds Merge against what `helm -f … -f …` merges. A key's kind
// is the same in all layers: where it isn't, Merge refuses what Helm merges.
func TestMergeMatchesHelm(t *testing.T) {
	dir := t.TempDir()
	scalars := rapid.SampledFrom([]any{nil, true, "on", "1", 1, 9007199254740992, 1.5, "", []any{1, map[string]any{"a": nil}}})
	var tree func(depth int) *rapid.Generator[map[string]any]
	tree = func(depth int) *rapid.Generator[map[string]any] {
		return rapid.Custom(func(t *rapid.T) map[string]any {
			m := map[string]any{}
			for _, key := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "on", "1"}), rapid.ID).Draw(t, "keys") {
				isMap := key == "a" || key == "b"
				switch {
				case isMap && depth > 0 && rapid.IntRange(0, 3).Draw(t, "what") > 0:
					m[key] = tree(depth-1).Draw(t, key)
				case isMap:
					m[key] = nil
				default:
					m[key] = scalars.Draw(t, key)
				}
			}
			return m
		})
	}
	drawn := rapid.SliceOfN(tree(3), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		resolved := ladder.Resolved{}
		var files []string
		for i, layer := range drawn.Draw(t, "layers") {
			content, err := yaml.Marshal(layer)
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("%d.yaml", i)
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
			files = append(files, filepath.Join(dir, name))
			resolved.Layers = append(resolved.Layers, ladder.Layer{Path: name})
		}
		want, err := (&values.Options{ValueFiles: files}).MergeValues(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := layers.Merge(t.Context(), os.DirFS(dir), resolved)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Values); diff != "" {
			t.Fatalf("not what Helm merges (-helm +ours):\n%s", diff)
		}
	})
}

// What `helm dependency build` would bring renders the same without it.
func TestLocalDependenciesRenderLikeHelm(t *testing.T) {
	dir := t.TempDir()
	for name, file := range umbrella() {
		write(t, dir, name, string(file.Data))
	}
	got := printed(t, render(t, load(t, dir, "svc/shop"), map[string]any{}, chart.Release{Name: "r"}))
	for _, folder := range []string{"svc/queue", "svc/shop"} { // Helm builds one level
		cmd := exec.CommandContext(t.Context(), programtest.Helm(t), "dependency", "build", filepath.Join(dir, folder))
		cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+t.TempDir(), "HELM_CONFIG_HOME="+t.TempDir(), "HELM_DATA_HOME="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building the dependencies of %s: %v\n%s", folder, err, out)
		}
	}
	if diff := cmp.Diff(helmTemplate(t, filepath.Join(dir, "svc", "shop"), chart.Release{Name: "r"}), got); diff != "" {
		t.Errorf("not what Helm prints (-helm +ours):\n%s", diff)
	}
	again := printed(t, render(t, load(t, dir, "svc/shop"), map[string]any{}, chart.Release{Name: "r"}))
	if diff := cmp.Diff(got, again); diff != "" {
		t.Errorf("vendored it renders otherwise (-local +vendored):\n%s", diff)
	}
}

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

func TestCRDFilesAreUnchanged(t *testing.T) {
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
func TestOtherObjectsInCRDFilesAreAnnotated(t *testing.T) {
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
