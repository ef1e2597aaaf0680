package chartlint

import (
	"context"
	"slices"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/manifest"
)

// maxRenders bounds how often a check renders the chart again: enough to find a few values
// that matter among a hundred, by halving.
const maxRenders = 50

// rerender renders a chart with changed values, to compare with the original rendering.
type rerender struct {
	chart    *chart.Chart
	options  chart.RenderOptions
	original manifest.Manifests
	// left is how many renders are left.
	left int
}

func newRerender(c *chart.Chart, o chart.RenderOptions, original manifest.Manifests) *rerender {
	return &rerender{chart: c, options: o, original: original, left: maxRenders}
}

// bisect returns the items that keep the property. keeps checks it for several items with
// one render: where they lack it together, bisect checks each half. It leaves out items
// that no render is left for.
func bisect[T any](ctx context.Context, r *rerender, items []T, keeps func(items []T) (all, none bool)) ([]T, error) {
	if len(items) == 0 || r.left == 0 {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.left--
	switch all, none := keeps(items); {
	case all:
		return items, nil
	case none || len(items) == 1:
		return nil, nil
	}
	half := len(items) / 2
	first, err := bisect(ctx, r, items[:half], keeps)
	if err != nil {
		return nil, err
	}
	second, err := bisect(ctx, r, items[half:], keeps)
	return slices.Concat(first, second), err
}
