// Package layers takes a step's layers to merged values, and remembers where each value
// comes from: it explains them, compares those of two environments, and refuses what a
// layer must not do. Which layers there are, and in which order, it leaves to
// internal/ladder, what a chart makes of the values to internal/chart.
package layers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
)

// Merged are a step's values, with the layers that they come from.
type Merged struct {
	// Values are what to give to the chart: the layers, the overrides, the pins.
	Values map[string]any

	// sources in their order, the last wins: the chart's, once it is known, the layers,
	// the overrides, the pins.
	sources []source
	pins    []ladder.Pin
	// origins is set once a chart is known, by WithOrigins.
	origins *origins
}

// Merge reads the step's layers from fsys, the repository, and merges them in their
// order as `helm template -f first -f second` does: maps merge, everything else is
// replaced, null removes what the chart's own values have. The overrides come after
// them, and the pins last. Unlike Helm it refuses that a mapping is replaced by
// something else, or the other way round, and that anything but the pins sets an image.
//
// The layers have at most 4 MiB and 200,000 nodes together, their aliases followed.
//
// All problems of all layers are reported at once; the error is a strictyaml.Problems where
// layers are invalid. It is ctx's where that ends.
func Merge(ctx context.Context, fsys fs.FS, step ladder.Resolved) (*Merged, error) {
	m := &Merged{pins: step.Pins}
	if err := m.read(ctx, fsys, step.Layers); err != nil {
		return nil, err
	}
	m.sources = append(m.sources, overrideSources(step.Overrides)...)
	problems := m.checkImages()
	m.Values = map[string]any{}
	for i, s := range m.sources {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("merging %s: %w", s.name(), err)
		}
		c := conflicts{sources: m.sources[:i], over: s, problems: problems}
		m.Values = c.merge(m.Values, s.values, nil)
		problems = c.problems
		if !step.LiteralSecrets {
			problems = append(problems, s.unresolved...)
		}
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	for _, pin := range step.Pins {
		s, err := pinSource(pin)
		if err != nil {
			return nil, err
		}
		m.sources = append(m.sources, s)
		m.Values = over(m.Values, s.values)
	}
	return m, nil
}

// read reads each layer once, however often it is listed.
func (m *Merged) read(ctx context.Context, fsys fs.FS, layers []ladder.Layer) error {
	read := map[string]source{}
	left := newLimits()
	var (
		problems strictyaml.Problems
		errs     []error
	)
	for _, layer := range layers {
		s, ok := read[layer.Path]
		if !ok {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("reading layer %q: %w", layer.Path, err)
			}
			var err error
			s, err = readLayer(fsys, layer, &left)
			if found := strictyaml.ProblemsOf(err); found != nil {
				problems = append(problems, found...)
			} else if err != nil {
				errs = append(errs, err)
			}
			if left.over() {
				break // the rest isn't read
			}
			read[layer.Path] = s
		}
		s.kind, s.origin = kindOf(layer), layer.Origin
		m.sources = append(m.sources, s)
	}
	return errors.Join(append(errs, problems.Err())...)
}

// over is one map on top of another; neither is changed, since layers may share maps by
// YAML aliases.
func over(base, top map[string]any) map[string]any {
	c := conflicts{}
	return c.merge(base, top, nil)
}

// conflicts merges a source over others, and finds where their kinds differ.
type conflicts struct {
	sources  []source
	over     source
	problems strictyaml.Problems
}

func (c *conflicts) merge(base, top map[string]any, at []string) map[string]any {
	merged := maps.Clone(base)
	for key, value := range top {
		before, there := merged[key]
		topMap, isMap := value.(map[string]any)
		baseMap, wasMap := before.(map[string]any)
		if isMap && wasMap {
			merged[key] = c.merge(baseMap, topMap, append(at, key))
			continue
		}
		if there && isMap != wasMap && before != nil && value != nil && !placeholder(before) {
			c.found(append(slices.Clone(at), key), value, before)
		}
		merged[key] = value
	}
	return merged
}

// found reports that the value at path replaces one of another kind.
func (c *conflicts) found(path []string, value, before any) {
	if c.over.file == "" || c.problems.Full() {
		return // pins over layers: checkImages has seen to it
	}
	for _, s := range slices.Backward(c.sources) {
		depth, v := s.walk(path)
		if depth != len(path) || isMap(v) != isMap(before) {
			continue
		}
		c.problems = append(c.problems, c.over.problem(path, "is %s, and %s has %s there: use the same type, or set it to null in a layer in between",
			typeName(value), s.place(path), typeName(before)))
		return
	}
}

func isMap(v any) bool {
	_, ok := v.(map[string]any)
	return ok
}

// typeName says what a value is, without it.
func typeName(v any) string {
	switch v.(type) {
	case map[string]any:
		return "a mapping"
	case []any:
		return "a list"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case nil:
		return "null"
	default:
		return "a number"
	}
}
