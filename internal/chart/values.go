package chart

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"

	"helm.sh/helm/v3/pkg/chartutil"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
)

// Merge reads the step's layers from fsys, the repository, and merges them in their
// order as `helm template -f first -f second` does: maps merge, everything else is
// replaced, null removes what the chart's own values have. The pins come last, so that
// nothing overrides them. The chart's values.yaml is merged below all of it by Render
// and Values.
//
// All layers that can't be read are reported at once. The error is ctx's where it ends.
func Merge(ctx context.Context, fsys fs.FS, step ladder.Step) (map[string]any, error) {
	layers, err := readLayers(ctx, fsys, step.Layers)
	if err != nil {
		return nil, err
	}
	merged := map[string]any{}
	for _, layer := range step.Layers {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("merging layer %q: %w", layer.Path, err)
		}
		merged = mergeMaps(merged, layers[layer.Path])
	}
	for _, pin := range step.Pins {
		if err := inject(merged, pin); err != nil {
			return nil, err
		}
	}
	return merged, nil
}

// readLayers reads each layer once, however often it is listed.
func readLayers(ctx context.Context, fsys fs.FS, layers []ladder.Layer) (map[string]map[string]any, error) {
	read := map[string]map[string]any{}
	var (
		faults strictyaml.Faults
		errs   []error
	)
	for _, layer := range layers {
		if _, ok := read[layer.Path]; ok {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("reading layer %q: %w", layer.Path, err)
		}
		values, err := readLayer(fsys, layer)
		var layerFaults strictyaml.Faults
		switch {
		case errors.As(err, &layerFaults):
			faults = append(faults, layerFaults...)
		case err != nil:
			errs = append(errs, err)
		}
		read[layer.Path] = values
	}
	return read, errors.Join(append(errs, faults.Err())...)
}

// readLayer checks the layer strictly and then reads it as Helm does, whose types
// (every number a float64, `on` a boolean) are what templates are written for.
func readLayer(fsys fs.FS, layer ladder.Layer) (map[string]any, error) {
	data, err := strictyaml.ReadFile(fsys, layer.Path)
	if err != nil {
		return nil, fmt.Errorf("reading layer %q (%s): %w", layer.Path, layer.Origin, err)
	}
	if _, err := strictyaml.ParseMapping(layer.Path, data); err != nil {
		return nil, err
	}
	values := map[string]any{}
	if err := yaml.Unmarshal(data, &values); err != nil {
		// The cause would quote values.
		return nil, fmt.Errorf("parsing layer %q (%s): it is well-formed, but Helm's YAML parser doesn't take it", layer.Path, layer.Origin)
	}
	return values, nil
}

// mergeMaps is over on top of base; neither is changed.
func mergeMaps(base, over map[string]any) map[string]any {
	merged := maps.Clone(base)
	for key, value := range over {
		overMap, isMap := value.(map[string]any)
		baseMap, wasMap := merged[key].(map[string]any)
		if isMap && wasMap {
			merged[key] = mergeMaps(baseMap, overMap)
			continue
		}
		merged[key] = value
	}
	return merged
}

// inject sets repository and digest below the pin's value path.
func inject(values map[string]any, pin ladder.Pin) error {
	at := values
	for key := range strings.SplitSeq(pin.ValuesPath, ".") {
		next, isMap := at[key].(map[string]any)
		if !isMap {
			if at[key] != nil {
				return fmt.Errorf("injecting %s's digest of image %q: layers set %s, on the way to the value path %q, to something that isn't a mapping: remove it from the layers",
					pin.Source, pin.Name, key, pin.ValuesPath)
			}
			next = map[string]any{}
		} else {
			// Layers may share maps by YAML aliases.
			next = maps.Clone(next)
		}
		at[key] = next
		at = next
	}
	at["repository"] = pin.Repository
	at["digest"] = pin.Digest
	return nil
}

// Values are what the chart's own templates see as .Values when values, the result of
// Merge, are given: on top of the chart's values.yaml and of its subcharts', each below
// its name. The built-in objects (.Release, .Chart, .Capabilities, .Files, .Template)
// are no part of it.
func (c *Chart) Values(values map[string]any) (map[string]any, error) {
	working := clone(c.pristine)
	if err := chartutil.ProcessDependenciesWithMerge(working, values); err != nil {
		return nil, fmt.Errorf("processing the dependencies of chart %q: %w", c.Path, err)
	}
	coalesced, err := chartutil.CoalesceValues(working, values)
	if err != nil {
		return nil, fmt.Errorf("merging the values of chart %q: %w", c.Path, err)
	}
	return coalesced, nil
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
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = copyValue(item)
		}
		return out
	default:
		return v
	}
}
