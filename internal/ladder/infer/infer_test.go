package infer_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/ladder/infer"
)

const chartYAML = "apiVersion: v2\nname: shop\nversion: 1.0.0\n"

// files returns a repository with empty values files and the chart in folder chart.
func files(names ...string) fstest.MapFS {
	fsys := fstest.MapFS{"chart/Chart.yaml": {Data: []byte(chartYAML)}}
	for _, name := range names {
		fsys[name] = &fstest.MapFile{Data: []byte("a: 1\n")}
	}
	return fsys
}

func TestFromFiles(t *testing.T) {
	for name, test := range map[string]struct {
		files   []string
		options infer.Options
		want    infer.Ladder
	}{
		"files are ordered by promotion": {
			[]string{"values/prod.yaml", "values/values-dev.yaml", "values/staging.yaml", "values/common.yaml"},
			infer.Options{},
			infer.Ladder{Name: "shop", Chart: "chart", Values: "values", Common: []string{"values/common.yaml"}, Environments: []infer.Environment{
				{Name: "dev", Layers: []string{"values/values-dev.yaml"}},
				{Name: "staging", Layers: []string{"values/staging.yaml"}},
				{Name: "prod", Layers: []string{"values/prod.yaml"}},
			}},
		},
		"folder in an environment's folder is a target": {
			[]string{"env/prod/values.yaml", "env/prod/eu/values.yaml"},
			infer.Options{},
			infer.Ladder{Name: "shop", Chart: "chart", Values: "env", Environments: []infer.Environment{{
				Name: "prod", Layers: []string{"env/prod/values.yaml"},
				Targets: []infer.Target{{Name: "eu", Layers: []string{"env/prod/eu/values.yaml"}}},
			}}},
		},
		"unknown name precedes prod": {
			[]string{"values/prod.yaml", "values/load.yaml", "values/dev.yaml"},
			infer.Options{},
			infer.Ladder{Name: "shop", Chart: "chart", Values: "values", Environments: []infer.Environment{
				{Name: "dev", Layers: []string{"values/dev.yaml"}},
				{Name: "load", Layers: []string{"values/load.yaml"}, Unknown: true},
				{Name: "prod", Layers: []string{"values/prod.yaml"}},
			}},
		},
		"service selects its files": {
			[]string{"values/dev/api.yaml", "values/dev/web.yaml"},
			infer.Options{Service: "web"},
			infer.Ladder{Name: "web", Chart: "chart", Values: "values", Environments: []infer.Environment{
				{Name: "dev", Layers: []string{"values/dev/web.yaml"}},
			}, LeftOut: []infer.LeftOut{{File: "values/dev/api.yaml", Reason: "may be of another service: add it to the layers that need it"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := infer.FromFiles(files(test.files...), ".", test.options)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if _, err := ladder.Parse("ladder.yaml", []byte(got.YAML())); err != nil {
				t.Errorf("the inferred ladder is invalid: %v\n%s", err, got.YAML())
			}
		})
	}
}

func TestFromFilesRejects(t *testing.T) {
	for name, test := range map[string]struct {
		fsys fstest.MapFS
		want string
	}{
		"folder without a chart":      {fstest.MapFS{"values/dev.yaml": {}}, "no folder here has a Chart.yaml"},
		"values without environments": {files("values/common.yaml"), "no file is named after an environment"},
		"files of several services":   {files("values/dev/api.yaml", "values/dev/web.yaml"), "choose one (--service api)"},
		"several charts":              {fstest.MapFS{"a/Chart.yaml": {}, "b/Chart.yaml": {}}, "there are several (a, b)"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := infer.FromFiles(test.fsys, ".", infer.Options{}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}
