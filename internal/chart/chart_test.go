package chart_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/charttest"
	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/chart/postrender"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/layers"
)

var update = flag.Bool("update", false, "write the golden files")

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, dir, name string) *chart.Chart {
	t.Helper()
	c, err := chart.Load(t.Context(), os.DirFS(dir), name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func render(t *testing.T, c *chart.Chart, values map[string]any, release chart.Release) manifest.Manifests {
	t.Helper()
	manifests, err := c.Render(chart.RenderOptions{Values: values, Release: release})
	if err != nil {
		t.Fatal(err)
	}
	return manifests
}

func printed(t *testing.T, manifests manifest.Manifests) string {
	t.Helper()
	var b strings.Builder
	if err := manifests.Print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var here = chart.Release{Name: "here"}

func TestGolden(t *testing.T) {
	repository := os.DirFS("testdata")
	merged, err := layers.Merge(t.Context(), repository, ladder.Resolved{
		Layers: []ladder.Layer{{Path: "layers/common.yaml"}, {Path: "layers/prod.yaml"}},
		Pins: []ladder.Pin{{
			Image:  ladder.Image{Name: "web", Repository: "registry.example.com/shop/web", ValuesPath: "image"},
			Digest: "sha256:" + strings.Repeat("1", 64),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := load(t, "testdata", "full")
	manifests := render(t, c, merged.Values, chart.Release{Name: "shop", Namespace: "shop", KubeVersion: "1.34.4"})
	stamped, err := postrender.Run(manifests, postrender.Options{Stamps: &postrender.Stamps{Ladder: "shop", Environment: "prod", Target: "eu", ChartDigest: c.Digest}})
	if err != nil {
		t.Fatal(err)
	}
	got := printed(t, stamped)
	const golden = "testdata/full.golden.yaml"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("rendering changed; if it should, run with -update (-want +got):\n%s", diff)
	}
}

func TestRenderIsDeterministic(t *testing.T) {
	var first string
	for i := range 30 {
		got := printed(t, render(t, load(t, "testdata", "full"), nil, here))
		if i == 0 {
			first = got
		} else if diff := cmp.Diff(first, got); diff != "" {
			t.Fatalf("render %d differs from the first:\n%s", i, diff)
		}
	}
}

func TestRenderKeepsOrderOfUnlistedDependencies(t *testing.T) {
	fsys := charttest.Files("c/Chart.yaml", charttest.ChartYAML)
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		fsys["c/charts/"+name+"/Chart.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: v2\nname: " + name + "\nversion: 1.0.0\n")}
		fsys["c/charts/"+name+"/crds/crd.yaml"] = &fstest.MapFile{Data: []byte("kind: CustomResourceDefinition\n")}
	}
	for range 20 {
		c, err := chart.Load(t.Context(), fsys, "c")
		if err != nil {
			t.Fatal(err)
		}
		var sources []string
		for _, m := range render(t, c, nil, here) {
			sources = append(sources, m.Source)
		}
		if len(sources) != 6 || !slices.IsSorted(sources) {
			t.Fatalf("CRDs in the order %q", sources)
		}
	}
}

func TestRenderIsIndependentOfOtherRenders(t *testing.T) {
	shared := load(t, "testdata", "full")
	environments := []map[string]any{
		{"queue": map[string]any{"enabled": false}, "replicaCount": 2.0},
		{"tags": map[string]any{"stateful": false}, "labels": map[string]any{"a": nil}},
		{"sessions": map[string]any{"exported": map[string]any{"from": "layer"}}},
	}
	want := make([]string, len(environments))
	for i, values := range environments {
		want[i] = printed(t, render(t, load(t, "testdata", "full"), values, here))
	}
	var group sync.WaitGroup
	for i := range 1000 {
		group.Go(func() {
			n := i % len(environments)
			manifests, err := shared.Render(chart.RenderOptions{Values: environments[n], Release: here})
			if err != nil {
				t.Error(err)
				return
			}
			if diff := cmp.Diff(want[n], printed(t, manifests)); diff != "" {
				t.Errorf("environment %d took something from another:\n%s", n, diff)
			}
			if _, err := shared.Values(environments[n]); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// A template may sort a list of Chart.yaml where it is: the next render sees it as it was.
func TestRenderIsolatesChangedMetadata(t *testing.T) {
	shared, err := chart.Load(t.Context(), charttest.Files(
		"c/Chart.yaml", charttest.ChartYAML+`keywords: [b, a]
sources: [b, a]
maintainers: [{name: b}]
annotations: {k: v}
dependencies:
- {name: sub, version: 1.0.0, tags: [b, a], import-values: [b, a]}
`,
		"c/charts/sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
		"c/templates/x.yaml", `kind: Secret
{{ with .Chart }}
{{ if $.Values.change }}
changed: {{ list (sortAlpha .Keywords) (sortAlpha .Sources) (sortAlpha (index .Dependencies 0).Tags) (sortAlpha (index .Dependencies 0).ImportValues) | toJson }}
{{ end }}
chart: {{ list .Keywords .Sources .Maintainers .Annotations (index .Dependencies 0).Tags (index .Dependencies 0).ImportValues | toJson }}
{{ end }}
`,
	), "c")
	if err != nil {
		t.Fatal(err)
	}
	want := printed(t, render(t, shared, nil, here))
	render(t, shared, map[string]any{"change": true}, here)
	if diff := cmp.Diff(want, printed(t, render(t, shared, nil, here))); diff != "" {
		t.Errorf("(-before +after)\n%s", diff)
	}
}

// pack makes a .tgz of the folder dir of fsys, below the folder name.
func pack(t *testing.T, fsys fs.FS, dir, name string) []byte {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	archive := tar.NewWriter(zipped)
	err := fs.WalkDir(fsys, dir, func(p string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(fsys, p)
		if err != nil {
			return err
		}
		header := &tar.Header{Name: path.Join(name, strings.TrimPrefix(p, dir)), Size: int64(len(data)), Mode: 0o644}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		_, err = archive.Write(data)
		return err
	})
	if err := errors.Join(err, archive.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPackagedChartRendersLikeItsFolder(t *testing.T) {
	fsys := charttest.Files("c/Chart.yaml", charttest.ChartYAML, "c/values.yaml", "name: packed", "c/templates/pod.yaml", charttest.PodYAML)
	data := pack(t, fsys, "c", "small")
	fsys["small-1.0.0.tgz"] = &fstest.MapFile{Data: data}
	folder, err := chart.Load(t.Context(), fsys, "c")
	if err != nil {
		t.Fatal(err)
	}
	packed, err := chart.Load(t.Context(), fsys, "small-1.0.0.tgz")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(printed(t, render(t, folder, nil, here)), printed(t, render(t, packed, nil, here))); diff != "" {
		t.Error(diff)
	}
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256(data)); packed.Digest != want {
		t.Errorf("digest %s, want the file's %s", packed.Digest, want)
	}
}

func TestFolderDigest(t *testing.T) {
	base := func() fstest.MapFS {
		return charttest.Files("c/Chart.yaml", charttest.ChartYAML, "c/templates/pod.yaml", charttest.PodYAML, "c/.helmignore", "*.bak\n")
	}
	digest := func(fsys fs.FS, name string) string {
		c, err := chart.Load(t.Context(), fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		return c.Digest
	}
	want := digest(base(), "c")

	t.Run("is of the text that sha256sum prints", func(t *testing.T) {
		text := fmt.Sprintf("%x  .helmignore\n%x  Chart.yaml\n%x  templates/pod.yaml\n",
			sha256.Sum256([]byte("*.bak\n")), sha256.Sum256([]byte(charttest.ChartYAML)), sha256.Sum256([]byte(charttest.PodYAML)))
		if got := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))); got != want {
			t.Errorf("digest %s, by the definition %s", want, got)
		}
	})
	t.Run("doesn't depend on where the folder is", func(t *testing.T) {
		moved := fstest.MapFS{}
		for name, file := range base() {
			moved["elsewhere/"+name] = file
		}
		if got := digest(moved, "elsewhere/c"); got != want {
			t.Errorf("digest %s, before %s", got, want)
		}
	})
	t.Run("leaves out what .helmignore names", func(t *testing.T) {
		fsys := base()
		fsys["c/templates/pod.bak"] = &fstest.MapFile{Data: []byte("old")}
		if got := digest(fsys, "c"); got != want {
			t.Errorf("digest %s, before %s", got, want)
		}
	})
	for name, change := range map[string]func(fstest.MapFS){
		"content": func(f fstest.MapFS) { f["c/templates/pod.yaml"] = &fstest.MapFile{Data: []byte("kind: Pod")} },
		"a byte order mark": func(f fstest.MapFS) {
			f["c/Chart.yaml"] = &fstest.MapFile{Data: []byte("\xef\xbb\xbf" + charttest.ChartYAML)}
		},
		"a name": func(f fstest.MapFS) {
			f["c/templates/pod2.yaml"] = f["c/templates/pod.yaml"]
			delete(f, "c/templates/pod.yaml")
		},
		"a file more":     func(f fstest.MapFS) { f["c/README.md"] = &fstest.MapFile{} },
		"what is ignored": func(f fstest.MapFS) { f["c/.helmignore"] = &fstest.MapFile{Data: []byte("*.old\n")} },
		"a dependency's file": func(f fstest.MapFS) {
			f["c/charts/x/Chart.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: v2\nname: x\nversion: 1.0.0\n")}
		},
	} {
		t.Run("changes with "+name, func(t *testing.T) {
			fsys := base()
			change(fsys)
			if got := digest(fsys, "c"); got == want {
				t.Errorf("digest is %s as before", got)
			}
		})
	}
}

func TestLoadFollowsSymbolicLinks(t *testing.T) {
	newRepository := func(t *testing.T) string {
		dir := t.TempDir()
		write(t, dir, "c/Chart.yaml", charttest.ChartYAML)
		write(t, dir, "shared/pod.yaml", charttest.PodYAML)
		return dir
	}
	open := func(t *testing.T, dir string) (*chart.Chart, error) {
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { root.Close() })
		return chart.Load(t.Context(), root.FS(), "c")
	}
	t.Run("are followed inside the repository", func(t *testing.T) {
		dir := newRepository(t)
		if err := os.Symlink("../shared", filepath.Join(dir, "c", "templates")); err != nil {
			t.Fatal(err)
		}
		c, err := open(t, dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := printed(t, render(t, c, map[string]any{"name": "linked"}, here)); !strings.Contains(got, "name: linked") {
			t.Error(got)
		}
	})
	for name, target := range map[string]string{
		"that lead out of the repository are refused": "../../..",
		"that lead in a circle are refused":           ".",
		"that lead nowhere are refused":               "missing",
	} {
		t.Run(name, func(t *testing.T) {
			dir := newRepository(t)
			if err := os.Symlink(target, filepath.Join(dir, "c", "link")); err != nil {
				t.Fatal(err)
			}
			if _, err := open(t, dir); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestLoadRejects(t *testing.T) {
	library := "apiVersion: v2\nname: lib\nversion: 1.0.0\ntype: library\n"
	needy := charttest.ChartYAML + "dependencies:\n- {name: redis, version: 1.x.x, repository: https://charts.example.com}\n"
	fsys := charttest.Files(
		"library/Chart.yaml", library,
		"needy/Chart.yaml", needy,
		"empty/README.md", "no chart",
		"broken/Chart.yaml", "name: [",
		"values/Chart.yaml", charttest.ChartYAML, "values/values.yaml", "a: [",
		"large/Chart.yaml", charttest.ChartYAML, "large/big.bin", strings.Repeat("x", 5<<20+1),
		"text.tgz", "not an archive",
		"file.txt", "no chart",
		"lines/Chart.yaml", charttest.ChartYAML, "lines/a\nb", "",
	)
	for _, tt := range []struct{ name, path, want string }{
		{"what isn't there", "missing", "missing"},
		{"a library chart", "library", "library chart"},
		{"a dependency that isn't vendored", "needy", "redis: run `helm dependency build needy`"},
		{"a folder without a chart", "empty", "Chart.yaml file is missing"},
		{"a Chart.yaml that can't be parsed", "broken", "Chart.yaml"},
		{"values that can't be parsed", "values", "values.yaml"},
		{"a file beyond the bound", "large", `"large/big.bin" is larger than 5 MiB`},
		{"a package that isn't one", "text.tgz", "gzip"},
		{"another file", "file.txt", "want a folder or a .tgz"},
		{"a chart in a registry", "oci://registry.example.com/c@sha256:aa", "can't be read here: vendor it"},
		{"a line break in a name", "lines", "line break"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := chart.Load(t.Context(), fsys, tt.path)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// TestRenderEscapesNamesInSourceComments: what a file's name says would be applied, and
// no one would have checked it.
func TestRenderEscapesNamesInSourceComments(t *testing.T) {
	for name, lineBreak := range map[string]string{
		"a line feed": "\n", "a carriage return": "\r", "YAML 1.1's next line": "\u0085", "a line separator": "\u2028", "a paragraph separator": "\u2029",
	} {
		for place, inner := range map[string]string{"templates": charttest.PodYAML, "crds": "kind: CustomResourceDefinition\n"} {
			t.Run(name+" in "+place, func(t *testing.T) {
				file := place + "/a" + lineBreak + "kind: Job" + lineBreak + "#.yaml"
				fsys := charttest.Files("c/Chart.yaml", charttest.ChartYAML, "c/templates/pod.yaml", charttest.PodYAML, "c/"+file, inner)
				packed := pack(t, fsys, "c", "small")
				fsys["c.tgz"] = &fstest.MapFile{Data: packed}
				fsys["parent/Chart.yaml"] = &fstest.MapFile{Data: []byte(charttest.ChartYAML)}
				fsys["parent/charts/c.tgz"] = &fstest.MapFile{Data: packed}
				for _, path := range []string{"c", "c.tgz", "parent"} {
					if _, err := chart.Load(t.Context(), fsys, path); err == nil || !strings.Contains(err.Error(), strconv.Quote(file)) {
						t.Errorf("%s: error %v, want one that names the file", path, err)
					}
				}
			})
		}
	}
}

func TestLoadRejectsFIFO(t *testing.T) {
	for _, name := range []string{".helmignore", "values.yaml"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "c/Chart.yaml", charttest.ChartYAML)
			if err := syscall.Mkfifo(filepath.Join(dir, "c", name), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := chart.Load(t.Context(), os.DirFS(dir), "c"); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("error %v, want one that names the FIFO", err)
			}
		})
	}
}

func TestRenderRejects(t *testing.T) {
	schema := func(s string) []string { return []string{"c/values.schema.json", s} }
	for _, tt := range []struct {
		name    string
		files   []string
		release chart.Release
		want    string
	}{
		{"a rendering to nothing", []string{"c/templates/pod.yaml", "{{ if .Values.never }}kind: Pod{{ end }}"}, here, "renders to nothing"},
		{"a rendering to comments", []string{"c/templates/pod.yaml", "# kind: Pod"}, here, "renders to nothing"},
		{"a list of nothing", []string{"c/templates/pod.yaml", "kind: List\nitems: []"}, here, "renders to nothing"},
		{"tests alone, which no sync runs", []string{"c/templates/pod.yaml", "kind: Pod\nmetadata: {name: x, annotations: {helm.sh/hook: test}}"}, here, "renders to nothing"},
		{"UTF-16", []string{"c/templates/pod.yaml", "\xff\xfek\x00i\x00n\x00d\x00:\x00 \x00P\x00o\x00d\x00"}, here, `"small/templates/pod.yaml" renders to text that isn't UTF-8`},
		{"Latin-1 among CRDs", []string{"c/crds/x.yaml", "# caf\xe9\nkind: CustomResourceDefinition"}, here, `"small/crds/x.yaml" renders to text that isn't UTF-8`},
		{"notes alone", []string{"c/templates/NOTES.txt", "Thanks."}, here, "renders to nothing"},
		{"a template's error, with its place", []string{"c/templates/pod.yaml", "\n\n{{ fail \"no\" }}"}, here, "small/templates/pod.yaml:3"},
		{"what isn't YAML, with its template", []string{"c/templates/pod.yaml", "a: b: c"}, here, "small/templates/pod.yaml"},
		{"a release name that Helm refuses", []string{"c/templates/pod.yaml", charttest.PodYAML}, chart.Release{Name: "No"}, `release name "No": Helm allows lower-case letters`},
		{"another Kubernetes", []string{"c/Chart.yaml", charttest.ChartYAML + "kubeVersion: \">=1.30.0\"\n", "c/templates/pod.yaml", charttest.PodYAML}, chart.Release{Name: "x", KubeVersion: "1.29.0"}, "requires Kubernetes >=1.30.0"},
		{"no version", []string{"c/templates/pod.yaml", charttest.PodYAML}, chart.Release{Name: "x", KubeVersion: "new"}, `Kubernetes version "new"`},
		{"values that the schema refuses", append(schema(`{"required": ["must"]}`), "c/templates/pod.yaml", charttest.PodYAML), here, "must"},
		{"a schema that reads a file", append(schema(`{"$ref": "file:///etc/passwd"}`), "c/templates/pod.yaml", charttest.PodYAML), here, "reads no files and no network"},
		{"a schema that asks a server", append(schema(`{"$ref": "http://127.0.0.1:1/s.json"}`), "c/templates/pod.yaml", charttest.PodYAML), here, "reads no files and no network"},
		{"a dependency's schema", []string{
			"c/templates/pod.yaml", charttest.PodYAML,
			"c/charts/sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 1.0.0\n", "c/charts/sub/values.schema.json", `{"required": ["deep"]}`,
		}, here, "deep"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fsys := charttest.Files(append([]string{"c/Chart.yaml", charttest.ChartYAML}, tt.files...)...)
			c, err := chart.Load(t.Context(), fsys, "c")
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Render(chart.RenderOptions{Values: nil, Release: tt.release})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestSchemaErrorsOmitValues(t *testing.T) {
	c, err := chart.Load(t.Context(), charttest.Files(
		"c/Chart.yaml", charttest.ChartYAML, "c/templates/pod.yaml", charttest.PodYAML,
		"c/values.schema.json", `{"$defs": {"token": {"pattern": "^t-"}}, "properties": {
			"db": {"properties": {"password": {"pattern": "^[a-z]+$"}, "mode": {"enum": ["ro", "rw"]}, "host": {"const": "h"},
				"port": {"type": "integer"}, "mail": {"format": "email", "minLength": 99}, "token": {"$ref": "#/$defs/token"}},
				"required": ["name"], "additionalProperties": false},
			"a/b": {"anyOf": [{"maxLength": 1}, {"type": "null"}]}, "size": {"maximum": 3}, "list": {"uniqueItems": true}}}`,
	), "c")
	if err != nil {
		t.Fatal(err)
	}
	const secret = "HUNTER2secret"
	_, err = c.Render(chart.RenderOptions{Release: here, Values: map[string]any{
		"db":  map[string]any{"password": secret, "mode": secret, "host": secret, "port": secret, "mail": secret, "token": secret, "extra": secret},
		"a/b": secret, "size": 424242.0, "list": []any{secret, secret},
	}})
	if err == nil {
		t.Fatal("no error")
	}
	if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "424242") {
		t.Errorf("the error has a value in it:\n%v", err)
	}
	for _, want := range []string{
		`- at "/db/password": doesn't match (the schema's /properties/db/properties/password/pattern)`,
		`- at "/db/mode": doesn't match (the schema's /properties/db/properties/mode/enum)`,
		`- at "/db/port": is of type string, want integer (the schema's /properties/db/properties/port/type)`,
		`- at "/db/token": doesn't match (the schema's /$defs/token/pattern)`,
		`- at "/db": lacks name (the schema's /properties/db/required)`,
		`- at "/db": has a property that isn't allowed: extra (`,
		`- at "/a~1b": doesn't match (the schema's /properties/a~1b/anyOf/0/maxLength)`,
		`- at "/size": doesn't match`, `- at "/list": doesn't match`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}

// What the network and a cluster would answer stays empty.
func TestTemplatesHaveNoNetworkOrCluster(t *testing.T) {
	c, err := chart.Load(t.Context(), charttest.Files("c/Chart.yaml", charttest.ChartYAML, "c/templates/x.yaml",
		"kind: Secret\nhost: [{{ getHostByName \"localhost\" }}]\nfound: {{ lookup \"v1\" \"Secret\" \"\" \"\" | toJson }}\n"), "c")
	if err != nil {
		t.Fatal(err)
	}
	want := "---\n# Source: small/templates/x.yaml\nkind: Secret\nhost: []\nfound: {}\n"
	if got := render(t, c, nil, here)[0].String(); got != want {
		t.Errorf("got %q", got)
	}
}

func TestValuesMatchTemplates(t *testing.T) {
	c := load(t, "testdata", "full")
	values := map[string]any{"labels": map[string]any{"b": nil}, "removed": nil}
	got, err := c.Values(values)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := got["removed"]; ok {
		t.Error("null didn't remove the chart's value")
	}
	if diff := cmp.Diff(map[string]any{"a": "one"}, got["labels"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"from": "cache"}, got["imported"]); diff != "" {
		t.Errorf("import-values: %s", diff)
	}
}

// inUse is what is on the heap, in bytes.
func inUse() int64 {
	runtime.GC()
	runtime.GC() // what a finalizer held
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return int64(memory.HeapAlloc)
}

// MemorySize must not be less than a chart takes, since caches of charts are bounded by it.
func TestMemorySizeCoversUsage(t *testing.T) {
	properties := make([]string, 10_000)
	for i := range properties {
		properties[i] = fmt.Sprintf(`"p%d":{"type":"string"}`, i)
	}
	repository := charttest.Files(
		"schema/Chart.yaml", charttest.ChartYAML, "schema/templates/pod.yaml", charttest.PodYAML,
		"schema/values.schema.json", `{"properties":{`+strings.Join(properties, ",")+`}}`,
		"text/Chart.yaml", charttest.ChartYAML, "text/templates/pod.yaml", charttest.PodYAML,
		"text/files/large.txt", strings.Repeat("text\n", 1_000_000),
	)
	repository["parent/Chart.yaml"] = &fstest.MapFile{Data: []byte(charttest.ChartYAML)}
	for _, name := range []string{"schema", "text"} {
		packed := &fstest.MapFile{Data: pack(t, repository, name, name)}
		repository[name+".tgz"], repository["parent/charts/"+name+".tgz"] = packed, packed
	}
	for _, name := range []string{"schema", "schema.tgz", "text.tgz", "parent"} {
		t.Run(name, func(t *testing.T) {
			before := inUse()
			loaded, err := chart.Load(t.Context(), repository, name)
			if err != nil {
				t.Fatal(err)
			}
			render(t, loaded, nil, here)
			takes := inUse() - before
			const rest = 64 << 10 // metadata, values, structs
			if takes < 1<<20 || loaded.MemorySize()+rest < takes {
				t.Errorf("it takes %d bytes, and says %d", takes, loaded.MemorySize())
			}
		})
	}
}
