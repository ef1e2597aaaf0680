package main

import (
	"context"
	"fmt"

	"github.com/envladder/envladder/internal/chart/chartlint"
	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/strictyaml"
	"github.com/envladder/envladder/internal/valuepath"
)

// numbers returns a warning for each number of a layer that the place's templates print in
// another form than is written.
func (v placeView) numbers(ctx context.Context, rendered manifest.Manifests) (strictyaml.Problems, error) {
	numbers := v.bare.Reformatted()
	texts := make([]chartlint.WrittenNumber, len(numbers))
	for i, n := range numbers {
		texts[i] = chartlint.WrittenNumber{Path: n.Path, Text: n.Written}
	}
	shown, err := chartlint.RewrittenNumbers(ctx, v.chart, v.recipe(), rendered, texts)
	if err != nil {
		return nil, fmt.Errorf("rendering %s with numbers as they are written: %w", v.Name, err)
	}
	found := map[string]bool{}
	for _, text := range shown {
		found[valuepath.Format(text.Path)] = true
	}
	var problems strictyaml.Problems
	for _, n := range numbers {
		if found[valuepath.Format(n.Path)] {
			f := n.At
			f.Warning = true
			f.Message = fmt.Sprintf("is written %.40s, and templates print the number %s: quote it to make it a string", n.Written, n.Printed)
			problems = append(problems, f)
		}
	}
	return problems, nil
}
