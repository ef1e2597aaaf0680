package chart_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/charttest"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/layers"
	"github.com/envladder/envladder/internal/valuepath"
)

// valuesText draws values whose numbers are each of their own, one a line: keys of scalars
// and of mappings are told apart, so that nothing changes its kind.
type valuesText struct {
	t       *rapid.T
	numbers *int
	nulls   bool
	b       strings.Builder
}

func (v *valuesText) draw(mappings ...string) string {
	anchored := rapid.Bool().Draw(v.t, "an anchor")
	if anchored {
		v.b.WriteString("shared: &shared\n")
		v.mapping("  ", 1, nil)
	}
	v.fields("", 2, mappings, anchored)
	return v.b.String()
}

func (v *valuesText) mapping(indent string, depth int, mappings []string) {
	fmt.Fprintf(&v.b, "%skept: %d\n", indent, v.next()) // never an empty mapping
	v.fields(indent, depth, mappings, false)
}

func (v *valuesText) fields(indent string, depth int, mappings []string, anchored bool) {
	if anchored && rapid.Bool().Draw(v.t, "a merge key") {
		v.b.WriteString(indent + "<<: *shared\n")
	}
	for _, key := range []string{"a", "b", "x.y/z"} {
		switch rapid.IntRange(0, 3).Draw(v.t, key) {
		case 0:
			fmt.Fprintf(&v.b, "%s%s: %d\n", indent, key, v.next())
		case 1:
			if v.nulls {
				fmt.Fprintf(&v.b, "%s%s: null\n", indent, key)
			}
		}
	}
	if rapid.Bool().Draw(v.t, "enabled is there") {
		fmt.Fprintf(&v.b, "%senabled: %v\n", indent, rapid.Bool().Draw(v.t, "enabled"))
	}
	if rapid.Bool().Draw(v.t, "a list") {
		fmt.Fprintf(&v.b, "%slist:\n%s- %d\n%s- deep: %d\n", indent, indent, v.next(), indent, v.next())
	}
	for _, key := range append([]string{"global", "m", "o"}, mappings...) {
		if depth > 0 && rapid.Bool().Draw(v.t, key) {
			v.b.WriteString(indent + key + ":\n")
			v.mapping(indent+"  ", depth-1, mappings)
		}
	}
}

func (v *valuesText) next() int {
	*v.numbers++
	return *v.numbers + 100_000
}

// drawService draws a chart with subcharts by name, by alias and in folders of other names,
// and layers for it.
func drawService(t *rapid.T) (fstest.MapFS, ladder.Resolved) {
	numbers := 0
	values := func(nulls bool, mappings ...string) string {
		v := valuesText{t: t, numbers: &numbers, nulls: nulls}
		return v.draw(mappings...)
	}
	imports := rapid.SampledFrom([]string{"", ", import-values: [{child: m, parent: o}]", ", import-values: [{child: m.o, parent: .}]"}).Draw(t, "imports")
	repository := charttest.Files(
		"c/Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\ndependencies:\n- {name: cache, version: '*', condition: cache.enabled}\n- {name: cache, version: '*', alias: queue"+imports+"}\n",
		"c/values.yaml", values(true, "cache", "queue", "deep", "plain"),
		"c/charts/vendored-cache/Chart.yaml", "apiVersion: v2\nname: cache\nversion: 1.0.0\n",
		"c/charts/vendored-cache/values.yaml", values(true, "deep"),
		"c/charts/vendored-cache/charts/other/Chart.yaml", "apiVersion: v2\nname: deep\nversion: 1.0.0\n",
		"c/charts/vendored-cache/charts/other/values.yaml", values(true),
		"c/charts/plain/Chart.yaml", "apiVersion: v2\nname: plain\nversion: 1.0.0\n",
		"c/charts/plain/values.yaml", values(true),
	)
	resolved := ladder.Resolved{}
	for i := range rapid.IntRange(0, 3).Draw(t, "layers") {
		name := fmt.Sprintf("layer%d.yaml", i)
		repository[name] = &fstest.MapFile{Data: []byte(values(true, "cache", "queue", "deep", "plain"))}
		resolved.Layers = append(resolved.Layers, ladder.Layer{Path: name, Origin: "layers"})
	}
	return repository, resolved
}

// The value at a value's origin is what templates see, in the file and line that are
// named, whatever Helm does with globals, aliases, imported values, nulls and merge keys.
func TestOriginMatchesMergedValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		repository, resolved := drawService(t)
		merged, err := layers.Merge(t.Context(), repository, resolved)
		if err != nil {
			t.Fatal(err)
		}
		c, err := chart.Load(t.Context(), repository, "c")
		if err != nil {
			t.Fatal(err)
		}
		values, err := c.Values(merged.Values)
		if err != nil {
			t.Fatal(err)
		}
		below := c.WithDefaults(merged)
		layers.Leaves(values, func(path []string, value any) {
			if m, isMap := value.(map[string]any); isMap && len(m) == 0 || value == nil {
				return
			}
			s, ok := below.Setting(path)
			if !ok || !cmp.Equal(s.Value, value) {
				t.Fatalf("%s is %v, and its origin %+v", valuepath.Format(path), value, s)
			}
			if number, ok := value.(float64); ok && !strings.Contains(lineOf(t, repository, s), fmt.Sprintf(": %.0f", number)) {
				t.Fatalf("%s is %v, which isn't in line %d of %s", valuepath.Format(path), value, s.Line, s.File)
			}
			winners := 0
			for _, stated := range below.Chain(path) {
				if stated.Effect == layers.Wins {
					winners++
					if stated.File != s.File || stated.Line != s.Line {
						t.Fatalf("%s comes from %+v, and %+v wins", valuepath.Format(path), s, stated)
					}
				}
			}
			if winners != 1 {
				t.Fatalf("%s has %d winners: %+v", valuepath.Format(path), winners, below.Chain(path))
			}
		})
	})
}

func lineOf(t *rapid.T, repository fs.FS, s layers.Setting) string {
	data, err := fs.ReadFile(repository, s.File)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	if s.Line < 1 || s.Line > len(lines) {
		t.Fatalf("%s has no line %d", s.File, s.Line)
	}
	return lines[s.Line-1]
}
