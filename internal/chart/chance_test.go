package chart_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/chart"
)

func TestChances(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files []string
		want  []chart.Chance
	}{
		{"a chart without any", []string{"c/templates/pod.yaml", podYAML}, nil},
		{
			"a random password",
			[]string{"c/templates/pod.yaml", podYAML + "\npassword: {{ 1 | add 1 | int | randAlphaNum }}"},
			[]chart.Chance{{Template: "small/templates/pod.yaml", File: "templates/pod.yaml", Line: 5, Column: 32, Function: "randAlphaNum"}},
		},
		{
			"one whose condition doesn't hold",
			[]string{"c/templates/pod.yaml", podYAML + "{{ if .Values.tls }}ca: {{ (genCA \"x\" 1).Cert | quote }}{{ end }}"},
			nil,
		},
		{
			"the clock",
			[]string{"c/templates/pod.yaml", podYAML + "at: {{ now | unixEpoch }}"},
			[]chart.Chance{{Template: "small/templates/pod.yaml", File: "templates/pod.yaml", Line: 4, Column: 8, Function: "now"}},
		},
		{"a map's order that is sorted", []string{"c/templates/pod.yaml", podYAML + "all: {{ dict `a` 1 `b` 2 | keys | sortAlpha | toJson }}"}, nil},
		{
			"what a helper does, by way of another",
			[]string{
				"c/templates/pod.yaml", podYAML + "{{ include \"one\" . }}",
				"c/templates/other.yaml", "kind: Secret",
				"c/templates/_helpers.tpl", "{{ define \"one\" }}{{ template \"two\" . }}{{ end }}\n{{ define \"two\" }}id: {{ uuidv4 }}{{ end }}\n{{ define \"never\" }}{{ uuidv4 }}{{ end }}",
			},
			[]chart.Chance{{Template: "small/templates/_helpers.tpl", File: "templates/_helpers.tpl", Line: 2, Column: 26, Function: "uuidv4"}},
		},
		{
			"a value that is evaluated",
			[]string{"c/templates/pod.yaml", podYAML + "id: {{ tpl .Values.id . }}", "c/values.yaml", "id: '{{ randAlphaNum 8 }}'\n"},
			[]chart.Chance{{Template: "small/templates/pod.yaml"}},
		},
		{
			"a file that is evaluated",
			[]string{"c/templates/pod.yaml", podYAML + "id: {{ tpl (.Files.Get `id`) . }}", "c/id", "{{ uuidv4 }}"},
			[]chart.Chance{{Template: "small/templates/pod.yaml"}},
		},
		{"what is evaluated and has nothing to do", []string{"c/templates/pod.yaml", podYAML + "id: {{ tpl .Values.name . }}"}, nil},
		{
			"a dependency's",
			[]string{
				"c/charts/sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
				"c/charts/sub/templates/x.yaml", "kind: Secret\n{{ with 8 }}\npassword: {{ randAlpha . }}{{ end }}",
			},
			[]chart.Chance{{Template: "small/charts/sub/templates/x.yaml", Line: 3, Column: 14, Function: "randAlpha"}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := chart.Load(t.Context(), files(append([]string{"c/Chart.yaml", chartYAML}, tt.files...)...), "c")
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Chances(t.Context(), chart.Recipe{Values: map[string]any{"name": "x"}, Release: here})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What the network and a cluster would answer stays empty.
func TestTemplatesReachNothing(t *testing.T) {
	c, err := chart.Load(t.Context(), files("c/Chart.yaml", chartYAML, "c/templates/x.yaml",
		"kind: Secret\nhost: [{{ getHostByName \"localhost\" }}]\nfound: {{ lookup \"v1\" \"Secret\" \"\" \"\" | toJson }}\n"), "c")
	if err != nil {
		t.Fatal(err)
	}
	want := "---\n# Source: small/templates/x.yaml\nkind: Secret\nhost: []\nfound: {}\n"
	if got := render(t, c, nil, here)[0].String(); got != want {
		t.Errorf("got %q", got)
	}
}
