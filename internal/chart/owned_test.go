package chart_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/charttest"
)

func ownIn(names ...string) func(string) bool {
	return func(file string) bool { return slices.Contains(names, file) }
}

func TestLoadExcludesLadderFiles(t *testing.T) {
	own := ownIn("c/ladder.yaml", "c/pins/dev.yaml", "c/values-dev.yaml", "c/values.yaml", "c/templates/a.yaml")
	pairs := []string{
		"c/Chart.yaml", charttest.ChartYAML, "c/values.yaml", "a: 1\n",
		"c/templates/a.yaml", "kind: ConfigMap\nmetadata: {name: a}\ndata: {file: {{ .Files.Get \"conf/app.conf\" }}}\n",
		"c/conf/app.conf", "on",
	}
	plain, err := chart.Read(t.Context(), charttest.Files(pairs...), "c", nil)
	if err != nil {
		t.Fatal(err)
	}
	with := append(slices.Clone(pairs), "c/ladder.yaml", "kind: Ladder\n", "c/pins/dev.yaml", "images: {}\n", "c/values-dev.yaml", "a: 2\n")
	flat, err := chart.Read(t.Context(), charttest.Files(with...), "c", own)
	if err != nil {
		t.Fatal(err)
	}
	if flat.Digest != plain.Digest {
		t.Error("they change the chart's digest")
	}
	if _, err := flat.Load(); err != nil {
		t.Error(err)
	}
	for _, read := range []string{`.Files.Get "values-dev.yaml"`, `.Files.Lines "pins/dev.yaml"`, `(.Files.Glob "pins/*").AsConfig`} {
		t.Run("a template that has "+read+" is refused", func(t *testing.T) {
			source, err := chart.Read(t.Context(), charttest.Files(append(slices.Clone(with), "c/templates/b.yaml", "{{ "+read+" }}")...), "c", own)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := source.Load(); err == nil || !strings.Contains(err.Error(), "which belongs to the ladder") {
				t.Errorf("got %v", err)
			}
		})
	}
}
