package chart_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/charttest"
)

// umbrella returns a repository whose chart shop depends on the charts common and, by two
// aliases, queue, which are next to it; queue depends on common.
func umbrella(change ...string) fstest.MapFS {
	pairs := []string{
		"svc/shop/Chart.yaml", `apiVersion: v2
name: shop
version: 1.0.0
dependencies:
- {name: common, version: ^1.0.0, repository: "file://../../lib/common"}
- {name: queue, version: 2.x.x, repository: "file://../queue", alias: orders, condition: orders.enabled}
- {name: queue, version: 2.x.x, repository: "file://../queue", alias: mails, condition: mails.enabled}
`,
		"svc/shop/values.yaml", "orders: {size: 3}\nmails: {enabled: false}\n",
		"svc/shop/templates/a.yaml", "kind: ConfigMap\nmetadata: {name: {{ include \"common.name\" . }}}\n",
		"svc/queue/Chart.yaml", `apiVersion: v2
name: queue
version: 2.1.0
dependencies: [{name: common, version: 1.2.3, repository: "file://../../lib/common/"}]
`,
		"svc/queue/values.yaml", "size: 1\nenabled: true\n",
		"svc/queue/templates/q.yaml", "kind: ConfigMap\nmetadata: {name: {{ .Chart.Name }}-{{ .Values.size }}}\n",
		"svc/queue/.helmignore", "*.md\n",
		"svc/queue/README.md", "ignored",
		"lib/common/Chart.yaml", "apiVersion: v2\nname: common\nversion: 1.2.3\ntype: library\n",
		"lib/common/templates/_h.tpl", "{{- define \"common.name\" }}{{ .Release.Name }}-common{{ end }}",
	}
	fsys := charttest.Files(pairs...)
	for i := 0; i < len(change); i += 2 {
		if change[i+1] == "" {
			delete(fsys, change[i])
			continue
		}
		fsys[change[i]] = &fstest.MapFile{Data: []byte(change[i+1])}
	}
	return fsys
}

func TestLocalDependencies(t *testing.T) {
	source, err := chart.Read(t.Context(), umbrella(), "svc/shop", nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range source.Files {
		names = append(names, f.Name)
	}
	want := []string{
		"Chart.yaml", "charts/common/Chart.yaml", "charts/common/templates/_h.tpl",
		"charts/queue/.helmignore", "charts/queue/Chart.yaml", "charts/queue/charts/common/Chart.yaml",
		"charts/queue/charts/common/templates/_h.tpl", "charts/queue/templates/q.yaml", "charts/queue/values.yaml",
		"templates/a.yaml", "values.yaml",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	loaded, err := source.Load()
	if err != nil {
		t.Fatal(err)
	}
	text := printed(t, render(t, loaded, map[string]any{}, chart.Release{Name: "r"}))
	if !strings.Contains(text, "name: r-common}") || !strings.Contains(text, "orders-3") || strings.Contains(text, "mails") {
		t.Errorf("got\n%s", text)
	}

	t.Run("have their values where they are", func(t *testing.T) {
		var files []string
		for _, d := range loaded.Defaults() {
			files = append(files, d.File)
		}
		if !slices.Contains(files, "svc/queue/values.yaml") || !slices.Contains(files, "svc/shop/values.yaml") {
			t.Errorf("files %v", files)
		}
		if got := loaded.Locate("charts/queue/charts/common/templates/_h.tpl"); got != "lib/common/templates/_h.tpl" {
			t.Errorf("a file of the inner dependency is at %q", got)
		}
	})
	t.Run("count for the chart's digest", func(t *testing.T) {
		changed, err := chart.Read(t.Context(), umbrella("lib/common/templates/_h.tpl", "{{- define \"common.name\" }}x{{ end }}"), "svc/shop", nil)
		if err != nil {
			t.Fatal(err)
		}
		if changed.Digest == source.Digest {
			t.Error("the digest is the same with another library")
		}
	})
	t.Run("are as if they were vendored", func(t *testing.T) {
		vendored := fstest.MapFS{}
		for _, f := range source.Files {
			vendored["svc/shop/"+f.Name] = &fstest.MapFile{Data: f.Data}
		}
		again, err := chart.Read(t.Context(), vendored, "svc/shop", nil)
		if err != nil {
			t.Fatal(err)
		}
		if again.Digest != source.Digest {
			t.Error("another digest when the same files are in charts/")
		}
	})
	t.Run("are replaced by what is in charts/", func(t *testing.T) {
		for name, change := range map[string][]string{
			"a folder of another name": {"svc/shop/charts/lib/Chart.yaml", "apiVersion: v2\nname: common\nversion: 1.0.0\n"},
			"a package":                {"svc/shop/charts/common-1.0.0.tgz", "x"},
		} {
			source, err := chart.Read(t.Context(), umbrella(change...), "svc/shop", nil)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, f := range source.Files {
				if strings.HasPrefix(f.Name, "charts/common/") {
					t.Errorf("%s: %s is there too", name, f.Name)
				}
			}
		}
	})
	t.Run("take a folder that is free", func(t *testing.T) {
		source, err := chart.Read(t.Context(), umbrella("svc/shop/charts/common/Chart.yaml", "apiVersion: v2\nname: other\nversion: 1.0.0\n"), "svc/shop", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := source.Load(); err != nil {
			t.Error(err)
		}
	})
}

func TestLocalDependenciesRejects(t *testing.T) {
	shop := func(dependency string) []string {
		return []string{"svc/shop/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\ndependencies: [" + dependency + "]\n"}
	}
	for name, test := range map[string]struct {
		change []string
		want   string
	}{
		"a version that the constraint excludes": {
			shop(`{name: common, version: ^2, repository: "file://../../lib/common"}`),
			`its dependency "common" (file://../../lib/common): "lib/common" has version 1.2.3, and "^2" is required`,
		},
		"a version that isn't the locked one": {
			[]string{"svc/shop/Chart.lock", "dependencies: [{name: common, version: 1.2.0, repository: 'file://../../lib/common'}]\n"},
			"and the chart's lock has 1.2.0: run `helm dependency update`",
		},
		"another chart": {
			shop(`{name: commons, version: "*", repository: "file://../../lib/common"}`),
			`"lib/common" has the chart "common"`,
		},
		"no chart": {
			shop(`{name: common, version: "*", repository: "file://../../lib"}`),
			`"lib" has no Chart.yaml`,
		},
		"outside the repository": {
			shop(`{name: common, version: "*", repository: "file://../../../common"}`),
			"its path leads outside the repository",
		},
		"an absolute path": {
			shop(`{name: common, version: "*", repository: "file:///lib/common"}`),
			"its path is absolute",
		},
		"a name that leads out of charts/": {
			shop(`{name: ../x, version: "*", repository: "file://../../lib/common"}`),
			"its name must be that of a chart",
		},
		"a chart that depends on itself": {
			shop(`{name: shop, version: "*", repository: "file://."}`),
			"it depends on itself",
		},
		"a circle": {
			[]string{"lib/common/Chart.yaml", "apiVersion: v2\nname: common\nversion: 1.2.3\ndependencies: [{name: queue, version: '*', repository: 'file://../../svc/queue'}]\n"},
			"it depends on itself",
		},
		"one that isn't local": {
			shop(`{name: redis, version: 1.0.0, repository: "oci://registry.example.com/charts"}`),
			"its folder charts/ lacks dependencies that its Chart.yaml names: redis: run `helm dependency build svc/shop` and commit the files",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := chart.Load(t.Context(), umbrella(test.change...), "svc/shop")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// Each chart has twice the next: the same few files many times.
func TestLocalDependenciesAreBounded(t *testing.T) {
	fsys := fstest.MapFS{}
	for i := range 9 {
		name := fmt.Sprintf("c%d", i)
		next := fmt.Sprintf("c%d", i+1)
		fsys[name+"/Chart.yaml"] = &fstest.MapFile{Data: fmt.Appendf(nil,
			"apiVersion: v2\nname: %s\nversion: 1.0.0\ndependencies:\n- {name: %s, version: '*', repository: 'file://../%s'}\n- {name: %s, version: '*', repository: 'file://../x/../%s'}\n", name, next, next, next, next)}
	}
	fsys["c9/Chart.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: v2\nname: c9\nversion: 1.0.0\n")}
	_, err := chart.Read(t.Context(), fsys, "c0", nil)
	if err == nil || !strings.Contains(err.Error(), "nested deeper than 8") {
		t.Errorf("got %v, want an error about how deep they are", err)
	}
}

func TestLegacyRequirements(t *testing.T) {
	fsys := umbrella("svc/shop/Chart.yaml", "apiVersion: v1\nname: shop\nversion: 1.0.0\n",
		"svc/shop/requirements.yaml", `dependencies: [{name: common, version: 1.x.x, repository: "file://../../lib/common"}]`)
	loaded, err := chart.Load(t.Context(), fsys, "svc/shop")
	if err != nil {
		t.Fatal(err)
	}
	if text := printed(t, render(t, loaded, map[string]any{}, chart.Release{Name: "r"})); !strings.Contains(text, "r-common") {
		t.Errorf("got\n%s", text)
	}
}
