package chart

import (
	"context"
	"fmt"
	"io/fs"

	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/layers"
)

// Merge reads the step's layers from fsys, the repository, and merges them; see
// layers.Merge. The chart's values.yaml is merged below all of it by Render and Values.
func Merge(ctx context.Context, fsys fs.FS, step ladder.Step) (map[string]any, error) {
	merged, err := layers.Merge(ctx, fsys, step)
	if err != nil {
		return nil, err
	}
	return merged.Values, nil
}

// Values are what the chart's own templates see as .Values when values, the result of
// Merge, are given: on top of the chart's values.yaml and of its subcharts', each below
// its name. The built-in objects (.Release, .Chart, .Capabilities, .Files, .Template)
// are no part of it.
func (c *Chart) Values(values map[string]any) (map[string]any, error) {
	_, coalesced, err := c.coalesce(values)
	return coalesced, err
}

// CheckValues checks values, the result of Merge, against the values.schema.json of the
// chart and its subcharts. The error is a *SchemaError where they don't fit.
func (c *Chart) CheckValues(values map[string]any) error {
	working, coalesced, err := c.coalesce(values)
	if err != nil {
		return err
	}
	return c.schemas.check(working, coalesced)
}

func (c *Chart) coalesce(values map[string]any) (*helm.Chart, map[string]any, error) {
	working := clone(c.pristine)
	if err := chartutil.ProcessDependenciesWithMerge(working, values); err != nil {
		return nil, nil, fmt.Errorf("processing the dependencies of chart %q: %w", c.Path, err)
	}
	coalesced, err := chartutil.CoalesceValues(working, values)
	if err != nil {
		return nil, nil, fmt.Errorf("merging the values of chart %q: %w", c.Path, err)
	}
	return working, coalesced, nil
}

func copyMap(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for key, value := range m {
		out[key] = copyValue(value)
	}
	return out
}

func copyValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return copyMap(v)
	case []any:
		return copyList(v)
	default:
		return v
	}
}

func copyList(list []any) []any {
	if list == nil {
		return nil
	}
	out := make([]any, len(list))
	for i, item := range list {
		out[i] = copyValue(item)
	}
	return out
}
