package chart

import (
	"context"
	"maps"
	"slices"
)

// maxTries bounds how often Idle renders: enough to tell a few values that are read from
// a hundred that aren't, by halves.
const maxTries = 50

// Idle are those of the value paths of r whose values change nothing that is rendered:
// each is given another value of its kind. rendered is what r renders to. What can't be
// told counts as not idle, as where two renders differ by chance.
func (c *Chart) Idle(ctx context.Context, r Recipe, rendered Manifests, paths [][]string) ([][]string, error) {
	trial := trial{chart: c, recipe: r, rendered: rendered, left: maxTries}
	paths = slices.DeleteFunc(slices.Clone(paths), func(path []string) bool {
		_, ok := changed(r.Values, path)
		return !ok
	})
	return trial.idle(ctx, paths)
}

type trial struct {
	chart    *Chart
	recipe   Recipe
	rendered Manifests
	left     int
}

// idle changes all values at once; only where that shows, each half of them.
func (t *trial) idle(ctx context.Context, paths [][]string) ([][]string, error) {
	if len(paths) == 0 || t.left == 0 {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t.left--
	if t.same(paths) {
		return paths, nil
	}
	if len(paths) == 1 {
		return nil, nil
	}
	half := len(paths) / 2
	first, err := t.idle(ctx, paths[:half])
	if err != nil {
		return nil, err
	}
	second, err := t.idle(ctx, paths[half:])
	return slices.Concat(first, second), err
}

func (t *trial) same(paths [][]string) bool {
	r := t.recipe
	for _, path := range paths {
		values, ok := changed(r.Values, path)
		if !ok {
			return false
		}
		r.Values = values
	}
	again, err := t.chart.Manifests(r)
	return err == nil && slices.Equal(t.rendered, again)
}

// changed is values with another value of the same kind at path. It isn't ok where there
// is none, or a mapping: then something else has replaced it.
func changed(values map[string]any, path []string) (map[string]any, bool) {
	value, ok := values[path[0]]
	if !ok {
		return nil, false
	}
	var other any
	if len(path) > 1 {
		inner, isMap := value.(map[string]any)
		if !isMap {
			return nil, false
		}
		other, ok = changed(inner, path[1:])
	} else {
		other, ok = another(value)
	}
	if !ok {
		return nil, false
	}
	out := maps.Clone(values)
	out[path[0]] = other
	return out, true
}

// another is another value of a scalar's or list's kind.
func another(value any) (any, bool) {
	switch value := value.(type) {
	case string:
		return value + "-changed", true
	case bool:
		return !value, true
	case float64:
		return value + 1, true
	case []any:
		if len(value) > 0 {
			return []any{}, true
		}
		return []any{"changed"}, true
	}
	return nil, false
}
