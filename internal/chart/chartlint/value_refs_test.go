package chartlint_test

import (
	"strings"
	"testing"

	"github.com/envladder/envladder/internal/chart/chartlint"
	"github.com/envladder/envladder/internal/chart/charttest"
)

func TestFindValueRefs(t *testing.T) {
	for name, test := range map[string]struct {
		template, read, unread string
		unknown                bool
	}{
		"fields":                     {`{{ .Values.a.b }}{{ $.Values.c | quote }}`, "a.b a.b.x a c.d global.x tags sub.x", "a.c b", false},
		"what carries the root":      {`{{ $r := . }}{{ $r.Values.a }}{{ (index (list .) 0).Values.b }}{{ .root.Values.c }}`, "a b c", "d", false},
		"conditions, loops, with":    {`{{ if .Values.a }}{{ with .Values.b }}{{ .x }}{{ else }}{{ .Values.c }}{{ end }}{{ range $i, $v := .Values.d }}{{ end }}{{ end }}`, "a b.x c d", "x", false},
		"inside of a call":           {`{{ toYaml (default (dict) .Values.a) | nindent 2 }}{{ define "x" }}{{ template "y" .Values.b }}{{ end }}{{ include "x" . }}`, "a.x b.x", "c", false},
		"what nothing includes":      {`{{ define "x" }}{{ .Values.b }}{{ end }}`, "", "b", false},
		"a computed name":            {`{{ define "x" }}{{ .Values.b }}{{ end }}{{ include (print "x") . }}`, "b", "c", false},
		"all of them":                {`{{ toYaml .Values }}`, "a", "", true},
		"all of them, by a variable": {`{{ $v := $.Values }}{{ $v.a }}`, "b", "", true},
		"by a name":                  {`{{ get . "Values" }}`, "b", "", true},
		"a template that is none":    {`{{ if }}`, "b", "", true},
		"evaluated values":           {`{{ tpl .Values.a . }}{{ tpl (default "x" $.Values.b | toYaml) $ }}`, "a b", "c", false},
		"an evaluated file":          {`{{ tpl (.Files.Get "f") . }}`, "b", "", true},
		"an evaluated template":      {`{{ tpl (include "f" .) . }}`, "b", "", true},
		"an evaluated string":        {`{{ tpl "{{ .Values.b }}" . }}`, "b", "", true},
		"an evaluated variable":      {`{{ $f := .Files.Get "f" }}{{ tpl $f . }}`, "b", "", true},
		"evaluated by a pipe":        {`{{ . | tpl (b64dec .Values.a) }}`, "b", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			refs := chartlint.FindValueRefs(charttest.Load(t,
				"c/Chart.yaml", charttest.ChartYAML,
				"c/templates/a.yaml", test.template,
				"c/charts/sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
			))
			if refs.Unknown != test.unknown {
				t.Fatalf("unknown: %v", refs.Unknown)
			}
			for path := range strings.FieldsSeq(test.read) {
				if !refs.Includes(strings.Split(path, ".")) {
					t.Errorf("%s isn't referenced", path)
				}
			}
			for path := range strings.FieldsSeq(test.unread) {
				if refs.Includes(strings.Split(path, ".")) {
					t.Errorf("%s is referenced", path)
				}
			}
		})
	}
}

// A subchart's files see its own values; what it defines sees those of the template that
// includes it.
func TestValueRefsInSubcharts(t *testing.T) {
	const monitor = `{{ define "monitor.name" }}{{ .Values.nameOverride }}{{ end }}{{ .Values.retention }}{{ toYaml .Values }}`
	for name, test := range map[string]struct {
		own, kind    string
		read, unread string
	}{
		"an umbrella without templates": {"", "application", "monitor.retention global.x", "retention nameOverride"},
		"an application":                {"{{ .Values.a }}", "application", "a monitor.retention", "retention nameOverride"},
		"what is included of one":       {`{{ include "monitor.name" . }}`, "application", "nameOverride", "retention"},
		"what is included by template":  {`{{ template "monitor.name" . }}`, "application", "nameOverride", "retention"},
		"a library":                     {`{{ include "monitor.name" . }}`, "library", "nameOverride", "retention"},
	} {
		t.Run(name, func(t *testing.T) {
			tree := []string{
				"c/Chart.yaml", charttest.ChartYAML,
				"c/charts/monitor/Chart.yaml", "apiVersion: v2\nname: monitor\nversion: 1.0.0\ntype: " + test.kind + "\n",
				"c/charts/monitor/templates/a.yaml", monitor,
			}
			if test.own != "" {
				tree = append(tree, "c/templates/a.yaml", test.own)
			}
			referenced, exact := chartlint.FindValueRefs(charttest.Load(t, tree...)).Matcher(nil)
			if !exact {
				t.Error("not all references are known")
			}
			for path := range strings.FieldsSeq(test.read) {
				if !referenced(strings.Split(path, ".")) {
					t.Errorf("%s isn't referenced", path)
				}
			}
			for path := range strings.FieldsSeq(test.unread) {
				if referenced(strings.Split(path, ".")) {
					t.Errorf("%s is referenced", path)
				}
			}
		})
	}
}

func TestValueRefsMatchWordsIfSomeAreUnknown(t *testing.T) {
	c := charttest.Load(t,
		"c/Chart.yaml", charttest.ChartYAML, "c/note.txt", "{{ .Values.noted }}", "c/other.txt", "other",
		"c/templates/a.yaml", `kind: Pod {{ $v := .Values }}{{ $v.a.b }}{{ .Values.whole }}{{ index $v "x.y/z-w" }}{{ tpl (.Files.Get "note.txt") . }}`,
	)
	referenced, exact := chartlint.FindValueRefs(c).Matcher(map[string]any{"text": []any{"{{ .Values.evaluated }}"}, "plain": "unnamed"})
	if exact {
		t.Error("it is exact")
	}
	for path, want := range map[string]bool{
		"a.b": true, "a.c": false, "b": true, "whole.c": true, "x.y/z-w": true, "noted": true, "evaluated": true,
		"other": false, "unnamed": false, "z.unnamed": false,
	} {
		if got := referenced(strings.Split(path, ".")); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}
