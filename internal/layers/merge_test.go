package layers_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/layers"
	"github.com/envladder/envladder/internal/strictyaml"
	"github.com/envladder/envladder/internal/valuepath"
)

// files returns a repository in memory, of pairs of a name and a content.
func files(pairs ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		fsys[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return fsys
}

// countingFS counts how often a file is opened.
type countingFS struct {
	fstest.MapFS

	opened map[string]int
}

func (c countingFS) Open(name string) (fs.File, error) {
	c.opened[name]++
	return c.MapFS.Open(name)
}

func (c countingFS) ReadFile(name string) ([]byte, error) {
	c.opened[name]++
	return c.MapFS.ReadFile(name)
}

func (c countingFS) Stat(name string) (fs.FileInfo, error) { return c.MapFS.Stat(name) }

func TestMergeReadsLayerOnce(t *testing.T) {
	fsys := countingFS{files("a.yaml", "x: a", "b.yaml", "x: b"), map[string]int{}}
	resolved := ladder.Resolved{Layers: []ladder.Layer{{Path: "a.yaml"}, {Path: "b.yaml"}, {Path: "a.yaml"}}}
	got, err := layers.Merge(t.Context(), fsys, resolved)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"x": "a"}, got.Values); diff != "" {
		t.Errorf("the last layer doesn't win: %s", diff)
	}
	if diff := cmp.Diff(map[string]int{"a.yaml": 1, "b.yaml": 1}, fsys.opened); diff != "" {
		t.Errorf("opened: %s", diff)
	}
}

func TestMergeStopsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := layers.Merge(ctx, files("a.yaml", "x: a"), ladder.Resolved{Layers: []ladder.Layer{{Path: "a.yaml"}}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestMergeInjectsPinsLast(t *testing.T) {
	pin := func(path string) ladder.Pin {
		return ladder.Pin{
			Image:  ladder.Image{Name: "web", Repository: "registry.example.com/web", ValuesPath: path},
			Digest: "sha256:aa", Source: "pins/prod.yaml",
		}
	}
	image := map[string]any{"repository": "registry.example.com/web", "digest": "sha256:aa"}
	with := func(m map[string]any, key string, value any) map[string]any {
		out := map[string]any{key: value}
		maps.Copy(out, m)
		return out
	}
	for _, tt := range []struct {
		name, layer string
		pins        []ladder.Pin
		want        map[string]any
	}{
		{"where there is nothing", "", []ladder.Pin{pin("image")}, map[string]any{"image": image}},
		{"with values of layers", "image: {pullPolicy: Always}", []ladder.Pin{pin("image")}, map[string]any{"image": with(image, "pullPolicy", "Always")}},
		{"deep down", "web: {port: 80}", []ladder.Pin{pin("web.main.image")}, map[string]any{"web": map[string]any{"port": 80.0, "main": map[string]any{"image": image}}}},
		{"into one of two maps that are one by an alias", "a: &x {port: 80}\nb: *x", []ladder.Pin{pin("a")}, map[string]any{"a": with(image, "port", 80.0), "b": map[string]any{"port": 80.0}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := layers.Merge(t.Context(), files("l.yaml", tt.layer), ladder.Resolved{Layers: []ladder.Layer{{Path: "l.yaml"}}, Pins: tt.pins})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Values); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMergeReportsProblemsOfAllLayers(t *testing.T) {
	_, err := layers.Merge(t.Context(), files("a.yaml", "x: 1\nx: 2", "b.yaml", "- a list"), ladder.Resolved{
		Layers: []ladder.Layer{{Path: "a.yaml"}, {Path: "b.yaml"}, {Path: "missing.yaml", Origin: "tier full"}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"a.yaml:2:1: x: duplicate key", "b.yaml:1:1", `"missing.yaml" (tier full)`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	var problems strictyaml.Problems
	if !errors.As(err, &problems) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v is neither the problems nor the missing file", err)
	}
}

const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// resolvedOf has layers a.yaml, b.yaml … of these contents; a content that begins with
// "tier:" and a newline is a tier's.
func resolvedOf(contents ...string) (fstest.MapFS, ladder.Resolved) {
	repo, resolved := fstest.MapFS{}, ladder.Resolved{}
	for i, content := range contents {
		name, origin := string(rune('a'+i))+".yaml", "layers"
		if rest, ok := strings.CutPrefix(content, "tier:\n"); ok {
			content, origin = rest, "tier full"
		}
		repo[name] = &fstest.MapFile{Data: []byte(content)}
		resolved.Layers = append(resolved.Layers, ladder.Layer{Path: name, Origin: origin})
	}
	return repo, resolved
}

func merge(t *testing.T, contents ...string) *layers.Merged {
	t.Helper()
	repo, resolved := resolvedOf(contents...)
	merged, err := layers.Merge(t.Context(), repo, resolved)
	if err != nil {
		t.Fatal(err)
	}
	return merged
}

func wantProblems(t *testing.T, want string, err error) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("error %v", err)
		}
		return
	}
	if strictyaml.ProblemsOf(err) == nil {
		t.Fatalf("error %v, want problems", err)
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestMergeRejectsTypeConflicts(t *testing.T) {
	for name, test := range map[string]struct {
		contents []string
		want     string
	}{
		"a scalar over a mapping": {
			[]string{"# none\na:\n  b: {c: 1}\n", "x: 1\na: {b: text}\n"},
			"b.yaml:2:5: a.b: is a string, and a.yaml:3:3 (layers) has a mapping there: use the same type, or set it to null in a layer in between",
		},
		"a mapping over a scalar": {
			[]string{"a: 1\n", "b: 1\n", "a: {b: 1}\n"},
			"c.yaml:1:1: a: is a mapping, and a.yaml:1:1 (layers) has a number there: use the same type, or set it to null in a layer in between",
		},
		"a list over a mapping, by an alias and a merge": {
			[]string{"a: &x {b: {c: 1}}\nd: {<<: *x}\n", "d: {b: []}\n"},
			"b.yaml:1:5: d.b: is a list, and a.yaml:1:8 (layers) has a mapping there: use the same type, or set it to null in a layer in between",
		},
		"a null in between":          {[]string{"a: 1\n", "a: null\n", "a: {b: 1}\n"}, ""},
		"a null above it":            {[]string{"a: {b: 1}\n", "a:\n", "a: {b: {c: 1}}\n"}, ""},
		"what a layer leaves open":   {[]string{"a: {}\nb: ''\nc: []\nd: false\n", "a: []\nb: {x: 1}\nc: {x: 1}\nd: {x: 1}\n"}, ""},
		"lists and scalars, at odds": {[]string{"a: 1\nb: []\n", "a: []\nb: text\n"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			repo, resolved := resolvedOf(test.contents...)
			_, err := layers.Merge(t.Context(), repo, resolved)
			wantProblems(t, test.want, err)
		})
	}
}

func TestCheckChart(t *testing.T) {
	chart := []layers.Default{
		{File: "chart/values.yaml", Values: map[string]any{"a": map[string]any{"b": 1.0}, "c": "x", "sub": map[string]any{"port": 1.0}, "e": "", "f": []any{}, "g": false, "m": nil, "p": map[string]any{}, "o": map[string]any{}}, Data: []byte("a:\n  b: 1\nc: x\nsub: {port: 1}\ne: ''\nf: []\ng: false\nm:\np: {}\no: {}\n")},
		{File: "chart/charts/sub/values.yaml", Prefix: []string{"sub"}, Values: map[string]any{"d": map[string]any{"x": 1.0}, "port": map[string]any{"number": 1.0}}, Data: []byte("# sub\nd: {x: 1}\nport: {number: 1}\n")},
	}
	for name, test := range map[string]struct {
		contents []string
		want     string
	}{
		"all that is wrong": {
			[]string{"a: {b: {x: 1}}\nc: {z: 1}\n", "sub:\n  d: 3\n"},
			"a.yaml:1:5: a.b: is a mapping, and chart/values.yaml:2:3 (chart) has a number there: use the same type, or set it to null in an earlier layer\n" +
				"a.yaml:2:1: c: is a mapping, and chart/values.yaml:3:1 (chart) has a string there: use the same type, or set it to null in an earlier layer\n" +
				"b.yaml:2:3: sub.d: is a number, and chart/charts/sub/values.yaml:2:1 (subchart sub) has a mapping there: use the same type, or set it to null in an earlier layer",
		},
		"a null says that it is meant":                        {[]string{"a: null\nc:\n", "a: text\nc: {z: 1}\n"}, ""},
		"null alone removes":                                  {[]string{"a: null\n"}, ""},
		"the chart leaves it open":                            {[]string{"e: {x: 1}\nf: {x: 1}\ng: {x: 1}\nm: {x: 1}\np: [1]\no: text\n"}, ""},
		"an outer chart's default counts, not its subchart's": {[]string{"sub: {port: 2}\n"}, ""},
		"against the outer chart's": {
			[]string{"sub: {port: {number: 2}}\n"},
			"a.yaml:1:7: sub.port: is a mapping, and chart/values.yaml:4:7 (chart) has a number there: use the same type, or set it to null in an earlier layer",
		},
	} {
		t.Run(name, func(t *testing.T) {
			wantProblems(t, test.want, merge(t, test.contents...).WithChart(chart).CheckChart())
		})
	}
}

// What the pins set, no layer sets: not directly, not by null, an alias, a mapping's
// place, or a tag.
func TestMergeRejectsValuesOfPins(t *testing.T) {
	pins := []ladder.Pin{
		{Image: ladder.Image{Name: "web", Repository: "registry.example.com/web", ValuesPath: "web.image"}, Digest: digest, Source: "pins.yaml", Line: 2},
		{Image: ladder.Image{Name: "job", Repository: "registry.example.com/job", Set: map[string]string{"sub.image": "{{.Repository}}@{{.Digest}}", "global.job.hex": "{{.Hex}}"}}, Digest: digest, Source: "pins.yaml", Line: 3},
	}
	for name, test := range map[string]struct{ layer, want string }{
		"a digest":           {"web:\n  image:\n    digest: hunter2\n", `a.yaml:3:5: web.image.digest: is set by the pins for image "web": remove it, since nothing else may set it`},
		"a repository, null": {"web: {image: {repository: null}}\n", `a.yaml:1:15: web.image.repository: is set by the pins for image "web": remove it, since nothing else may set it`},
		"below it":           {"web: {image: {digest: {hex: 1}}}\n", `a.yaml:1:15: web.image.digest: is set by the pins for image "web": remove it, since nothing else may set it`},
		"above it":           {"web: [image]\n", `a.yaml:1:1: web: is a list, and the pins set image "web" inside of it: remove it, or make it a mapping`},
		"null above it":      {"web: {image: }\n", `a.yaml:1:7: web.image: is null, and the pins set image "web" inside of it: remove it, or make it a mapping`},
		"an alias": {
			"x: &x {repository: evil}\nweb: {image: *x}\n",
			`a.yaml:1:8: web.image.repository: is set by the pins for image "web": remove it, since nothing else may set it`,
		},
		"a merge": {
			"x: &x {digest: evil}\nweb:\n  image:\n    <<: [*x]\n",
			`a.yaml:1:8: web.image.digest: is set by the pins for image "web": remove it, since nothing else may set it`,
		},
		"a tag":                 {"web: {image: {tag: v1}}\n", `a.yaml:1:15: web.image.tag: is a tag of image "web", which can move: the pins say which digest runs, remove it`},
		"a subchart's path":     {"sub: {image: evil}\n", `a.yaml:1:7: sub.image: is set by the pins for image "job": remove it, since nothing else may set it`},
		"a mapping there":       {"sub: {image: {repository: evil}}\n", `a.yaml:1:7: sub.image: is set by the pins for image "job": remove it, since nothing else may set it`},
		"global":                {"global: {job: {hex: evil}}\n", `a.yaml:1:16: global.job.hex: is set by the pins for image "job": remove it, since nothing else may set it`},
		"other keys next to it": {"web: {image: {pullPolicy: Always, tag: null}}\nglobal: {x: 1}\nsub: {port: 1}\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			repo, resolved := resolvedOf(test.layer)
			resolved.Pins = pins
			merged, err := layers.Merge(t.Context(), repo, resolved)
			wantProblems(t, test.want, err)
			if err != nil {
				return
			}
			got, ok := merged.Setting([]string{"web", "image", "digest"})
			want := layers.Setting{Kind: layers.KindPins, Layer: "pins", File: "pins.yaml", Line: 2, Path: "web.image.digest", Value: digest, Effect: layers.Wins}
			if diff := cmp.Diff(want, got); !ok || diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(map[string]any{"image": "registry.example.com/job@" + digest, "port": 1.0}, merged.Values["sub"]); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("a parameter", func(t *testing.T) {
		resolved := ladder.Resolved{Pins: pins, Overrides: []ladder.Override{{Path: []string{"web", "image", "tag"}, Value: "v1"}}}
		_, err := layers.Merge(t.Context(), fstest.MapFS{}, resolved)
		wantProblems(t, `the Application's parameter values: web.image.tag: is a tag of image "web", which can move: the pins say which digest runs, remove it`, err)
	})
}

// A chain has each source that says something about a path, and who wins.
func TestChain(t *testing.T) {
	chart := []layers.Default{
		{File: "chart/values.yaml", Values: map[string]any{"a": map[string]any{"x": 1.0, "z": 1.0}, "sub": map[string]any{"port": 2.0}, "global": map[string]any{"g": 1.0}}, Data: []byte("a:\n  x: 1\n  z: 1\nsub: {port: 2}\nglobal: {g: 1}\n")},
		{File: "chart/charts/sub/values.yaml", Prefix: []string{"sub"}, Values: map[string]any{"port": 1.0, "host": "h"}, Data: []byte("port: 1\nhost: h\n")},
	}
	m := merge(t, "a: {x: 2}\nlist: [{m: 1}]\n", "tier:\na: null\n", "a:\n  z: 3\n", "b: null\n").WithChart(chart)
	for path, want := range map[string]string{
		"a.x":        "chart/values.yaml:2 chart a.x wins, a.yaml:1 layer a.x overridden, b.yaml:1 tier a overridden",
		"a.z":        "chart/values.yaml:3 chart a.z overridden, b.yaml:1 tier a overridden, c.yaml:2 layer a.z wins",
		"a":          "chart/values.yaml:1 chart a merges, a.yaml:1 layer a merges, b.yaml:1 tier a overridden, c.yaml:1 layer a merges",
		"b":          "d.yaml:1 layer b removes",
		"b.c":        "d.yaml:1 layer b removes",
		"list[0].m":  "a.yaml:2 layer list wins",
		"sub.port":   "chart/charts/sub/values.yaml:1 chart sub.port overridden, chart/values.yaml:4 chart sub.port wins",
		"sub.host":   "chart/charts/sub/values.yaml:2 chart sub.host wins",
		"none":       "",
		"list.x.z.z": "a.yaml:2 layer list wins",
	} {
		parsed, err := valuepath.Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range m.Chain(parsed) {
			got = append(got, strings.Join([]string{s.File + ":" + string(rune('0'+s.Line)), string(s.Kind), s.Path, string(s.Effect)}, " "))
		}
		if diff := cmp.Diff(want, strings.Join(got, ", ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	for path, want := range map[string]string{
		"list[0].m":     "a.yaml:2:9 (layers)",
		"sub.global.g":  "chart/values.yaml:5:10 (chart)",
		"a":             "c.yaml:1:1 (layers)",
		"sub.host":      "chart/charts/sub/values.yaml:2:1 (subchart sub)",
		"nothing.there": "",
	} {
		parsed, err := valuepath.Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := m.Location(parsed); got != want {
			t.Errorf("%s comes from %q, want %q", path, got, want)
		}
	}
}

func TestCompare(t *testing.T) {
	chart := []layers.Default{{File: "chart/values.yaml", Values: map[string]any{"kind": "sqlite", "replicas": 1.0}, Data: []byte("kind: sqlite\nreplicas: 1\n")}}
	view := func(name string, contents ...string) layers.View {
		m := merge(t, contents...).WithChart(chart)
		values := map[string]any{"kind": "sqlite", "replicas": 1.0}
		maps.Copy(values, m.Values)
		return layers.View{Name: name, Values: values, Merged: m}
	}
	mayDiffer := []string{"scale.**", "hosts.*", "flag", "ingress.*.host", "all.**"}
	for name, test := range map[string]struct {
		a, b []string
		want string
	}{
		"the same":            {[]string{"x: {z: [1]}"}, []string{"x:\n  z: [1]\n"}, ""},
		"what may differ":     {[]string{"scale: {a: {b: 1}}\nhosts: {eu: a}\nflag: true"}, []string{"scale: {a: {c: 1}}\nhosts: {eu: b}\n"}, ""},
		"another value":       {[]string{"x: {z: 1}"}, []string{"x:\n  z: 2"}, "a.yaml:2:3: x.z: prod sets it, and dev has another value from a.yaml:1:5 (layers): spec.mayDiffer doesn't name this path"},
		"only the lower one":  {[]string{"x: {z: 1}"}, []string{""}, "a.yaml:1:5: x.z: dev sets it, and prod doesn't have it: spec.mayDiffer doesn't name this path"},
		"only the higher one": {nil, []string{"x: {z: 1}"}, "a.yaml:1:5: x.z: prod sets it, and dev doesn't have it: spec.mayDiffer doesn't name this path"},
		"against the chart": {
			nil,
			[]string{"replicas: 3"},
			"a.yaml:1:1: replicas: prod sets it, and dev has another value from chart/values.yaml:2:1 (chart): spec.mayDiffer doesn't name this path",
		},
		"what * doesn't cover":   {[]string{"hosts: {eu: {a: 1}}"}, []string{"hosts: {eu: {a: 2}}"}, "a.yaml:1:14: hosts.eu.a: prod sets it, and dev has another value from a.yaml:1:14 (layers): spec.mayDiffer doesn't name this path"},
		"tiers and the chart":    {[]string{"tier:\nkind: postgres\nx: 1"}, []string{"tier:\nkind: mysql\nz: 2"}, ""},
		"a layer against a tier": {[]string{"tier:\nkind: postgres"}, []string{"kind: mysql"}, "a.yaml:1:1: kind: prod sets it, and dev has another value from a.yaml:1:1 (tier full): spec.mayDiffer doesn't name this path"},
		"an empty mapping":       {[]string{"x: {}"}, []string{""}, ""},
		"a list is one value":    {[]string{"x: [{a: 1}]"}, []string{"x: [{a: 2}]"}, "a.yaml:1:1: x: prod sets it, and dev has another value from a.yaml:1:1 (layers): spec.mayDiffer doesn't name this path"},
		"inside of lists":        {[]string{"ingress: [{host: a, path: /}]\nall: [1]"}, []string{"ingress: [{host: b, path: /}, {host: c}]\nall: [2, {a: 1}]"}, ""},
		"what no pattern names inside of a list": {
			[]string{"ingress: [{host: a, path: /}]"},
			[]string{"ingress: [{host: b, path: /b}, {path: /}]"},
			"a.yaml:1:21: ingress.0.path: prod sets it, and dev has another value from a.yaml:1:21 (layers): spec.mayDiffer doesn't name this path\n" +
				"a.yaml:1:33: ingress.1.path: prod sets it, and dev has another value from a.yaml:1:1 (layers): spec.mayDiffer doesn't name this path",
		},
		"a list and a scalar":      {[]string{"ingress: [{host: a}]"}, []string{"ingress: a"}, "a.yaml:1:1: ingress: prod sets it, and dev has another value from a.yaml:1:1 (layers): spec.mayDiffer doesn't name this path"},
		"a mapping and a scalar":   {[]string{"x: {a: 1}"}, []string{"x: 1"}, "a.yaml:1:1: x: prod sets it, and dev has another value from a.yaml:1:1 (layers): spec.mayDiffer doesn't name this path"},
		"no value is ever printed": {[]string{"x: hunter2"}, []string{"x: hunter3"}, "a.yaml:1:1: x: prod sets it, and dev has another value from a.yaml:1:1 (layers): spec.mayDiffer doesn't name this path"},
	} {
		t.Run(name, func(t *testing.T) {
			wantProblems(t, test.want, layers.Compare(view("dev", test.a...), view("prod", test.b...), mayDiffer).Err())
		})
	}
	t.Run("a preview's templates", func(t *testing.T) {
		preview := view("preview", `x: "{{ .Release.Name }}"`)
		preview.Template = true
		wantProblems(t, "", layers.Compare(preview, view("dev", "x: dev"), mayDiffer).Err())
		wantProblems(t, "a.yaml:1:1: x: dev sets it, and other has another value from a.yaml:1:1 (layers): spec.mayDiffer doesn't name this path",
			layers.Compare(view("other", `x: "{{ .Release.Name }}"`), view("dev", "x: dev"), mayDiffer).Err())
	})
}

func TestMergeReportsAllLayers(t *testing.T) {
	repo, resolved := resolvedOf("x: 1\nx: 2\n", "- a list\n")
	resolved.Layers = append(resolved.Layers, ladder.Layer{Path: "missing.yaml", Origin: "tier full"})
	_, err := layers.Merge(t.Context(), repo, resolved)
	for _, want := range []string{"a.yaml:2:1: x: duplicate key, the first is in line 1", "b.yaml:1:1: want a mapping", `"missing.yaml" (tier full)`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v isn't that of the missing file", err)
	}
}

func TestCheckSecrets(t *testing.T) {
	// Put together here, so that no scanner takes this file for a leak.
	token := "ghp_" + strings.Repeat("a1B2", 9)
	pem := "-----BEGIN RSA " + "PRIVATE KEY-----"
	layer := "a:\n  key: |\n    " + pem + "\n    MII\nlist: [" + token + "]\nurl: postgres://u:" + "hunter2@db/x\n" + token + ": 1\nimage: registry.example.com/a@" + digest + "\ntemplated: postgres://u:{{ .x }}@db\n"
	err := layers.CheckSecrets("a.yaml", []byte(layer))
	wantProblems(t, "a.yaml:2:8: a.key: has a private key: store it in a secret store, name it here, and revoke this one, since it stays in Git's history\n"+
		"a.yaml:5:8: list[0]: has a GitHub token: store it in a secret store, name it here, and revoke this one, since it stays in Git's history\n"+
		"a.yaml:6:6: url: has a URL with a password: store it in a secret store, name it here, and revoke this one, since it stays in Git's history\n"+
		"a.yaml:7:1: has a GitHub token for a key: store it in a secret store, name it here, and revoke this one, since it stays in Git's history", err)
	if strings.Contains(err.Error(), token) {
		t.Error("the error shows the token")
	}
}

// Helm's reader takes a mapping from top to bottom, so a merge key overrides what is above
// it, which people, yq and YAML's specification read the other way.
func TestCheckRejectsMergeKeyBelowKeys(t *testing.T) {
	for name, test := range map[string]struct{ layer, want string }{
		"below a key":             {"x: &x {a: 1, b: 2}\nw:\n  a: 3\n  <<: *x\n", "a.yaml:3:3: w.a: is overridden by the merge key (<<) in line 4 in Helm, but not in other parsers: move << above it"},
		"of several":              {"x: &x {a: 1}\nz: &z {a: 2, b: 3}\nw:\n  b: 4\n  <<: [*x, *z]\n", "a.yaml:4:3: w.b: is overridden by the merge key (<<) in line 5 in Helm, but not in other parsers: move << above it"},
		"above the keys":          {"x: &x {a: 1, b: 2}\nw:\n  <<: *x\n  a: 3\n", ""},
		"the same value":          {"x: &x {a: 1, b: 2}\nw:\n  a: 1\n  <<: *x\n", ""},
		"without a key in common": {"x: &x {a: 1}\nw:\n  b: 1\n  <<: *x\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			wantProblems(t, test.want, layers.Check("a.yaml", []byte(test.layer)))
		})
	}
}
