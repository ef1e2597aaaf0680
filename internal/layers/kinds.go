package layers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/strictyaml"
	"github.com/envladder/envladder/internal/valuepath"
)

// KindsError says where values are of another kind than a chart's own: a mapping in place
// of something else, or the other way round. It is plain data, so that it can cross to
// another process.
type KindsError struct {
	Changes []KindChange `json:"changes"`
}

// KindChange is one place.
type KindChange struct {
	Path []string `json:"path"`
	// Message says what is there, and what the chart has where.
	Message string `json:"message"`
}

// Error has a line for each place.
func (e *KindsError) Error() string {
	lines := make([]string, len(e.Changes))
	for i, change := range e.Changes {
		lines[i] = valuepath.Format(change.Path) + ": " + change.Message
	}
	return strings.Join(lines, "\n")
}

// CheckKinds finds values of another kind than the chart's own, which Helm only warns of.
// nulls are where a layer says that it is meant, as Merged.Nulls gives them. Empty
// strings, lists and mappings, and false, stand for anything. The error is a *KindsError.
func CheckKinds(values map[string]any, nulls [][]string, chart []Default) error {
	bare := &Merged{Values: values}
	for _, path := range nulls {
		bare.sources = append(bare.sources, source{values: nested(path, nil)})
	}
	bare.sources = append(bare.sources, source{values: values})
	if changes := bare.WithChart(chart).kindChanges(); len(changes) > 0 {
		return &KindsError{Changes: changes}
	}
	return nil
}

// Nulls are the paths that layers set to null, sorted, each once.
func (m *Merged) Nulls() [][]string {
	var nulls [][]string
	for _, s := range m.sources {
		if s.kind != KindChart {
			nulls = appendNulls(nulls, s.values, nil)
		}
	}
	slices.SortFunc(nulls, slices.Compare)
	return slices.CompactFunc(nulls, slices.Equal)
}

func appendNulls(nulls [][]string, values map[string]any, at []string) [][]string {
	for key, value := range values {
		path := append(slices.Clone(at), key)
		switch value := value.(type) {
		case nil:
			nulls = append(nulls, path)
		case map[string]any:
			nulls = appendNulls(nulls, value, path)
		}
	}
	return nulls
}

// CheckChart is CheckKinds for the chart that m has below it; the error is a
// strictyaml.Problems.
func (m *Merged) CheckChart() error {
	return m.Explain(&KindsError{Changes: m.kindChanges()})
}

// Explain makes problems of e, each at the layer that sets the value; nil where e has no
// places.
func (m *Merged) Explain(e *KindsError) error {
	var problems strictyaml.Problems
	for _, change := range e.Changes {
		f := strictyaml.Problem{Path: valuepath.Format(change.Path), Message: change.Message}
		if setter, ok := m.At(change.Path); ok {
			f.File, f.Line, f.Column = setter.File, setter.Line, setter.Column
		}
		problems = append(problems, f)
	}
	return problems.Err()
}

// maxChanges is one more than strictyaml.Problems reports.
const maxChanges = 101

// kindChanges compares the layers' values with what the chart has by itself: an outer
// chart's value is what counts of those that its subcharts have too.
func (m *Merged) kindChanges() []KindChange {
	defaults := map[string]any{}
	for _, s := range m.sources {
		if s.kind == KindChart {
			defaults = over(defaults, s.values)
		}
	}
	var changes []KindChange
	kindsDiffer(defaults, m.Values, nil, func(path []string, chart, value any) {
		i := m.lastDefault(path, chart)
		if len(changes) == maxChanges || i < 0 || m.wasNull(path, i) {
			return
		}
		changes = append(changes, KindChange{Path: path, Message: fmt.Sprintf("is %s, and %s has %s there: keep the kind, or let a layer before set it to null", kindName(value), m.sources[i].place(path), kindName(chart))})
	})
	slices.SortStableFunc(changes, func(a, b KindChange) int { return slices.Compare(a.Path, b.Path) })
	return changes
}

// lastDefault returns the index of the chart's source that decides the default at path,
// which is of value's kind.
func (m *Merged) lastDefault(path []string, value any) int {
	for i, s := range slices.Backward(m.sources) {
		if depth, v := s.walk(path); s.kind == KindChart && depth == len(path) && v != nil && isMap(v) == isMap(value) {
			return i
		}
	}
	return -1
}

func kindsDiffer(chart, values map[string]any, at []string, found func(path []string, chart, value any)) {
	for key, value := range values {
		before, ok := chart[key]
		beforeMap, wasMap := before.(map[string]any)
		valueMap, isMap := value.(map[string]any)
		path := append(slices.Clone(at), key)
		switch {
		case !ok || before == nil || value == nil:
		case wasMap && isMap:
			kindsDiffer(beforeMap, valueMap, path, found)
		case wasMap != isMap && !placeholder(before):
			found(path, before, value)
		}
	}
}

// placeholder reports whether a value stands for anything that a later layer gives: charts
// document fields as "a string or a mapping" and leave them empty.
func placeholder(v any) bool {
	switch v := v.(type) {
	case string:
		return v == ""
	case bool:
		return !v
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// wasNull says whether a source after the i-th sets the path, or what is above, to null.
func (m *Merged) wasNull(path []string, i int) bool {
	return slices.ContainsFunc(m.sources[i+1:], func(s source) bool {
		depth, value := s.walk(path)
		return depth > 0 && value == nil
	})
}
