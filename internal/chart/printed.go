package chart

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// Text is a number as it is written in a layer.
type Text struct {
	Path    []string
	Written string
}

// PrintedOtherwise returns those of the numbers that show in another form in what is
// rendered: with the written text in its place an object has another value. rendered is
// what r renders to. What can't be told within a bounded number of renderings, or with a
// text in a number's place, is left out.
func (c *Chart) PrintedOtherwise(ctx context.Context, r Recipe, rendered Manifests, numbers []Text) ([]Text, error) {
	t := trial{chart: c, recipe: r, rendered: rendered, left: maxTries}
	return t.printedOtherwise(ctx, numbers)
}

func (t *trial) printedOtherwise(ctx context.Context, numbers []Text) ([]Text, error) {
	if len(numbers) == 0 || t.left == 0 {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t.left--
	recipe := t.recipe
	for _, n := range numbers {
		recipe.Values = withText(recipe.Values, n.Path, n.Written)
	}
	again, err := t.chart.Manifests(recipe)
	if err == nil && sameObjects(t.rendered, again) {
		return nil, nil
	}
	if len(numbers) == 1 {
		if err != nil {
			return nil, nil //nolint:nilerr // a template calculates with it
		}
		return numbers, nil
	}
	half := len(numbers) / 2
	first, err := t.printedOtherwise(ctx, numbers[:half])
	if err != nil {
		return nil, err
	}
	second, err := t.printedOtherwise(ctx, numbers[half:])
	return append(first, second...), err
}

// withText returns values with a number as it is written: as a json.Number, which a schema
// takes for a number, where JSON has numbers of this form.
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

// sameObjects compares what the manifests say, not how: 1.10 and 1.1 are one number.
func sameObjects(a, b Manifests) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		var one, other any
		if a[i].Content == b[i].Content {
			continue
		}
		if yaml.Unmarshal([]byte(a[i].Content), &one) != nil || yaml.Unmarshal([]byte(b[i].Content), &other) != nil || !reflect.DeepEqual(one, other) {
			return false
		}
	}
	return true
}
