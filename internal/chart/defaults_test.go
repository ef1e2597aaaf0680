package chart_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/chart"
)

func TestDefaultsAreBelowTheirNames(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "c/Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\ndependencies:\n- {name: redis, version: 1.0.0, alias: cache}\n- {name: redis, version: 1.0.0, alias: queue}\n")
	write(t, dir, "c/values.yaml", "a: 1\n")
	write(t, dir, "c/charts/redis/Chart.yaml", "apiVersion: v2\nname: redis\nversion: 1.0.0\n")
	write(t, dir, "c/charts/redis/values.yaml", "port: 1\n")
	write(t, dir, "c/charts/redis/charts/deep/Chart.yaml", "apiVersion: v2\nname: deep\nversion: 1.0.0\n")
	var got []string
	for _, d := range load(t, dir, "c").Defaults() {
		got = append(got, strings.Join(d.Prefix, ".")+" "+d.File+" "+strings.TrimSpace(string(d.Data)))
	}
	want := []string{
		" c/values.yaml a: 1",
		"cache c/charts/redis/values.yaml port: 1", "cache.deep c/charts/redis/charts/deep/values.yaml ",
		"queue c/charts/redis/values.yaml port: 1", "queue.deep c/charts/redis/charts/deep/values.yaml ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReads(t *testing.T) {
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
			dir := t.TempDir()
			write(t, dir, "c/Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n")
			write(t, dir, "c/templates/a.yaml", test.template)
			write(t, dir, "c/charts/sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 1.0.0\n")
			reads := load(t, dir, "c").Reads()
			if reads.Unknown != test.unknown {
				t.Fatalf("unknown: %v", reads.Unknown)
			}
			for path := range strings.FieldsSeq(test.read) {
				if !reads.Has(strings.Split(path, ".")) {
					t.Errorf("%s isn't read", path)
				}
			}
			for path := range strings.FieldsSeq(test.unread) {
				if reads.Has(strings.Split(path, ".")) {
					t.Errorf("%s is read", path)
				}
			}
		})
	}
}

// A subchart's files see its own values; what it defines sees those of the template that
// includes it.
func TestReadsOfSubcharts(t *testing.T) {
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
				"c/Chart.yaml", chartYAML,
				"c/charts/monitor/Chart.yaml", "apiVersion: v2\nname: monitor\nversion: 1.0.0\ntype: " + test.kind + "\n",
				"c/charts/monitor/templates/a.yaml", monitor,
			}
			if test.own != "" {
				tree = append(tree, "c/templates/a.yaml", test.own)
			}
			c, err := chart.Load(t.Context(), files(tree...), "c")
			if err != nil {
				t.Fatal(err)
			}
			read, exact := c.Reads().By(nil)
			if !exact {
				t.Error("not all reads can be seen")
			}
			for path := range strings.FieldsSeq(test.read) {
				if !read(strings.Split(path, ".")) {
					t.Errorf("%s isn't read", path)
				}
			}
			for path := range strings.FieldsSeq(test.unread) {
				if read(strings.Split(path, ".")) {
					t.Errorf("%s is read", path)
				}
			}
		})
	}
}

func TestReadsByNamesWhereNotAllCanBeSeen(t *testing.T) {
	c, err := chart.Load(t.Context(), files(
		"c/Chart.yaml", chartYAML, "c/note.txt", "{{ .Values.noted }}", "c/other.txt", "other",
		"c/templates/a.yaml", `kind: Pod {{ $v := .Values }}{{ $v.a.b }}{{ .Values.whole }}{{ index $v "x.y/z-w" }}{{ tpl (.Files.Get "note.txt") . }}`,
	), "c")
	if err != nil {
		t.Fatal(err)
	}
	read, exact := c.Reads().By(map[string]any{"text": []any{"{{ .Values.evaluated }}"}, "plain": "unnamed"})
	if exact {
		t.Error("it is exact")
	}
	for path, want := range map[string]bool{
		"a.b": true, "a.c": false, "b": true, "whole.c": true, "x.y/z-w": true, "noted": true, "evaluated": true,
		"other": false, "unnamed": false, "z.unnamed": false,
	} {
		if got := read(strings.Split(path, ".")); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}
