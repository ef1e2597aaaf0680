package chart

import (
	"fmt"

	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// Values returns what the chart's own templates see as .Values: the merged layers on top of
// the chart's values.yaml and of its subcharts', each below its name. The built-in objects
// (.Release, .Chart, .Capabilities, .Files, .Template) aren't part of it.
func (c *Chart) Values(values map[string]any) (map[string]any, error) {
	_, coalesced, err := c.coalesce(values)
	return coalesced, err
}

// CheckValues validates the merged layers against the values.schema.json of the chart and
// its subcharts. The error is a *SchemaError where they don't match.
func (c *Chart) CheckValues(values map[string]any) error {
	working, coalesced, err := c.coalesce(values)
	if err != nil {
		return err
	}
	return c.schemas.check(working, coalesced)
}

// coalesce returns a copy of the chart with its dependencies processed, and the values that
// its templates see.
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
