// Package layers merges the layers of an environment or target into values, with the origin
// of each value. It explains values, compares those of two environments, and rejects what a
// layer must not do. Package ladder determines the layers and their order, and package
// chart renders the values.
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

// Merged has the values of an environment or target, with the layers that they come from.
type Merged struct {
	// Values for the chart: those of the layers, the overrides and the pins.
	Values map[string]any

	// sources in their order, the last wins: the chart's, once it is known, the layers,
	// the overrides, the pins.
	sources []source
	pins    []ladder.Pin
	// origins is set once a chart is known, by WithOrigins.
	origins *origins
}

// Merge reads the layers from fsys, the repository, and merges them in their order as
// `helm template -f first -f second` does: maps are merged, everything else is replaced,
// null removes the chart's own value. The overrides follow the layers, and the pins come
// last. Unlike Helm it rejects a mapping that is replaced by something else, or the reverse,
// and an image that anything but the pins sets.
//
// All layers together may have 4 MiB and 200,000 nodes, with aliases expanded.
//
// All problems of all layers are reported at once. The error is a strictyaml.Problems where
// layers are invalid, and that of ctx when ctx is done.
func Merge(ctx context.Context, fsys fs.FS, resolved ladder.Resolved) (*Merged, error) {
	m := &Merged{pins: resolved.Pins}
	if err := m.read(ctx, fsys, resolved.Layers); err != nil {
		return nil, err
	}
	m.sources = append(m.sources, overrideSources(resolved.Overrides)...)
	problems := m.checkImages()
	m.Values = map[string]any{}
	for i, s := range m.sources {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("merging %s: %w", s.name(), err)
		}
		c := conflicts{sources: m.sources[:i], over: s, problems: problems}
		m.Values = c.merge(m.Values, s.values, nil)
		problems = c.problems
		if !resolved.LiteralSecrets {
			problems = append(problems, s.unresolved...)
		}
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	for _, pin := range resolved.Pins {
		s, err := pinSource(pin)
		if err != nil {
			return nil, err
		}
		m.sources = append(m.sources, s)
		m.Values = mergeMaps(m.Values, s.values)
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
			if left.exceeded() {
				break // the rest isn't read
			}
			read[layer.Path] = s
		}
		s.kind, s.origin = kindOf(layer), layer.Origin
		m.sources = append(m.sources, s)
	}
	return errors.Join(append(errs, problems.Err())...)
}

// mergeMaps returns one map merged over another. It changes neither, since layers may share
// maps by YAML aliases.
func mergeMaps(base, top map[string]any) map[string]any {
	c := conflicts{}
	return c.merge(base, top, nil)
}

// conflicts merges a source over others, and collects values whose types differ.
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
			c.report(append(slices.Clone(at), key), value, before)
		}
		merged[key] = value
	}
	return merged
}

// report adds a problem for a value at path that replaces one of another type.
func (c *conflicts) report(path []string, value, before any) {
	if c.over.file == "" || c.problems.Full() {
		return // pins over layers: checkImages has checked these
	}
	for _, s := range slices.Backward(c.sources) {
		depth, v := s.walk(path)
		if depth != len(path) || isMap(v) != isMap(before) {
			continue
		}
		c.problems = append(c.problems, c.over.problem(path, "is %s, and %s has %s there: use the same type, or set it to null in a layer in between",
			typeName(value), s.location(path), typeName(before)))
		return
	}
}

func isMap(v any) bool {
	_, ok := v.(map[string]any)
	return ok
}

// typeName returns the type of a value, for messages that must not contain the value.
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
