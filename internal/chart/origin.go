package chart

import (
	"slices"

	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"

	"github.com/envladder/envladder/internal/layers"
)

// WithDefaults returns merged with the chart's own values below it, and the exact origin of
// each value that the chart's templates see.
func (c *Chart) WithDefaults(merged *layers.Merged) *layers.Merged {
	return merged.WithChart(c.Defaults()).WithOrigins(func(marked map[string]any, defaults []map[string]any) (map[string]any, error) {
		return c.coalesceMarked(merged.Values, marked, defaults)
	})
}

// coalesceMarked coalesces marked values like coalesce, with the same subcharts enabled. It
// takes those from the real values, since marks are neither true nor false.
func (c *Chart) coalesceMarked(values, marked map[string]any, defaults []map[string]any) (map[string]any, error) {
	enabled := clone(c.pristine)
	if err := chartutil.ProcessDependenciesWithMerge(enabled, values); err != nil {
		return nil, err
	}
	c.markDefaults(enabled, defaults, nil)
	if err := chartutil.ProcessDependenciesWithMerge(enabled, marked); err != nil {
		return nil, err
	}
	return chartutil.CoalesceValues(enabled, marked)
}

// markDefaults prepares a chart whose dependencies are processed to be processed again with
// marked defaults: all remaining dependencies are enabled, and import the same values.
func (c *Chart) markDefaults(processed *helm.Chart, defaults []map[string]any, prefix []string) {
	i := slices.IndexFunc(c.Defaults(), func(d layers.Default) bool { return slices.Equal(d.Prefix, prefix) })
	processed.Values = nil
	if i >= 0 {
		processed.Values = defaults[i]
	}
	for _, dependency := range processed.Metadata.Dependencies {
		dependency.Condition, dependency.Tags = "", nil
		for i, imported := range dependency.ImportValues {
			if names, ok := imported.(map[string]string); ok {
				dependency.ImportValues[i] = map[string]any{"child": names["child"], "parent": names["parent"]}
			}
		}
	}
	for _, child := range processed.Dependencies() {
		c.markDefaults(child, defaults, append(slices.Clone(prefix), child.Name()))
	}
}
