package chartlint

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"

	"go.yaml.in/yaml/v3"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/manifest"
)

// WrittenNumber is a number as it is written in a layer.
type WrittenNumber struct {
	Path []string
	Text string
}

// RewrittenNumbers returns those of the numbers that are rendered in another notation: with
// the written text in its place an object has another value. rendered is what the options
// render to. It leaves out numbers for which that can't be determined within a bounded
// number of renders, or with a text in the number's place.
func RewrittenNumbers(ctx context.Context, c *chart.Chart, o chart.RenderOptions, rendered manifest.Manifests, numbers []WrittenNumber) ([]WrittenNumber, error) {
	r := newRerender(c, o, rendered)
	return bisect(ctx, r, numbers, func(numbers []WrittenNumber) (all, none bool) {
		options := r.options
		for _, n := range numbers {
			options.Values = withText(options.Values, n.Path, n.Text)
		}
		withTexts, err := r.chart.Render(options)
		if err != nil { // a template calculates with one of them
			return false, false
		}
		same := sameObjects(r.original, withTexts)
		return !same && len(numbers) == 1, same
	})
}

// withText returns values with a number as it is written: as a json.Number, which a schema
// accepts as a number, where JSON has numbers of this form.
func withText(values map[string]any, path []string, written string) map[string]any {
	out := maps.Clone(values)
	switch inner, isMap := values[path[0]].(map[string]any); {
	case len(path) > 1 && isMap:
		out[path[0]] = withText(inner, path[1:], written)
	case len(path) == 1 && json.Valid([]byte(written)):
		out[path[0]] = json.Number(written)
	case len(path) == 1:
		out[path[0]] = written
	}
	return out
}

// sameObjects reports whether the manifests have the same objects, whatever their notation:
// 1.10 and 1.1 are one number.
func sameObjects(a, b manifest.Manifests) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Content == b[i].Content {
			continue
		}
		var first, second any
		if yaml.Unmarshal([]byte(a[i].Content), &first) != nil ||
			yaml.Unmarshal([]byte(b[i].Content), &second) != nil ||
			!reflect.DeepEqual(first, second) {
			return false
		}
	}
	return true
}
