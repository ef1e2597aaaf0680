package chartlint

import (
	"context"
	"maps"
	"slices"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/manifest"
)

// UnusedValues returns those of the value paths whose values change nothing that is
// rendered: it renders the chart with another value of the same type in each path's place.
// rendered is what the options render to. A value counts as used where that can't be
// determined, as where two renders of the same input differ.
func UnusedValues(ctx context.Context, c *chart.Chart, o chart.RenderOptions, rendered manifest.Manifests, paths [][]string) ([][]string, error) {
	r := newRerender(c, o, rendered)
	paths = slices.DeleteFunc(slices.Clone(paths), func(path []string) bool {
		_, ok := withOtherValue(o.Values, path)
		return !ok
	})
	return bisect(ctx, r, paths, func(paths [][]string) (all, none bool) {
		return r.sameWithOthers(paths), false
	})
}

// sameWithOthers reports whether the chart renders to the same with other values at all of
// the paths.
func (r *rerender) sameWithOthers(paths [][]string) bool {
	options := r.options
	for _, path := range paths {
		values, ok := withOtherValue(options.Values, path)
		if !ok {
			return false
		}
		options.Values = values
	}
	rendered, err := r.chart.Render(options)
	return err == nil && slices.Equal(r.original, rendered)
}

// withOtherValue returns values with another value of the same type at path. It isn't ok
// where there is no value, or where there is a mapping, which something else has replaced.
func withOtherValue(values map[string]any, path []string) (map[string]any, bool) {
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
		other, ok = withOtherValue(inner, path[1:])
	} else {
		other, ok = otherValue(value)
	}
	if !ok {
		return nil, false
	}
	out := maps.Clone(values)
	out[path[0]] = other
	return out, true
}

// otherValue returns another value of a scalar's or list's type.
func otherValue(value any) (any, bool) {
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
