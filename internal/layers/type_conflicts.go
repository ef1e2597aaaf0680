package layers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/strictyaml"
	"github.com/envladder/envladder/internal/valuepath"
)

// TypeConflictError reports values of another type than a chart's own: a mapping in place of
// something else, or the reverse. It is plain data, so that it can be sent to another
// process.
type TypeConflictError struct {
	Conflicts []TypeConflict `json:"conflicts"`
}

// TypeConflict is a value of another type than the chart's.
type TypeConflict struct {
	Path []string `json:"path"`
	// Message has both types, and the position of the chart's.
	Message string `json:"message"`
}

// Error returns a line for each conflict.
func (e *TypeConflictError) Error() string {
	lines := make([]string, len(e.Conflicts))
	for i, change := range e.Conflicts {
		lines[i] = valuepath.Format(change.Path) + ": " + change.Message
	}
	return strings.Join(lines, "\n")
}

// CheckTypes rejects values of another type than the chart's own, which Helm only warns about.
// nulls are the paths where layers intend it, as Merged.Nulls returns them. Empty strings,
// lists and mappings, and false, are compatible with any type. The error is a
// *TypeConflictError.
func CheckTypes(values map[string]any, nulls [][]string, chart []Default) error {
	bare := &Merged{Values: values}
	for _, path := range nulls {
		bare.sources = append(bare.sources, source{values: nested(path, nil)})
	}
	bare.sources = append(bare.sources, source{values: values})
	if changes := bare.WithChart(chart).typeConflicts(); len(changes) > 0 {
		return &TypeConflictError{Conflicts: changes}
	}
	return nil
}

// Nulls returns the paths that layers set to null, sorted, each once.
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

// appendNulls appends the paths of nulls in values, which are at a path.
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

// CheckChart checks the types, like CheckTypes, against the chart that WithChart has added.
// The error is a strictyaml.Problems.
func (m *Merged) CheckChart() error {
	return m.Explain(&TypeConflictError{Conflicts: m.typeConflicts()})
}

// Explain returns the conflicts as problems, each at the layer that sets the value; nil where
// there are none.
func (m *Merged) Explain(e *TypeConflictError) error {
	var problems strictyaml.Problems
	for _, change := range e.Conflicts {
		f := strictyaml.Problem{Path: valuepath.Format(change.Path), Message: change.Message}
		if setter, ok := m.Setting(change.Path); ok {
			f.File, f.Line, f.Column = setter.File, setter.Line, setter.Column
		}
		problems = append(problems, f)
	}
	return problems.Err()
}

// maxConflicts is one more than strictyaml.Problems reports.
const maxConflicts = 101

// typeConflicts compares the layers' values with the chart's own. The value of an outer chart
// takes precedence over that of its subcharts.
func (m *Merged) typeConflicts() []TypeConflict {
	defaults := map[string]any{}
	for _, s := range m.sources {
		if s.kind == KindChart {
			defaults = mergeMaps(defaults, s.values)
		}
	}
	var changes []TypeConflict
	visitConflicts(defaults, m.Values, nil, func(path []string, chart, value any) {
		i := m.lastDefault(path, chart)
		if len(changes) == maxConflicts || i < 0 || m.wasNull(path, i) {
			return
		}
		changes = append(changes, TypeConflict{Path: path, Message: fmt.Sprintf("is %s, and %s has %s there: use the same type, or set it to null in an earlier layer", typeName(value), m.sources[i].location(path), typeName(chart))})
	})
	slices.SortStableFunc(changes, func(a, b TypeConflict) int { return slices.Compare(a.Path, b.Path) })
	return changes
}

// lastDefault returns the index of the chart's source that decides the default at path,
// which is of value's type.
func (m *Merged) lastDefault(path []string, value any) int {
	for i, s := range slices.Backward(m.sources) {
		if depth, v := s.walk(path); s.kind == KindChart && depth == len(path) && v != nil && isMap(v) == isMap(value) {
			return i
		}
	}
	return -1
}

// visitConflicts visits the values of another type than the chart's.
func visitConflicts(chart, values map[string]any, at []string, found func(path []string, chart, value any)) {
	for key, value := range values {
		before, ok := chart[key]
		beforeMap, wasMap := before.(map[string]any)
		valueMap, isMap := value.(map[string]any)
		path := append(slices.Clone(at), key)
		switch {
		case !ok || before == nil || value == nil:
		case wasMap && isMap:
			visitConflicts(beforeMap, valueMap, path, found)
		case wasMap != isMap && !placeholder(before):
			found(path, before, value)
		}
	}
}

// placeholder reports whether a value is compatible with any type: charts document fields as
// "a string or a mapping" and leave them empty.
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

// wasNull reports whether a source after the i-th sets the path or a parent to null.
func (m *Merged) wasNull(path []string, i int) bool {
	return slices.ContainsFunc(m.sources[i+1:], func(s source) bool {
		depth, value := s.walk(path)
		return depth > 0 && value == nil
	})
}
