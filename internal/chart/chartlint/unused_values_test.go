package chartlint_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/chartlint"
	"github.com/envladder/envladder/internal/chart/charttest"
)

func paths(texts string) [][]string {
	var all [][]string
	for text := range strings.FieldsSeq(texts) {
		all = append(all, strings.Split(text, "."))
	}
	return all
}

func TestUnusedValues(t *testing.T) {
	many := map[string]any{}
	var all, unused []string
	for i := range 100 {
		key := fmt.Sprintf("v%d", i)
		many[key] = "x"
		all = append(all, key)
		if i != 60 {
			unused = append(unused, key)
		}
	}
	for _, tt := range []struct {
		name, template string
		values         map[string]any
		paths, want    string
	}{
		{"none is read", "a: 1", map[string]any{"a": "x", "b": map[string]any{"c": true, "d": 1.0, "e": []any{}}}, "a b.c b.d b.e", "a b.c b.d b.e"},
		{
			"one of each kind shows, but for what is turned off", "l: {{ toJson .Values.l }}\ns: {{ .Values.s }}\n{{ if .Values.b }}n: {{ .Values.n }}{{ end }}",
			map[string]any{"b": false, "n": 1.0, "l": []any{1.0}, "s": "s", "x": "x"},
			"b l s x n", "x n",
		},
		{"in what is handed on as a whole", `{{ range $k, $v := .Values.m }}{{ $k }}: {{ toJson $v }}{{ end }}`, map[string]any{"m": map[string]any{"a": 1.0}, "n": map[string]any{"a": 1.0}}, "m.a n.a", "n.a"},
		{"it must have what it had", `x: {{ if ne .Values.a "x" }}{{ fail "no" }}{{ end }}`, map[string]any{"a": "x"}, "a", ""},
		{"a chart that is another each time", `x: {{ uuidv4 }}`, map[string]any{"a": "x"}, "a", ""},
		{"what isn't there, and a mapping", "a: 1", map[string]any{"a": nil, "b": map[string]any{}, "c": "x"}, "a b c.d z", ""},
		{"one of a hundred", "x: {{ .Values.v60 }}", many, strings.Join(all, " "), strings.Join(unused, " ")},
		{"more than are tried", "x: {{ toJson .Values }}", many, strings.Join(all, " "), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := charttest.Load(t, "c/Chart.yaml", charttest.ChartYAML, "c/templates/x.yaml", "kind: Pod\n"+tt.template)
			options := chart.RenderOptions{Values: tt.values, Release: chart.Release{Name: "here"}}
			rendered, err := c.Render(options)
			if err != nil {
				t.Fatal(err)
			}
			got, err := chartlint.UnusedValues(t.Context(), c, options, rendered, paths(tt.paths))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(fmt.Sprint(paths(tt.want)), fmt.Sprint(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUnusedValuesStopsWithContext(t *testing.T) {
	c := charttest.Load(t, "c/Chart.yaml", charttest.ChartYAML, "c/templates/x.yaml", "kind: Pod\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	options := chart.RenderOptions{Values: map[string]any{"a": "x"}, Release: chart.Release{Name: "here"}}
	if got, err := chartlint.UnusedValues(ctx, c, options, nil, [][]string{{"a"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", got, err)
	}
}
