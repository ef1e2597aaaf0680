package layers

import (
	"maps"
	"slices"

	"github.com/envladder/envladder/internal/valuepath"
)

// Effect is the effect of a setting.
type Effect string

// The outcomes.
const (
	// Wins: this is the value.
	Wins Effect = "wins"
	// Removes: it is null, and there is no value.
	Removes Effect = "removes"
	// Merged: it is a mapping, whose keys each have a chain of their own.
	Merges Effect = "merges"
	// Overridden: a later one takes precedence.
	Overridden Effect = "overridden"
)

// Setting is what one source sets at a path.
type Setting struct {
	Kind Kind `json:"kind"`
	// Layer is the list that the source is in: "chart", "layers", "tier full",
	// "environment prod", "target eu", "parameter", "pins".
	Layer string `json:"layer"`
	File  string `json:"file"`
	// Line and Column count from 1; 0 where they aren't known.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Path that the source sets: the requested one, or one above it.
	Path string `json:"path"`
	// Value at that path.
	Value  any    `json:"value"`
	Effect Effect `json:"effect"`
}

// Chain returns what each source sets at a path, in the order of the sources. The last one
// may not be the one that wins, where a mapping follows a null. A value that is copied to
// the path, as globals are, has the path that it is copied from.
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
				setting.Effect = Merges
			case i != winner.source || !slices.Equal(stated, winner.path):
				setting.Effect = Overridden
			case value == nil:
				setting.Effect = Removes
			}
			chain = append(chain, setting)
		}
	}
	return chain
}

// Shown returns m with each source's values as show returns them: the same paths with other
// scalars.
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
		Path: valuepath.Format(path[:depth]), Value: value, Effect: Wins,
	}
}

// Setting returns the setting that decides the value at path: the last one that sets it. For a
// mapping it is that of the last source that has the mapping; for a value in a list it is
// that of the list, with the value's position in it.
func (m *Merged) Setting(path []string) (Setting, bool) {
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

// Location returns the origin of the value at path: file:line:column (layer).
func (m *Merged) Location(path []string) (string, bool) {
	s, ok := m.Setting(path)
	if !ok {
		return "", false
	}
	return s.location(), true
}

// copied returns the setting of a global value, which Helm copies into each subchart.
func (m *Merged) copied(path []string) (Setting, bool) {
	if i := slices.Index(path, globalKey); i > 0 {
		return m.Setting(path[i:])
	}
	return Setting{}, false
}

// winner returns the index of the source that decides the value at path, or -1 where none
// sets it. A mapping that replaces something else starts from nothing, and the chart's value
// then counts again: Helm removes the chart's value for a null only if no later layer sets
// the path.
func (m *Merged) winner(path []string) int {
	mapped := 0        // how deep a later source has mappings
	restarted := false // the layers below don't count any more
	last := -1
	for i, s := range slices.Backward(m.sources) {
		if restarted && s.kind != KindChart {
			continue
		}
		depth, value := s.walk(path)
		switch {
		case isMap(value) && depth == len(path):
			if last < 0 {
				last = i // for a mapping, the last source that has it
			}
			mapped = depth
		case isMap(value):
			mapped = max(mapped, depth)
		case depth > mapped:
			return i
		default:
			restarted = true
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

// Removed visits the paths that the layers set to null, in order. The chart's values there
// are removed.
func (m *Merged) Removed(visit func(path []string)) {
	Leaves(m.Values, func(path []string, value any) {
		if value == nil {
			visit(path)
		}
	})
}
