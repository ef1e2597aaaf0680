package ladder_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/ladder"
)

// day has a ladder with these lines below spec, a chart, and empty files of these names.
func day(spec string, files ...string) fstest.MapFS {
	repo := fstest.MapFS{
		"shop/ladder.yaml":      {Data: []byte(head + "spec:\n  chart: chart\n" + spec)},
		"shop/chart/Chart.yaml": {},
	}
	for _, file := range files {
		repo[file] = &fstest.MapFile{}
	}
	return repo
}

func resolveDay(t *testing.T, repo fstest.MapFS, environment string) (ladder.Resolved, error) {
	t.Helper()
	document, err := ladder.Open(repo, "shop")
	if err != nil {
		t.Fatal(err)
	}
	return document.Resolve(environment, "")
}

func TestGlobs(t *testing.T) {
	const prod = "  environments: [{name: prod, layers: [values/prod.yaml]}, {name: dev, layers: [{path: values/dev.yaml}]}]\n"
	files := []string{"org/b.yaml", "org/a.yaml", "org/.hidden.yaml", "org/readme.md", "org/d.yaml/x", "shop/values/prod.yaml", "shop/values/dev.yaml", "shop/values/a.yaml", "shop/values/b.yaml"}
	for name, test := range map[string]struct {
		spec, want string
	}{
		"sorted, files alone, nothing hidden":                 {"  layers: ['../org/*.yaml']\n" + prod, "org/a.yaml org/b.yaml shop/values/prod.yaml"},
		"what is named keeps its place":                       {"  layers: ['../org/*.yaml', ../org/a.yaml]\n" + prod, "org/b.yaml org/a.yaml shop/values/prod.yaml"},
		"what another environment names isn't for all":        {"  layers: ['values/*.yaml']\n" + prod, "shop/values/a.yaml shop/values/b.yaml shop/values/prod.yaml"},
		"one character, and a class":                          {"  layers: ['values/?.yaml', '../org/[b-z].yaml']\n" + prod, "shop/values/a.yaml shop/values/b.yaml org/b.yaml shop/values/prod.yaml"},
		"a glob that may match nothing":                       {"  layers: [{path: 'values/x*', optional: true}, {path: 'none/*', optional: true}]\n" + prod, "shop/values/prod.yaml"},
		"a layer that may be missing":                         {"  layers: [{path: values/x.yaml, optional: true}, {path: values/a.yaml, optional: true}]\n" + prod, "shop/values/a.yaml shop/values/prod.yaml"},
		"two globs may have the same file, the last one wins": {"  layers: ['values/*.yaml', 'values/a*.yaml']\n" + prod, "shop/values/a.yaml shop/values/b.yaml shop/values/a.yaml shop/values/prod.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := resolveDay(t, day(test.spec, files...), "prod")
			if err != nil {
				t.Fatal(err)
			}
			var paths []string
			for _, layer := range got.Layers {
				paths = append(paths, layer.Path)
			}
			if diff := cmp.Diff(strings.Fields(test.want), paths); diff != "" {
				t.Errorf("layers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGlobsRejectNoneOrTooManyMatches(t *testing.T) {
	const dev = "  environments: [{name: dev}]\n"
	var many []string
	for i := range 1001 {
		many = append(many, fmt.Sprintf("shop/many/%d.yml", i))
	}
	for i := range 101 {
		many = append(many, fmt.Sprintf("shop/some/%d.yml", i))
	}
	for name, test := range map[string]struct {
		spec, want string
	}{
		"no file":         {"  layers: ['some/*.yaml']\n", `shop/ladder.yaml:6:12: spec.layers[0]: "some/*.yaml" matches no file, except files that the ladder names without a glob: set optional: true if there may be none`},
		"no folder":       {"  layers: ['none/*.yaml']\n", `shop/ladder.yaml:6:12: spec.layers[0]: the folder of "none/*.yaml" doesn't exist`},
		"a file":          {"  layers: ['ladder.yaml/*']\n", `shop/ladder.yaml:6:12: spec.layers[0]: the folder of "ladder.yaml/*" can't be read inside the repository: isn't a folder`},
		"a large folder":  {"  layers: ['many/1.*']\n", `shop/ladder.yaml:6:12: spec.layers[0]: the folder of "many/1.*" can't be read inside the repository: it has more than 1000 files`},
		"too many":        {"  layers: ['some/*']\n", `shop/ladder.yaml:6:12: spec.layers[0]: "some/*" matches 101 files: at most 100 are allowed`},
		"a missing layer": {"  layers: [{path: none.yaml}]\n", `shop/ladder.yaml:6:12: spec.layers[0]: "none.yaml" doesn't exist`},
	} {
		t.Run(name, func(t *testing.T) {
			repo := day(test.spec+dev, many...)
			_, err := resolveDay(t, repo, "dev")
			diffProblems(t, test.want, err)
			document, err := ladder.Open(repo, "shop")
			if err != nil {
				t.Fatal(err)
			}
			diffProblems(t, test.want, document.Check())
		})
	}
}

func TestPinValues(t *testing.T) {
	for name, test := range map[string]struct {
		image ladder.Image
		want  string
	}{
		"repository and digest": {ladder.Image{ValuesPath: "web.image"}, "web.image.digest=" + digestA + " web.image.repository=registry.example.com:5000/shop/web"},
		"one string":            {ladder.Image{Set: map[string]string{"image": "{{.Repository}}@{{.Digest}}"}}, "image=registry.example.com:5000/shop/web@" + digestA},
		"in parts": {
			ladder.Image{Set: map[string]string{"image.registry": "{{.Registry}}", "image.repository": "{{.Path}}", "image.tag": "pinned@{{.Digest}}"}},
			"image.registry=registry.example.com:5000 image.repository=shop/web image.tag=pinned@" + digestA,
		},
		"as repository:tag, in several places": {
			ladder.Image{ValuesPath: "a", Set: map[string]string{"a.tag": "{{.Hex}}", "b-c.image": "{{.Repository}}@sha256"}},
			"a.digest=" + digestA + " a.repository=registry.example.com:5000/shop/web a.tag=" + digestA[7:] + " b-c.image=registry.example.com:5000/shop/web@sha256",
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.image.Repository = "registry.example.com:5000/shop/web"
			values, err := ladder.Pin{Image: test.image, Digest: digestA}.Values()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range values {
				got = append(got, strings.Join(v.Path, ".")+"="+v.Value)
			}
			if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, err := (ladder.Pin{Image: ladder.Image{Set: map[string]string{"a": "{{.X}}"}}}).Values(); err == nil {
		t.Error("an unknown field was filled in")
	}
}

func TestOverride(t *testing.T) {
	repo := day("  overrides: [replicaCount, features.**, 'hosts.*', 'annotations[\"example.com/role\"]']\n  environments: [{name: dev}, {name: prod, overrides: []}, {name: staging, overrides: [host]}]\n  preview: {overrides: [host]}\n")
	dev, err := resolveDay(t, repo, "dev")
	if err != nil {
		t.Fatal(err)
	}
	got, err := dev.Override(map[string]any{"replicaCount": int64(3), "features.a.b": true, `features["c.d"]`: "3", "hosts.eu": "eu.example.com", `annotations["example.com/role"]`: "x"})
	if err != nil {
		t.Fatal(err)
	}
	want := []ladder.Override{
		{Path: []string{"annotations", "example.com/role"}, Value: "x"},
		{Path: []string{"features", "a", "b"}, Value: true},
		{Path: []string{"features", "c.d"}, Value: "3"},
		{Path: []string{"hosts", "eu"}, Value: "eu.example.com"},
		{Path: []string{"replicaCount"}, Value: int64(3)},
	}
	if diff := cmp.Diff(want, got.Overrides); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(dev.Overrides) > 0 {
		t.Error("the original was changed")
	}

	for name, test := range map[string]struct{ environment, path, want string }{
		"another path":         {"dev", "image.digest", `overriding the value "image.digest": ladder "shop" lets parameters set replicaCount, features.**, hosts.*, annotations["example.com/role"] in environment "dev"`},
		"above":                {"dev", "features", "lets parameters set"},
		"below one element":    {"dev", "hosts.eu.name", "lets parameters set"},
		"another quoted key":   {"dev", `annotations["example.com/x"]`, "lets parameters set"},
		"nothing is allowed":   {"prod", "replicaCount", `lets parameters set nothing in environment "prod"`},
		"its own list alone":   {"staging", "replicaCount", `lets parameters set host in environment "staging"`},
		"an item of a list":    {"dev", "features[0]", "it has an index"},
		"no path":              {"dev", "features..a", "isn't a path of values"},
		"Helm's own backslash": {"dev", `annotations.example\.com/role`, "lets parameters set"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := resolveDay(t, repo, test.environment)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Override(map[string]any{test.path: "hunter2"})
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v, want one with %q and without the value", err, test.want)
			}
		})
	}
	for _, overlap := range []map[string]any{
		{"features.a": "1", "features.a-b": "2", "features.a.b": "3"},
		{"features.a.b": "1", `features["a"].b`: "2"},
	} {
		if _, err := dev.Override(overlap); err == nil || !strings.Contains(err.Error(), "contains the other") {
			t.Errorf("%v: error %v", overlap, err)
		}
	}
	many := map[string]any{}
	for i := range 101 {
		many[fmt.Sprint("features.f", i)] = "1"
	}
	if _, err := dev.Override(many); err == nil || !strings.Contains(err.Error(), "at most 100") {
		t.Errorf("error %v", err)
	}
	document, err := ladder.Open(repo, "shop")
	if err != nil {
		t.Fatal(err)
	}
	preview, err := document.ResolvePreview(7, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := preview.Override(map[string]any{"host": "x"}); err != nil {
		t.Error(err)
	}
}
