package chartlint_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/chartlint"
	"github.com/envladder/envladder/internal/chart/charttest"
)

func TestFindNondeterminism(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files []string
		want  []chartlint.Nondeterminism
	}{
		{"a chart without any", []string{"c/templates/pod.yaml", charttest.PodYAML}, nil},
		{
			"a random password",
			[]string{"c/templates/pod.yaml", charttest.PodYAML + "\npassword: {{ 1 | add 1 | int | randAlphaNum }}"},
			[]chartlint.Nondeterminism{{Template: "small/templates/pod.yaml", File: "templates/pod.yaml", Line: 5, Column: 32, Function: "randAlphaNum"}},
		},
		{
			"one whose condition doesn't hold",
			[]string{"c/templates/pod.yaml", charttest.PodYAML + "{{ if .Values.tls }}ca: {{ (genCA \"x\" 1).Cert | quote }}{{ end }}"},
			nil,
		},
		{
			"the clock",
			[]string{"c/templates/pod.yaml", charttest.PodYAML + "at: {{ now | unixEpoch }}"},
			[]chartlint.Nondeterminism{{Template: "small/templates/pod.yaml", File: "templates/pod.yaml", Line: 4, Column: 8, Function: "now"}},
		},
		{"a map's order that is sorted", []string{"c/templates/pod.yaml", charttest.PodYAML + "all: {{ dict `a` 1 `b` 2 | keys | sortAlpha | toJson }}"}, nil},
		{
			"what a helper does, by way of another",
			[]string{
				"c/templates/pod.yaml", charttest.PodYAML + "{{ include \"one\" . }}",
				"c/templates/other.yaml", "kind: Secret",
				"c/templates/_helpers.tpl", "{{ define \"one\" }}{{ template \"two\" . }}{{ end }}\n{{ define \"two\" }}id: {{ uuidv4 }}{{ end }}\n{{ define \"never\" }}{{ uuidv4 }}{{ end }}",
			},
			[]chartlint.Nondeterminism{{Template: "small/templates/_helpers.tpl", File: "templates/_helpers.tpl", Line: 2, Column: 26, Function: "uuidv4"}},
		},
		{
			"a value that is evaluated",
			[]string{"c/templates/pod.yaml", charttest.PodYAML + "id: {{ tpl .Values.id . }}", "c/values.yaml", "id: '{{ randAlphaNum 8 }}'\n"},
			[]chartlint.Nondeterminism{{Template: "small/templates/pod.yaml"}},
		},
		{
			"a file that is evaluated",
			[]string{"c/templates/pod.yaml", charttest.PodYAML + "id: {{ tpl (.Files.Get `id`) . }}", "c/id", "{{ uuidv4 }}"},
			[]chartlint.Nondeterminism{{Template: "small/templates/pod.yaml"}},
		},
		{"what is evaluated and has nothing to do", []string{"c/templates/pod.yaml", charttest.PodYAML + "id: {{ tpl .Values.name . }}"}, nil},
		{
			"a dependency's",
			[]string{
				"c/charts/sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
				"c/charts/sub/templates/x.yaml", "kind: Secret\n{{ with 8 }}\npassword: {{ randAlpha . }}{{ end }}",
			},
			[]chartlint.Nondeterminism{{Template: "small/charts/sub/templates/x.yaml", Line: 3, Column: 14, Function: "randAlpha"}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := charttest.Load(t, append([]string{"c/Chart.yaml", charttest.ChartYAML}, tt.files...)...)
			options := chart.RenderOptions{Values: map[string]any{"name": "x"}, Release: chart.Release{Name: "here"}}
			got, err := chartlint.FindNondeterminism(t.Context(), c, options)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
