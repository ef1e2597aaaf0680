package layers

import (
	"maps"
	"slices"

	"github.com/envladder/envladder/internal/valuepath"
)

// Outcome is what became of a setting.
type Outcome string

// The outcomes.
const (
	// Wins: this is the value.
	Wins Outcome = "wins"
	// Removes: it is null, and there is no value.
	Removes Outcome = "removes"
	// Merged: it is a mapping, whose keys each have a chain of their own.
	Merges Outcome = "merges"
	// Overridden: a later one decides.
	Overridden Outcome = "overridden"
)

// Setting is what one source says about a path.
type Setting struct {
	Kind Kind `json:"kind"`
	// Layer says why the source is in the list: "chart", "layers", "tier full",
	// "environment prod", "target eu", "parameter", "pins".
	Layer string `json:"layer"`
	File  string `json:"file"`
	// Line and Column count from 1; 0 where they aren't known.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Path that the source sets: the one asked for, or one above it.
	Path string `json:"path"`
	// Value at that path.
	Value   any     `json:"value"`
	Outcome Outcome `json:"outcome"`
}

// Chain is what each source says about a path, in their order; the last may be decided
// by an earlier one, where a mapping came after a null. What is copied to the path, as
// globals are, comes with the path that it is copied from.
func (m *Merged) Chain(path []string) []Setting {
	winner := origin{m.winner(path), path}
	if found, inside, ok := m.origins.find(path); ok {
		winner = origin{found.source, slices.Concat(found.path, inside)}
	}
	var chain []Setting
	for _, stated := range m.origins.copiesOf(path) {
		for i, s := range m.sources {
			depth, value := s.walk(stated)
			if depth < len(stated) && isMap(value) {
				continue
			}
			setting := s.setting(stated, depth, value)
			switch {
			case depth == len(stated) && isMap(value):
				setting.Outcome = Merges
			case i != winner.source || !slices.Equal(stated, winner.path):
				setting.Outcome = Overridden
			case value == nil:
				setting.Outcome = Removes
			}
			chain = append(chain, setting)
		}
	}
	return chain
}

// Shown is m with each source's values as show gives them: other scalars in the same
// places.
func (m *Merged) Shown(show func(map[string]any) map[string]any) *Merged {
	out := *m
	out.Values = show(m.Values)
	out.sources = slices.Clone(m.sources)
	for i := range out.sources {
		out.sources[i].values = show(out.sources[i].values)
	}
	return &out
}

func (s source) setting(path []string, depth int, value any) Setting {
	line, column := s.position(path)
	return Setting{
		Kind: s.kind, Layer: s.origin, File: s.file, Line: line, Column: column,
		Path: valuepath.Format(path[:depth]), Value: value, Outcome: Wins,
	}
}

// At is the setting that decides the value at path: the last one that has it. Of a
// mapping it is the last source that has it, of what is inside a list the one of the
// list, with its place in it.
func (m *Merged) At(path []string) (Setting, bool) {
	if found, inside, ok := m.origins.find(path); ok {
		s := m.sources[found.source]
		whole := slices.Concat(found.path, inside)
		depth, value := s.walk(whole)
		return s.setting(whole, depth, value), true
	}
	i := m.winner(path)
	if i < 0 {
		return m.copied(path)
	}
	s := m.sources[i]
	depth, value := s.walk(path)
	return s.setting(path, depth, value), true
}

// Where says where the value at path comes from: file:line:column (layer).
func (m *Merged) Where(path []string) (string, bool) {
	s, ok := m.At(path)
	if !ok {
		return "", false
	}
	return s.where(), true
}

// copied is the setting of a global value, which Helm copies into each subchart.
func (m *Merged) copied(path []string) (Setting, bool) {
	if i := slices.Index(path, globalKey); i > 0 {
		return m.At(path[i:])
	}
	return Setting{}, false
}

// winner is the index of the source that decides the value at path, -1 where none has
// it. A mapping over something else starts again, and then what the chart has counts
// again: to Helm a null removes the chart's value only if it is the layers' last word.
func (m *Merged) winner(path []string) int {
	mapped := 0        // how deep a later source has mappings
	begunAnew := false // the layers below don't count any more
	last := -1
	for i, s := range slices.Backward(m.sources) {
		if begunAnew && s.kind != KindChart {
			continue
		}
		depth, value := s.walk(path)
		switch {
		case isMap(value) && depth == len(path):
			if last < 0 {
				last = i // of a mapping, the last one that has it
			}
			mapped = depth
		case isMap(value):
			mapped = max(mapped, depth)
		case depth > mapped:
			return i
		default:
			begunAnew = true
		}
	}
	return last
}

// Leaves visits the paths of all values that aren't mappings, in their order.
func Leaves(values map[string]any, visit func(path []string, value any)) {
	leaves(values, nil, visit)
}

func leaves(values map[string]any, at []string, visit func([]string, any)) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		path := append(slices.Clone(at), key)
		if m, ok := values[key].(map[string]any); ok && len(m) > 0 {
			leaves(m, path, visit)
			continue
		}
		visit(path, values[key])
	}
}

// Removed visits the paths that the layers set to null, in their order: what the chart
// has there is no value.
func (m *Merged) Removed(visit func(path []string)) {
	Leaves(m.Values, func(path []string, value any) {
		if value == nil {
			visit(path)
		}
	})
}
